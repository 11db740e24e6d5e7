"""Random changes of colours."""

import tensorflow as tf

from hrnet_tf.configs.color import Color


def change_colors(image: tf.Tensor, color: Color) -> tf.Tensor:
    """Changes colours at random, see `configs.color.Color`.

    Args:
        image: RGB, uint8 [H, W, 3].
        color: What changes, and by how much.

    Returns:
        uint8 [H, W, 3]; the image as it is, if nothing is to change.
    """
    if not any((color.brightness, color.contrast, color.saturation, color.hue)):
        return image
    image = tf.cast(image, tf.float32) / 255.0
    if color.brightness:
        image = _clip(image * _factor(color.brightness))
    if color.contrast:
        image = _clip(tf.image.adjust_contrast(image, _factor(color.contrast)))
    if color.saturation:
        image = _clip(tf.image.adjust_saturation(image, _factor(color.saturation)))
    if color.hue:
        turn = tf.random.uniform([], -color.hue, color.hue)
        image = _clip(tf.image.adjust_hue(image, turn))
    return tf.cast(tf.round(image * 255.0), tf.uint8)


def _factor(extent: float) -> tf.Tensor:
    return tf.random.uniform([], 1.0 - extent, 1.0 + extent)


def _clip(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0.0, 1.0)
