"""Masks of detected objects: from probabilities within boxes to COCO's run lengths."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def encode_masks(
    masks: np.ndarray, boxes: np.ndarray, image_size: np.ndarray
) -> list[dict[str, Any]]:
    """Masks within boxes as run lengths of whole images, COCO's `segmentation`.

    There are N of both; see `paste` for each.
    """
    return [
        {"size": rle["size"], "counts": rle["counts"].decode()}
        for mask, box in zip(masks, boxes, strict=True)
        for rle in [coco_mask.encode(np.asfortranarray(paste(mask, box, image_size)))]
    ]


def paste(mask: np.ndarray, box: np.ndarray, image_size: np.ndarray) -> np.ndarray:
    """A mask within a box as a mask of the whole image, uint8 [height, width], 0 and 1.

    `mask` is float [h, w], probabilities; `box` float [4], x, y, width, height in
    pixels of the image.
    """
    height, width = map(int, image_size)
    if min(box[2], box[3]) <= 0:
        return np.zeros((height, width), np.uint8)
    from official.vision.ops import mask_ops  # Seconds, for masks alone.

    (pasted,) = mask_ops.paste_instance_masks_v2(
        np.asarray(mask, np.float32)[np.newaxis],
        np.asarray(box, np.float32)[np.newaxis],
        height,
        width,
    )
    return pasted.astype(np.uint8)
