"""Boxes to crops: the affine maps between an image and a person's crop of it.

A person's box becomes a centre and a size with the crop's aspect ratio; these and a
rotation become a 2x3 matrix that maps crop pixels to image pixels. Augmentation edits
centre, size and rotation, so the pixels are sampled once, by `warp_crops`.

Points are (x, y). Pixel (0, 0) is the centre of the top-left pixel, as in OpenCV.
Everything is float32 and batched over leading axes, except the sampling.
"""

import math
from collections.abc import Callable

import tensorflow as tf


def box_to_center_size(
    boxes: tf.Tensor, aspect_ratio: float, padding: float = 1.25
) -> tuple[tf.Tensor, tf.Tensor]:
    """Grows boxes to the crop's aspect ratio and pads them.

    The side that is too short grows about the box's centre, then both sides are
    multiplied by `padding` (official lib/dataset/coco.py, `_xywh2cs`; its `scale` is
    this size divided by 200).

    Args:
        boxes: [..., 4], (x, y, width, height) in image pixels.
        aspect_ratio: Width / height of the crop.
        padding: Factor on the grown box.

    Returns:
        center: float32 [..., 2], (x, y) in image pixels.
        size: float32 [..., 2], (width, height) in image pixels.
    """
    boxes = tf.cast(boxes, tf.float32)
    center = boxes[..., :2] + 0.5 * boxes[..., 2:]
    width, height = boxes[..., 2], boxes[..., 3]
    size = tf.stack(
        [
            tf.maximum(width, height * aspect_ratio),
            tf.maximum(height, width / aspect_ratio),
        ],
        axis=-1,
    )
    return center, size * padding


def crop_to_image_matrix(
    center: tf.Tensor,
    size: tf.Tensor,
    rotation_degrees: tf.Tensor | float,
    crop_size: tuple[int, int],
    udp: bool = False,
) -> tf.Tensor:
    """Matrix that maps crop pixels to image pixels.

    The crop's axes lie in the image turned clockwise by `rotation_degrees` about
    `center`.

    Without `udp` this is the inverse of official lib/utils/transforms.py
    `get_affine_transform`: crop (w/2, h/2) falls on `center`, and the scale of both
    axes is size_w / w (the size's height is not used). With `udp` lengths are counted
    between pixel centres (Huang et al., "The Devil is in the Details", CVPR 2020):
    crop ((w-1)/2, (h-1)/2) falls on `center` and the scales are size_w / (w-1) and
    size_h / (h-1). MMPose's `get_udp_warp_matrix` is its inverse, with the opposite
    sign of rotation.

    Args:
        center: [..., 2], (x, y) in image pixels.
        size: [..., 2], (width, height) in image pixels.
        rotation_degrees: [...] or a scalar.
        crop_size: (height, width) of the crop in pixels.
        udp: Whether to align pixel centres as the `udp` codec needs.

    Returns:
        float32 [..., 2, 3] M with image (x, y) = M @ crop (x, y, 1).
    """
    center = tf.cast(center, tf.float32)
    size = tf.cast(size, tf.float32)
    angle = tf.cast(rotation_degrees, tf.float32) * (math.pi / 180.0)
    crop_height, crop_width = crop_size
    if udp:
        middle_x, middle_y = (crop_width - 1) / 2, (crop_height - 1) / 2
        scale_x = size[..., 0] / (crop_width - 1)
        scale_y = size[..., 1] / (crop_height - 1)
    else:
        middle_x, middle_y = crop_width / 2, crop_height / 2
        scale_x = scale_y = size[..., 0] / crop_width

    cos, sin = tf.cos(angle), tf.sin(angle)
    xx, xy = cos * scale_x, -sin * scale_y
    yx, yy = sin * scale_x, cos * scale_y
    offset_x = center[..., 0] - xx * middle_x - xy * middle_y
    offset_y = center[..., 1] - yx * middle_x - yy * middle_y
    return tf.stack(
        [tf.stack([xx, xy, offset_x], axis=-1), tf.stack([yx, yy, offset_y], axis=-1)],
        axis=-2,
    )


def invert_affine(matrix: tf.Tensor) -> tf.Tensor:
    """Inverse of [..., 2, 3] affine matrices, such as image to crop pixels."""
    matrix = tf.cast(matrix, tf.float32)
    xx, xy, offset_x = (matrix[..., 0, column] for column in range(3))
    yx, yy, offset_y = (matrix[..., 1, column] for column in range(3))
    determinant = xx * yy - xy * yx
    inverse_xx, inverse_xy = yy / determinant, -xy / determinant
    inverse_yx, inverse_yy = -yx / determinant, xx / determinant
    inverse_offset_x = -(inverse_xx * offset_x + inverse_xy * offset_y)
    inverse_offset_y = -(inverse_yx * offset_x + inverse_yy * offset_y)
    return tf.stack(
        [
            tf.stack([inverse_xx, inverse_xy, inverse_offset_x], axis=-1),
            tf.stack([inverse_yx, inverse_yy, inverse_offset_y], axis=-1),
        ],
        axis=-2,
    )


def transform_points(matrix: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Applies [..., 2, 3] affine matrices to [..., N, 2] points (x, y)."""
    # Not a matmul: recent GPUs round its inputs to 11 significant bits (TF32), which
    # moves points by a fraction of a pixel.
    matrix, points = tf.cast(matrix, tf.float32), tf.cast(points, tf.float32)
    homogeneous = tf.concat([points, tf.ones_like(points[..., :1])], axis=-1)
    products = tf.expand_dims(matrix, -3) * tf.expand_dims(homogeneous, -2)
    return tf.reduce_sum(products, axis=-1)


def warp_crops(
    image: tf.Tensor, crop_to_image: tf.Tensor, crop_size: tuple[int, int]
) -> tf.Tensor:
    """Samples the crops of people from an image; see `warp_crop`.

    Crops that are not rotated are sampled in a cheaper way, to the same pixels. Runs in
    eager code, in graphs and in tf.data.

    Args:
        image: uint8 [H, W, C].
        crop_to_image: float32 [P, 2, 3] from `crop_to_image_matrix`.
        crop_size: (height, width) of the crops in pixels.

    Returns:
        uint8 [P, height, width, C].
    """

    def sample(matrix: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            (matrix[0, 1] == 0.0) & (matrix[1, 0] == 0.0),
            lambda: _sample_upright(image, matrix, crop_size),
            lambda: tf.cast(tf.round(warp_crop(image, matrix, crop_size)), tf.uint8),
        )

    return _for_each(sample, crop_to_image, [*crop_size, image.shape[2]])


def warp_aligned_crops(
    image: tf.Tensor, crop_to_image: tf.Tensor, crop_size: tuple[int, int]
) -> tf.Tensor:
    """As `warp_crops`, for crops that are all upright: mirrored perhaps, not rotated.

    What they are rotated by is ignored.
    """
    return _for_each(
        lambda matrix: _sample_upright(image, matrix, crop_size),
        crop_to_image,
        [*crop_size, image.shape[2]],
    )


def warp_crop(
    image: tf.Tensor,
    crop_to_image: tf.Tensor,
    crop_size: tuple[int, int],
    interpolation: str = "bilinear",
    extend_border: bool = False,
) -> tf.Tensor:
    """Samples a crop from an image.

    Runs in eager code, in graphs and in tf.data. Samples as OpenCV's `warpAffine` does
    with INTER_LINEAR and BORDER_CONSTANT, but does not round to integers.

    Args:
        image: [H, W, C], uint8 or float.
        crop_to_image: float32 [2, 3] from `crop_to_image_matrix`.
        crop_size: (height, width) of the crop in pixels.
        interpolation: `bilinear` or `nearest`.
        extend_border: Whether the border is repeated outside the image, where pixels
            are 0 otherwise.

    Returns:
        float32 [height, width, C] in the image's value range.
    """
    image, crop_to_image = _cut(image, crop_to_image, crop_size)
    image = tf.cast(image, tf.float32)
    projection = tf.concat([tf.reshape(crop_to_image, [6]), [0.0, 0.0]], axis=0)
    crops = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=projection[tf.newaxis],
        output_shape=tf.constant(crop_size, tf.int32),
        fill_value=0.0,
        interpolation=interpolation.upper(),
        fill_mode="NEAREST" if extend_border else "CONSTANT",
    )
    return crops[0]


def _sample_upright(
    image: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int]
) -> tf.Tensor:
    """uint8 [height, width, C]: an upright crop, whose rotation is ignored."""
    upright = matrix * tf.constant([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    part, matrix = _cut(image, upright, crop_size)
    # Sampling within a frame of zeros fades out around the image, as `warp_crop` does.
    framed = tf.pad(part, [[1, 1], [1, 1], [0, 0]])
    last = tf.cast(tf.shape(framed)[:2] - 1, tf.float32)
    first = tf.stack([matrix[1, 2], matrix[0, 2]]) + 1.0
    step = tf.stack([matrix[1, 1], matrix[0, 0]])
    extent = step * (tf.constant(crop_size, tf.float32) - 1.0)
    box = tf.concat([first / last, (first + extent) / last], axis=0)
    crops = tf.image.crop_and_resize(
        framed[tf.newaxis], box[tf.newaxis], [0], crop_size
    )
    return tf.cast(tf.round(crops[0]), tf.uint8)


def _for_each(
    sample: Callable[[tf.Tensor], tf.Tensor], matrices: tf.Tensor, shape: list[int]
) -> tf.Tensor:
    """The crop of each matrix, of a shape that is known before.

    Not all at once: TensorFlow logs a warning about an unknown number of boxes.
    """
    return tf.map_fn(
        sample, matrices, fn_output_signature=tf.TensorSpec(shape, tf.uint8)
    )


def _cut(
    image: tf.Tensor, crop_to_image: tf.Tensor, crop_size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The part of an image that a crop shows, and the crop's matrix from it.

    A large photograph is not to become float for every person in it.
    """
    height, width = crop_size
    corners = tf.constant(
        [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], tf.float32
    )
    corners = transform_points(crop_to_image, corners)
    # The border's pixels, and those that are interpolated with, are parts of the cut.
    last = tf.cast(tf.shape(image)[1::-1] - 1, tf.float32)
    low = tf.clip_by_value(tf.floor(tf.reduce_min(corners, axis=0)) - 1.0, 0.0, last)
    high = tf.clip_by_value(tf.floor(tf.reduce_max(corners, axis=0)) + 2.0, 0.0, last)
    left, top = tf.unstack(tf.cast(low, tf.int32))
    right, bottom = tf.unstack(tf.cast(high, tf.int32))
    offset = tf.concat([tf.zeros([2, 2]), low[:, tf.newaxis]], axis=1)
    return image[top : bottom + 1, left : right + 1], crop_to_image - offset
