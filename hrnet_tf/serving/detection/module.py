"""The detector as graphs that need no Python: images in, boxes and masks out.

Resizing, normalisation, the detector and the way back to image pixels are the functions
that evaluation uses. The norms of backbone and pyramid are folded into their
convolutions, and all variables are frozen into constants.

docs/signatures.md says what each of them takes and returns.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.ops import preprocess_ops
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from hrnet_tf.modeling.blocks import fold_norms
from hrnet_tf.ops.images import decode_image
from hrnet_tf.serving.detection import mobile
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.formats import CANDIDATES
from hrnet_tf.serving.graphs import (
    Graph,
    MobileModule,
    image_signatures,
    signature,
)
from hrnet_tf.tasks.detection import DetectionTask

OUTPUTS = ("boxes", "classes", "num_detections", "scores")


class DetectionModule(MobileModule):
    """Finds objects."""

    def __init__(
        self,
        task: DetectionTask,
        model: tf_keras.Model,
        metadata: DetectionMetadata,
        candidates: int = CANDIDATES,
    ):
        """Takes the model over: its norms are folded, it cannot be trained any more.

        Args:
            task: The task that it was trained for.
            model: A detector with its weights.
            metadata: Describes how it was trained and how to use it.
            candidates: How many boxes are compared where there are no loops; see
                `mobile`.
        """
        super().__init__(name="detection")
        self._metadata = metadata
        self._outputs = sorted([*OUTPUTS, *(["masks"] if metadata.has_masks else [])])
        fold_norms(model)
        self._task, self._model, self._candidates = task, model, candidates
        self._features = tf.function(lambda images: pyramid(model, images))

    def signatures(self) -> dict[str, Graph]:
        """The functions of a SavedModel by name."""
        return image_signatures(self.predict_encoded, self.predict_images)

    def mobile_function(self, with_maps: bool = False) -> Graph:
        """The function of a .tflite file; it has no maps.

        Raises:
            ValueError: If maps are asked for.
        """
        if with_maps:
            raise ValueError("The .tflite file of a detector has no maps.")
        size = self._metadata.input_size
        detect = self._detect_on_phones()

        def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
            return detect(normalize(image))

        return signature(predict, tf.TensorSpec([1, *size, 3], tf.uint8, "image"))

    @functools.cached_property
    def _detect(self) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
        """As `DetectionTask.detect`, of canvases and how images were made to fit."""
        detect = functools.partial(self._task.detect, self._model)
        canvases = [None, *self._metadata.input_size, 3]
        return self._freeze(detect, canvases, [None, 4, 2])

    def _detect_on_phones(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """What a .tflite file does with a normalised canvas [1, H, W, 3]."""
        size = self._metadata.input_size
        config = self._task.task_config
        if mobile.is_covered(config):
            detect = functools.partial(
                mobile.detect, self._model, config, candidates=self._candidates
            )
            return self._freeze(detect, [1, *size, 3])
        # The whole canvas counts as image, unscaled.
        info = np.array([[size, size, [1, 1], [0, 0]]], np.float32)
        return lambda canvas: self._detect(canvas, tf.constant(info))

    def predict_maps(self, images: tf.Tensor) -> tf.Tensor:
        """The pyramid's first level of canvases uint8 [N, H, W, 3]."""
        return self._features(normalize(images))

    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Finds the objects in images of one size.

        Args:
            images: uint8 [B, H, W, 3], RGB.

        Returns:
            See `predict_encoded`.
        """
        return self._predict(images, lambda image: image)

    def predict_encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Finds the objects in encoded images of any sizes.

        Args:
            image_bytes: string [B], see `ops.images.decode_image`.

        Returns:
            boxes: float32 [B, N, 4], x, y, width and height in pixels of the image.
            classes: int32 [B, N], category ids.
            scores: float32 [B, N], falling.
            num_detections: int32 [B]: how many of the N there are; the rest is 0.
            masks: of detectors with masks, float32 [B, N, h, w]: probabilities within
                the boxes.
        """
        return self._predict(image_bytes, decode_image)

    def _predict(
        self, images: tf.Tensor, read_image: Callable[[tf.Tensor], tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        # Without images, the detector sees an empty one: some devices fail on
        # convolutions of an empty batch, and so do reductions in the detector.
        count = tf.shape(images)[0]
        size = self._metadata.input_size

        def prepare(place):
            return fit(read_image(images[place]), size)

        canvases, info = tf.cond(
            count > 0,
            lambda: tf.map_fn(
                prepare,
                tf.range(count),
                fn_output_signature=(
                    tf.TensorSpec([*size, 3], tf.float32),
                    tf.TensorSpec([4, 2], tf.float32),
                ),
            ),
            lambda: (tf.zeros([1, *size, 3]), tf.ones([1, 4, 2])),
        )
        found = self._detect(canvases, info)
        return {name: values[:count] for name, values in found.items()}

    def _freeze(
        self, detect: Callable[..., dict[str, tf.Tensor]], *shapes: list[int | None]
    ) -> Callable[..., dict[str, tf.Tensor]]:
        """A detector as a function of constants, which takes float32 of some shapes.

        What is beyond num_detections depends on the detector: it becomes 0.
        """

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes],
        )
        def detect_all(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            found = detect(*inputs)
            place = tf.range(tf.shape(found["scores"])[1])
            is_found = place < found["num_detections"][:, tf.newaxis]
            return {
                name: values
                if name == "num_detections"
                else _zero_where_not(is_found, values)
                for name, values in found.items()
            }

        # Asked for while a signature is traced: in a graph, variables have no values.
        with tf.init_scope():
            frozen = convert_variables_to_constants_v2(
                detect_all.get_concrete_function(), lower_control_flow=False
            )
        # Frozen functions return dicts as lists, in the order of their keys.
        return lambda *arguments: dict(
            zip(self._outputs, frozen(*arguments), strict=True)
        )


def normalize(images: tf.Tensor) -> tf.Tensor:
    """The detectors' input float32 of RGB uint8, as the Garden's parsers make it."""
    return preprocess_ops.normalize_image(
        tf.cast(images, tf.float32),
        offset=preprocess_ops.MEAN_RGB,
        scale=preprocess_ops.STDDEV_RGB,
    )


def fit(image: tf.Tensor, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalises an image uint8 [H, W, 3] and makes it fit into `size`.

    Returns:
        float32 [*size, 3], and float32 [4, 2], see `ops.boxes.to_image_boxes`.
    """
    canvas, info = preprocess_ops.resize_and_crop_image(
        normalize(image), size, padded_size=size, aug_scale_min=1.0, aug_scale_max=1.0
    )
    return tf.ensure_shape(canvas, [*size, 3]), info


def pyramid(model: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
    """The pyramid's first level, what the detector's heads see of normalised images."""
    features = model.decoder(model.backbone(images, training=False), training=False)
    return tf.cast(features[min(features)], tf.float32)


def _zero_where_not(is_found: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    shape = tf.concat(
        [tf.shape(is_found), tf.ones([values.shape.rank - 2], tf.int32)], axis=0
    )
    return values * tf.cast(tf.reshape(is_found, shape), values.dtype)
