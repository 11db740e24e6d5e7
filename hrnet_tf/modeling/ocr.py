"""Object-contextual representations (OCR) over HRNetV2, as a Garden decoder.

Yuan, Chen, Wang, "Object-Contextual Representations for Semantic Segmentation", ECCV
2020; official lib/models/seg_hrnet_ocr.py. A first, auxiliary segmentation divides the
image softly into one region per class. Each region is described by the mean of its
pixels' features, and each pixel by the regions that it resembles.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.modeling.decoders import factory

from hrnet_tf.modeling.blocks import (
    DEFAULT_SETTINGS,
    ConfiguredLayer,
    ConvNorm,
    ConvSettings,
)
from hrnet_tf.modeling.representations import BRANCH_LEVELS, check_levels, join_branches


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class ObjectAttention(ConfiguredLayer):
    """Describes every pixel by the object regions that it resembles."""

    def __init__(
        self,
        num_filters: int,
        key_filters: int,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_filters = num_filters
        self.key_filters = key_filters
        self.settings = settings

        def conv(filters: int, name: str) -> ConvNorm:
            return ConvNorm(filters, 1, settings=self.settings, name=name)

        self.pixel_convs = [conv(key_filters, f"pixel{step}") for step in range(2)]
        self.object_convs = [conv(key_filters, f"object{step}") for step in range(2)]
        self.value_conv = conv(key_filters, "value")
        self.context_conv = conv(num_filters, "context")

    def call(
        self, pixels: tf.Tensor, regions: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Maps [B, h, w, num_filters] and [B, regions, num_filters] to new pixels."""
        # Shaped like a column of pixels, so that 1x1 convolutions apply to regions too.
        keys = regions[:, :, tf.newaxis]
        values = self.value_conv(keys, training=training)
        for conv in self.object_convs:
            keys = conv(keys, training=training)
        queries = pixels
        for conv in self.pixel_convs:
            queries = conv(queries, training=training)

        height, width = tf.shape(pixels)[1], tf.shape(pixels)[2]
        num_regions = tf.shape(regions)[1]
        flat = [-1, height * width, self.key_filters]
        similarity = tf.matmul(
            tf.reshape(queries, flat),
            tf.reshape(keys, [-1, num_regions, self.key_filters]),
            transpose_b=True,
        )
        similarity = tf.cast(similarity, tf.float32) * self.key_filters**-0.5
        weights = tf.cast(tf.nn.softmax(similarity), values.dtype)
        values = tf.reshape(values, [-1, num_regions, self.key_filters])
        context = tf.reshape(
            tf.matmul(weights, values), [-1, height, width, self.key_filters]
        )
        return self.context_conv(context, training=training)


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNetV2OCR(ConfiguredLayer):
    """HRNetV2 that also describes every pixel by the objects around it.

    Its arguments are those of `configs.decoders.HRNetV2OCR`.
    """

    # Made in `build`, when the number of channels is known.
    auxiliary_mix: ConvNorm

    def __init__(
        self,
        num_classes: int,
        num_filters: int = 512,
        key_filters: int = 256,
        dropout_rate: float = 0.05,
        upsampling: str = "bilinear_align_corners",
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.num_filters = num_filters
        self.key_filters = key_filters
        self.dropout_rate = dropout_rate
        self.upsampling = upsampling
        self.settings = settings
        self.auxiliary_classifier = tf_keras.layers.Conv2D(
            num_classes,
            1,
            kernel_initializer=self.settings.initializer(),
            kernel_regularizer=self.settings.kernel_regularizer,
            dtype="float32",
            name="auxiliary_classifier",
        )
        self.pixel_conv = ConvNorm(
            num_filters, 3, use_bias=True, settings=self.settings, name="pixel_conv"
        )
        self.attention = ObjectAttention(
            num_filters, key_filters, settings=self.settings, name="attention"
        )
        self.fuse_conv = ConvNorm(
            num_filters, 1, settings=self.settings, name="fuse_conv"
        )
        self.dropout = tf_keras.layers.SpatialDropout2D(dropout_rate)

    def build(self, input_shape: Mapping[str, tf.TensorShape]) -> None:
        """Makes the convolution that is as wide as all branches together."""
        filters = sum(input_shape[level][-1] for level in BRANCH_LEVELS)
        self.auxiliary_mix = ConvNorm(
            filters, 1, use_bias=True, settings=self.settings, name="auxiliary_mix"
        )
        super().build(input_shape)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the features and the auxiliary segmentation.

        `'2'` is [B, H/4, W/4, num_filters] and `'auxiliary_logits'` float32
        [B, H/4, W/4, num_classes].
        """
        joined = join_branches(inputs, self.upsampling)
        auxiliary_logits = self.auxiliary_classifier(
            self.auxiliary_mix(joined, training=training)
        )
        pixels = self.pixel_conv(joined, training=training)
        regions = _describe_regions(pixels, auxiliary_logits)
        context = self.attention(pixels, regions, training=training)
        fused = self.fuse_conv(tf.concat([context, pixels], -1), training=training)
        return {
            "2": self.dropout(fused, training=training),
            "auxiliary_logits": auxiliary_logits,
        }


def _describe_regions(pixels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Averages the pixels of each class's region, weighted by their membership.

    `pixels` are features [B, h, w, C]; `logits` [B, h, w, K] say how much each pixel
    belongs to each class, and their softmax is over pixels. Returns [B, K, C], in the
    dtype of `pixels`.
    """
    shape = tf.shape(pixels)
    num_pixels = shape[1] * shape[2]
    memberships = tf.nn.softmax(
        tf.reshape(logits, [-1, num_pixels, logits.shape[-1]]), axis=1
    )
    return tf.matmul(
        tf.cast(memberships, pixels.dtype),
        tf.reshape(pixels, [-1, num_pixels, pixels.shape[-1]]),
        transpose_a=True,
    )


@factory.register_decoder_builder("hrnetv2_ocr")
def build_hrnetv2_ocr(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNetV2OCR:
    """Builds the decoder for `decoder: {type: hrnetv2_ocr}` of a segmentation model.

    Raises `ValueError` if the backbone lacks one of levels 2 to 5, or the model has no
    number of classes.
    """
    check_levels("hrnetv2_ocr", input_specs, BRANCH_LEVELS)
    num_classes = getattr(model_config, "num_classes", 0)
    if num_classes < 1:
        raise ValueError(
            "The hrnetv2_ocr decoder makes a region per class: num_classes of the "
            f"model must be 1 or more; got {num_classes}."
        )
    config = model_config.decoder.get()
    return HRNetV2OCR(
        num_classes,
        num_filters=config.num_filters,
        key_filters=config.key_filters,
        dropout_rate=config.dropout_rate,
        upsampling=config.upsampling,
        settings=ConvSettings.of(model_config.norm_activation, l2_regularizer),
        name="hrnetv2_ocr",
    )
