"""Normalises images as the official weights, and so all networks, expect."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# Statistics of ImageNet's RGB values in [0, 1], which official weights expect.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def normalize_image(image: "tf.Tensor") -> "tf.Tensor":
    """Turns RGB in [0, 255], [..., 3], into the network's float32 input."""
    import tensorflow as tf

    std = np.array(IMAGE_STD, np.float32)
    scale, offset = 1.0 / (255.0 * std), np.array(IMAGE_MEAN, np.float32) / std
    x = tf.cast(image, tf.float32)
    if not x.shape.is_fully_defined():
        return x * scale - offset
    # As in .tflite files: XNNPACK multiplies rows in a fraction of the time of pixels.
    *outer, width, channels = x.shape
    rows = tf.reshape(x, [*outer, 1, width * channels])
    rows = rows * np.tile(scale, width) - np.tile(offset, width)
    return tf.reshape(rows, x.shape)


def denormalize_image(image: np.ndarray) -> np.ndarray:
    """The inverse of `normalize_image`, as uint8, for pictures."""
    image = (np.asarray(image) * IMAGE_STD + IMAGE_MEAN) * 255.0
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
