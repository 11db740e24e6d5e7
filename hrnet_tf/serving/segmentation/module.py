"""The segmentation model as graphs that need no Python: images in, classes out.

Resizing, normalisation, the flip test and the way back to the image's size are the
function that evaluation uses, with a single scale and without windows.

docs/signatures.md says what each of them takes and returns.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.vocabularies.label_sets import IGNORE
from hrnet_tf.modeling.blocks import fold_norms
from hrnet_tf.modeling.high_resolution_module import upsample
from hrnet_tf.ops import dense_prediction
from hrnet_tf.ops.images import decode_image
from hrnet_tf.serving.graphs import (
    IMAGE_BYTES,
    Graph,
    MobileModule,
    freeze,
    image_signatures,
    signature,
)
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata
from hrnet_tf.tasks.segmentation_prediction import predict_image


class SegmentationModule(MobileModule):
    """Predicts the class of every pixel."""

    def __init__(self, model: tf_keras.Model, metadata: SegmentationMetadata):
        """Takes the model over: its norms are folded, it cannot be trained any more.

        Args:
            model: A `SegmentationModel` with its weights.
            metadata: Describes how it was trained and how to use it.
        """
        super().__init__(name="segmentation")
        self._metadata = metadata
        self._evaluation = segmentation_config.Evaluation(flip_test=metadata.flip_test)
        fold_norms(model)

        def infer(images, training):
            return tf.cast(model(images, training=training)["logits"], tf.float32)

        self._infer = infer
        self._network = freeze(infer, (None, None))

    def signatures(self) -> dict[str, Graph]:
        """The functions of a SavedModel by name."""
        return {
            **image_signatures(self.predict_encoded, self.predict_images),
            "logits": signature(self.score_encoded, IMAGE_BYTES),
        }

    def mobile_function(self, with_maps: bool = False) -> Graph:
        """The function of a .tflite file; `with_maps` adds logits."""
        size = self._metadata.input_size
        network = freeze(self._infer, size)

        def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
            logits = self._flip_tested(network)(normalize_image(image))
            label_map = tf.argmax(
                self._resize_logits(logits, size), axis=-1, output_type=tf.int32
            )
            outputs = {"label_map": tf.cast(label_map, tf.uint8)}
            return {**outputs, "logits": logits} if with_maps else outputs

        return signature(predict, tf.TensorSpec([1, *size, 3], tf.uint8, "image"))

    def predict_maps(self, images: tf.Tensor) -> tf.Tensor:
        """Logits [N, h/4, w/4, C] of images uint8 [N, h, w, 3], not resized."""
        return self._flip_tested(self._network)(normalize_image(images))

    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts images of one size.

        Args:
            images: uint8 [B, H, W, 3], RGB.

        Returns:
            label_map: uint8 [B, H, W], class numbers.
        """
        shape = tf.shape(images)
        label_maps = _map_images(
            lambda image: _classes(self._scores(image)), images, tf.uint8, []
        )
        return {"label_map": tf.reshape(label_maps, shape[:3])}

    def predict_encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts encoded images of any sizes.

        Args:
            image_bytes: string [B], see `ops.images.decode_image`.

        Returns:
            label_map: uint8 [B, H, W], class numbers, and `IGNORE` below and at the
                right of images that are smaller than the largest.
            image_sizes: int32 [B, 2], height and width of every image.
        """
        label_maps, sizes = self._map_encoded(
            image_bytes, _classes, tf.uint8, tf.constant(IGNORE, tf.uint8)
        )
        return {"label_map": label_maps, "image_sizes": sizes}

    def score_encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `predict_encoded`, but logits float32 [B, H, W, C], filled with 0."""
        logits, sizes = self._map_encoded(
            image_bytes,
            lambda scores: scores,
            tf.float32,
            0.0,
            [self._metadata.label_set.num_classes],
        )
        return {"logits": logits, "image_sizes": sizes}

    def _map_encoded(
        self,
        image_bytes: tf.Tensor,
        finish: Callable[[tf.Tensor], tf.Tensor],
        dtype: tf.DType,
        filling: float | tf.Tensor,
        channels: list[int] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What `finish` makes of scores, filled to one size, and the images' sizes."""
        channels = channels or []
        sizes = tf.map_fn(
            lambda encoded: tf.shape(decode_image(encoded))[:2],
            image_bytes,
            fn_output_signature=tf.TensorSpec([2], tf.int32),
        )
        # Without images, the largest size is 0.
        height, width = tf.unstack(tf.maximum(tf.reduce_max(sizes, axis=0), 0))

        # Decoded once more, since that is cheap beside the network.
        def predict(encoded):
            image = decode_image(encoded)
            found = finish(self._scores(image))
            shape = tf.shape(image)
            around = [[0, height - shape[0]], [0, width - shape[1]]]
            return tf.pad(
                found, around + [[0, 0]] * len(channels), constant_values=filling
            )

        found = _map_images(predict, image_bytes, dtype, channels)
        count = tf.shape(image_bytes)[0]
        return tf.reshape(found, tf.stack([count, height, width, *channels])), sizes

    def _scores(self, image: tf.Tensor) -> tf.Tensor:
        return predict_image(
            self._network,
            image,
            segmentation_config.Resizing(**dataclasses.asdict(self._metadata.resizing)),
            self._evaluation,
            self._metadata.label_set.flip_permutation,
            self._resize_logits,
        )

    def _flip_tested(
        self, network: dense_prediction.Network
    ) -> dense_prediction.Network:
        if not self._metadata.flip_test:
            return network
        permutation = self._metadata.label_set.flip_permutation
        return dense_prediction.with_mirrored(network, permutation)

    def _resize_logits(
        self, logits: tf.Tensor, size: Sequence[int | tf.Tensor] | None
    ) -> tf.Tensor:
        return upsample(logits, 1, self._metadata.upsampling, size)


def _map_images(
    predict: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    dtype: tf.DType,
    channels: list[int],
) -> tf.Tensor:
    """Predicts B images, as [B, H, W, *channels]; the result of none is empty."""
    # A loop that never runs cannot tell the size of its results.
    return tf.cond(
        tf.shape(images)[0] > 0,
        lambda: tf.map_fn(
            predict,
            images,
            fn_output_signature=tf.TensorSpec([None, None, *channels], dtype),
        ),
        lambda: tf.zeros([0, 0, 0, *channels], dtype),
    )


def _classes(scores: tf.Tensor) -> tf.Tensor:
    """Class numbers uint8 [H, W] of scores [H, W, C]."""
    return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)
