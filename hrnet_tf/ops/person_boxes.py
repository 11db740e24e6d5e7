"""Boxes of people, and the crops of them, without TensorFlow.

What `affine` computes in graphs: a .tflite file has crops made around it, and then
TensorFlow need not be imported, which takes seconds.
"""

from typing import Any

import cv2
import numpy as np

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

# In pixels.
LARGEST_COORDINATE = 1e9


def holds_person(boxes: Any) -> Any:
    """Whether boxes [..., 4] of x, y, width and height could hold a person, bool [...].

    Width and height must be positive, and nothing NaN or larger than any image: float32
    has no room for the crops of such boxes. Takes a tensor or an array, and returns the
    same.
    """
    is_sensible = abs(boxes) <= LARGEST_COORDINATE
    is_x, is_y, is_width, is_height = (is_sensible[..., place] for place in range(4))
    is_positive = (boxes[..., 2] > 0) & (boxes[..., 3] > 0)
    return is_x & is_y & is_width & is_height & is_positive


def crop_to_image_matrices(
    boxes: np.ndarray, crop_size: tuple[int, int], padding: float, udp: bool = False
) -> np.ndarray:
    """Matrices from pixels of upright crops to those of the image.

    `affine.box_to_center_size` and `affine.crop_to_image_matrix`, not rotated.

    Args:
        boxes: [P, 4], x, y, width and height in image pixels.
        crop_size: (height, width) of the crops in pixels.
        padding: Factor on a box once it has the crops' aspect ratio.
        udp: Whether lengths are counted between the centres of pixels.

    Returns:
        float32 [P, 2, 3] M with image (x, y) = M @ crop (x, y, 1).
    """
    boxes = np.asarray(boxes, np.float32)
    crop = np.array(crop_size[::-1], np.float32)
    ratio = crop[0] / crop[1]
    width, height = boxes[:, 2], boxes[:, 3]
    grown = [np.maximum(width, height * ratio), np.maximum(height, width / ratio)]
    size = np.stack(grown, axis=-1) * np.float32(padding)
    extent = crop - 1 if udp else crop
    scale = size / extent
    if not udp:
        scale[:, 1] = scale[:, 0]
    matrices = np.zeros([len(boxes), 2, 3], np.float32)
    matrices[:, 0, 0], matrices[:, 1, 1] = scale.T
    matrices[:, :, 2] = boxes[:, :2] + boxes[:, 2:] / 2 - scale * extent / 2
    return matrices


def warp_crops(
    image: np.ndarray, matrices: np.ndarray, crop_size: tuple[int, int]
) -> np.ndarray:
    """The crops that `affine.warp_crops` makes, by OpenCV.

    To a grey level with OpenCV 5, to some with versions before it, which place samples
    on a grid of 1/32 pixel.

    Args:
        image: uint8 [H, W, 3].
        matrices: float32 [P, 2, 3], from pixels of the crops to those of the image.
        crop_size: (height, width) of the crops in pixels.

    Returns:
        uint8 [P, height, width, 3]; 0 outside the image.
    """
    crops = np.empty([len(matrices), *crop_size, 3], np.uint8)
    for crop, matrix in zip(crops, matrices, strict=True):
        cv2.warpAffine(image, matrix, crop_size[::-1], dst=crop, flags=_FLAGS)
    return crops
