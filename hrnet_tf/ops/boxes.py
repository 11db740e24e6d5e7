"""Boxes in the network's input and in the image it was made from."""

import tensorflow as tf


def to_image_boxes(boxes: tf.Tensor, image_info: tf.Tensor) -> tf.Tensor:
    """Maps boxes of the resized image back to the image as stored.

    Args:
        boxes: float32 [B, N, 4], y and x of the upper left and of the lower right
            corner, pixels of the resized image (the Garden's order).
        image_info: float32 [B, 4, 2], as the Garden's `resize_and_crop_image` returns
            it: size of the image, desired size, scale and offset.

    Returns:
        float32 [B, N, 4], x, y, width, height, pixels of the image (COCO's order).
    """
    scale, offset = image_info[:, 2, tf.newaxis], image_info[:, 3, tf.newaxis]
    upper_left = tf.math.divide_no_nan(boxes[..., :2] + offset, scale)
    lower_right = tf.math.divide_no_nan(boxes[..., 2:] + offset, scale)
    size = lower_right - upper_left
    return tf.concat([upper_left[..., ::-1], size[..., ::-1]], axis=-1)
