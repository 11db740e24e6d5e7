"""Random changes of colours."""

import tensorflow as tf

from hrnet_tf.configs.color import Color
from hrnet_tf.data.inputs.draws import Draws


def change_colors(image: tf.Tensor, color: Color, draws: Draws) -> tf.Tensor:
    """Changes colours at random, see `configs.color.Color`.

    Args:
        image: RGB, uint8 [H, W, 3].
        color: What changes, and by how much.
        draws: The image's random numbers.

    Returns:
        uint8 [H, W, 3]; the image as it is, if nothing is to change.
    """
    if not any((color.brightness, color.contrast, color.saturation, color.hue)):
        return image
    image = tf.cast(image, tf.float32) / 255.0
    if color.brightness:
        image = _clip(image * _factor(color.brightness, draws))
    if color.contrast:
        factor = _factor(color.contrast, draws)
        image = _clip(tf.image.adjust_contrast(image, factor))
    if color.saturation:
        factor = _factor(color.saturation, draws)
        image = _clip(tf.image.adjust_saturation(image, factor))
    if color.hue:
        turn = draws.uniform([], -color.hue, color.hue)
        image = _clip(tf.image.adjust_hue(image, turn))
    return tf.cast(tf.round(image * 255.0), tf.uint8)


def _factor(extent: float, draws: Draws) -> tf.Tensor:
    return draws.uniform([], 1.0 - extent, 1.0 + extent)


def _clip(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0.0, 1.0)
