"""Lite-HRNet's representation as a Model Garden decoder.

Official models/backbones/litehrnet.py, `IterativeHead`, where it is a part of the
backbone.
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
    ConvSettings,
    SeparableConvNorm,
)
from hrnet_tf.modeling.high_resolution_module import spatial_size, upsample
from hrnet_tf.modeling.representations import BRANCH_LEVELS, check_levels


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class IterativeDecoder(ConfiguredLayer):
    """From the lowest resolution up, each branch is added to what those below it gave.

    A separable convolution brings every sum to the next branch's width; bilinear
    enlargement with aligned corners brings it to that branch's resolution.
    """

    # Made in `build`, when the widths are known.
    convs: list[SeparableConvNorm]

    def __init__(self, settings: ConvSettings = DEFAULT_SETTINGS, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings = settings

    def build(self, input_shape: Mapping[str, tf.TensorShape]) -> None:
        """Makes a convolution for each branch, the lowest resolution's first."""
        widths = [input_shape[level][-1] for level in BRANCH_LEVELS]
        self.convs = [
            SeparableConvNorm(
                widths[max(branch - 1, 0)],
                settings=self.settings,
                name=f"branch{branch}",
            )
            for branch in reversed(range(len(widths)))
        ]
        super().build(input_shape)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns {'2': [B, H/4, W/4, C]}."""
        x: tf.Tensor | None = None
        for conv, level in zip(self.convs, reversed(BRANCH_LEVELS), strict=True):
            branch = inputs[level]
            if x is not None:
                size = spatial_size(branch)
                branch += upsample(x, 2, "bilinear_align_corners", size, training)
            x = conv(branch, training=training)
        return {BRANCH_LEVELS[0]: x}


@factory.register_decoder_builder("litehrnet")
def build_iterative_decoder(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> IterativeDecoder:
    """Builds `decoder: {type: litehrnet}`; `ValueError` without a level of 2 to 5."""
    check_levels("litehrnet", input_specs, BRANCH_LEVELS)
    return IterativeDecoder(
        settings=ConvSettings.of(model_config.norm_activation, l2_regularizer),
        name="litehrnet_decoder",
    )
