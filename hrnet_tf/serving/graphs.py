"""What the graphs of exported models are made of, and what each of them offers."""

import abc
from collections.abc import Callable, Iterator
from typing import TypeAlias

import cv2
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from hrnet_tf.serving import tensors

# Height and width of the image that TensorFlow Serving warms a model up with.
WARMUP_IMAGE_SIZE = (480, 640)

IMAGE_BYTES = tf.TensorSpec(
    tensors.IMAGE_BYTES.shape, tensors.IMAGE_BYTES.dtype, "image_bytes"
)
IMAGES = tf.TensorSpec(tensors.IMAGES.shape, tensors.IMAGES.dtype, "images")

Graph: TypeAlias = tf.types.experimental.PolymorphicFunction


class ServingModule(tf.Module, abc.ABC):
    """The graphs of a SavedModel."""

    @abc.abstractmethod
    def signatures(self) -> dict[str, Graph]:
        """The functions of a SavedModel by name."""

    def warmup_inputs(self) -> Iterator[dict[str, np.ndarray]]:
        """Inputs of `serving_default`."""
        yield {"image_bytes": warmup_image()}


class MobileModule(ServingModule):
    """The graphs of a model with a network of its own, for .tflite files too."""

    @abc.abstractmethod
    def mobile_function(self, with_maps: bool = False) -> Graph:
        """The function of a .tflite file.

        Args:
            with_maps: Whether what the network puts out is an output, too.
        """

    @abc.abstractmethod
    def predict_maps(self, images: tf.Tensor) -> tf.Tensor:
        """What the network puts out for inputs uint8 [N, H, W, 3] of its size."""


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
    def infer(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    frozen = convert_variables_to_constants_v2(infer.get_concrete_function())
    return lambda images: frozen(images)[0]


def signature(
    function: Callable[..., dict[str, tf.Tensor]], *specs: tf.TensorSpec
) -> Graph:
    """A function as a graph with inputs of these kinds."""
    return tf.function(function, input_signature=specs, autograph=False)


def image_signatures(
    predict_encoded: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    predict_images: Callable[[tf.Tensor], dict[str, tf.Tensor]],
) -> dict[str, Graph]:
    """The two signatures of all models that need nothing but images."""
    return {
        "serving_default": signature(predict_encoded, IMAGE_BYTES),
        "image": signature(predict_images, IMAGES),
    }


def warmup_image() -> np.ndarray:
    """A grey JPEG file, bytes [1]."""
    image = np.full((*WARMUP_IMAGE_SIZE, 3), 128, np.uint8)
    return np.array([cv2.imencode(".jpg", image)[1].tobytes()], object)
