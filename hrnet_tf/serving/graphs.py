"""Pieces of the graphs that exported models are made of."""

from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

# Height and width of the image that TensorFlow Serving warms a model up with.
WARMUP_IMAGE_SIZE = (480, 640)


def freeze(
    model: Callable[..., tf.Tensor], input_size: tuple[int | None, int | None]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A model as a function of constants, for images [N, height, width, 3].

    Args:
        model: A network, or a function of images and `training`; one output.
        input_size: (height, width) in pixels, None where they vary.
    """

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, *input_size, 3], tf.float32)],
    )
    def infer(images):
        return model(images, training=False)

    frozen = convert_variables_to_constants_v2(infer.get_concrete_function())
    return lambda images: frozen(images)[0]


def signature(
    function: Callable[..., dict[str, tf.Tensor]], *specs: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    """A function as a graph with inputs of these kinds."""
    return tf.function(function, input_signature=specs, autograph=False)


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 3], RGB, of a JPEG, PNG, BMP or GIF file (its first frame).

    EXIF orientation is ignored, as in training.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def warmup_image() -> np.ndarray:
    """A grey JPEG file, bytes [1]."""
    image = np.full((*WARMUP_IMAGE_SIZE, 3), 128, np.uint8)
    return np.array([cv2.imencode(".jpg", image)[1].tobytes()], object)
