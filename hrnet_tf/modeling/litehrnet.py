"""The Lite-HRNet backbone (Yu et al., CVPR 2021; official backbones/litehrnet.py).

A stem of a stride-2 convolution and a shuffling unit that halves again, then three
stages of modules, each of which adds a branch at half the lowest resolution so far.
"""

from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.modeling.backbones import factory

from hrnet_tf.configs import backbones
from hrnet_tf.configs.variants import check_input_size
from hrnet_tf.modeling.backbone import (
    ANY_IMAGE,
    ParallelBackbone,
    by_level,
    transition,
)
from hrnet_tf.modeling.blocks import (
    DEFAULT_SETTINGS,
    ConfiguredLayer,
    ConvNorm,
    ConvSettings,
    DepthwiseNorm,
    SeparableConvNorm,
)
from hrnet_tf.modeling.lite_blocks import halves, join_shuffled
from hrnet_tf.modeling.lite_module import LiteModule


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class LiteHRNet(ParallelBackbone):
    """Lite-HRNet as a functional model.

    Maps an image batch [B, H, W, 3] to a dict of endpoints keyed by level:
    '2' is [B, H/4, W/4, C], '3' [B, H/8, W/8, 2C], '4' [B, H/16, W/16, 4C] and '5'
    [B, H/32, W/32, 8C].
    """

    spec_type = backbones.LiteHRNetSpec

    def __init__(
        self,
        spec: backbones.LiteHRNetSpec | None = None,
        input_specs: tf_keras.layers.InputSpec | None = None,
        settings: ConvSettings | None = None,
        **kwargs: Any,
    ):
        """Builds the network.

        Args:
            spec: The network's numbers; those of `lite18` when None.
            input_specs: Shape [B, H, W, 3] of the input; any size when None. All sides
                must be multiples of 32; those that are known are checked here.
            settings: What all convolutions share.
            **kwargs: Keras's own model arguments.

        Raises:
            ValueError: If a known side of the input is not a multiple of 32.
        """
        spec = spec or backbones.LITE_VARIANTS["lite18"]
        input_specs = input_specs or ANY_IMAGE
        settings = settings or ConvSettings()
        check_input_size(input_specs.shape[1:3])

        inputs = tf_keras.Input(shape=input_specs.shape[1:])
        x = ConvNorm(
            spec.stem_width, 3, strides=2, settings=settings, name="stem_conv"
        )(inputs)
        x = StemUnit(spec.stem_width, settings=settings, name="stem_unit")(x)

        features = [x]
        for stage, num_modules in enumerate(spec.modules, start=2):
            features = transition(
                features, stage, spec.width, SeparableConvNorm, settings
            )
            for module in range(num_modules):
                features = LiteModule(
                    num_branches=stage,
                    width=spec.width,
                    blocks=spec.blocks,
                    block=spec.block,
                    reduction=spec.reduction,
                    settings=settings,
                    name=f"stage{stage}_module{module}",
                )(features)
        super().__init__(inputs, by_level(features), spec, settings, **kwargs)


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class StemUnit(ConfiguredLayer):
    """A shuffling unit that halves the resolution and keeps the width.

    One half of the channels passes a stride-2 depthwise and a 1x1 convolution, the
    other a 1x1 to `width` channels, a stride-2 depthwise and a 1x1 convolution.
    """

    def __init__(
        self,
        width: int,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.width = width
        self.settings = settings
        half = width // 2
        self.first = SeparableConvNorm(
            half, strides=2, settings=self.settings, name="first"
        )
        self.expand = ConvNorm(width, 1, settings=self.settings, name="expand")
        self.depthwise = DepthwiseNorm(
            strides=2, settings=self.settings, name="depthwise"
        )
        self.project = ConvNorm(half, 1, settings=self.settings, name="project")

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps [B, H, W, width] to [B, H/2, W/2, width]."""
        first, x = halves(inputs)
        for layer in (self.expand, self.depthwise, self.project):
            x = layer(x, training=training)
        return join_shuffled(self.first(first, training=training), x)


@factory.register_backbone_builder("litehrnet")
def build_litehrnet(
    input_specs: tf_keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> LiteHRNet:
    """Builds Lite-HRNet for `backbone: {type: litehrnet}` in a Garden configuration.

    Raises `ValueError` if a variant is unknown, a number of a custom network is out of
    range, or a side of the input is not a multiple of 32.
    """
    config = backbone_config.get()
    return LiteHRNet(
        spec=backbones.litehrnet_spec(config),
        input_specs=input_specs,
        settings=ConvSettings.of(
            norm_activation_config,
            l2_regularizer,
            freeze_norm_statistics=config.freeze_norm_statistics,
            kernel_initializer=config.kernel_initializer,
        ),
        name="litehrnet",
    )
