"""The HRNet backbone (paper section 3; official lib/models/pose_hrnet.py).

A stem of two stride-2 convolutions, a stage of bottleneck blocks at 1/4 resolution,
then three stages of high-resolution modules, each of which adds a branch at half the
lowest resolution so far.
"""

from typing import Any

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
    BottleneckBlock,
    ConvNorm,
    ConvSettings,
    conv3x3,
)
from hrnet_tf.modeling.classification_neck import ClassificationNeck
from hrnet_tf.modeling.high_resolution_module import HighResolutionModule


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNet(ParallelBackbone):
    """HRNet as a functional model.

    Maps an image batch [B, H, W, 3] to a dict of endpoints keyed by level:
    '2' is [B, H/4, W/4, C], '3' [B, H/8, W/8, 2C], '4' [B, H/16, W/16, 4C] and '5'
    [B, H/32, W/32, 8C]; only '2' with `multi_scale_output=False`, and only '5', 2048
    wide, with `classification_neck=True`.
    """

    spec_type = backbones.HRNetSpec

    def __init__(
        self,
        spec: backbones.HRNetSpec | None = None,
        input_specs: tf_keras.layers.InputSpec | None = None,
        multi_scale_output: bool = True,
        fuse_upsampling: str = "nearest",
        classification_neck: bool = False,
        settings: ConvSettings | None = None,
        **kwargs: Any,
    ):
        """Builds the network; `configs.backbones.HRNet` describes most arguments.

        Args:
            spec: The network's numbers; W32's when None.
            input_specs: Shape [B, H, W, 3] of the input; any size when None. With
                nearest-neighbour fusion, all sides must be multiples of 32; those that
                are known are checked here. With bilinear fusion any side will do:
                halving rounds odd ones up.
            multi_scale_output: Whether the last module computes all four branches.
            fuse_upsampling: How a fusion brings a branch up.
            classification_neck: Whether a `ClassificationNeck` follows the branches.
            settings: What all convolutions share.
            **kwargs: Keras's own model arguments.

        Raises:
            ValueError: If a known side of the input must be a multiple of 32 and is
                not, or if the neck is to stand on one branch alone.
        """
        if classification_neck and not multi_scale_output:
            raise ValueError(
                "classification_neck needs all four branches: leave multi_scale_output "
                "on, or the neck off."
            )
        spec = spec or backbones.VARIANTS["w32"]
        input_specs = input_specs or ANY_IMAGE
        settings = settings or ConvSettings()
        if fuse_upsampling == "nearest":
            check_input_size(input_specs.shape[1:3])

        inputs = tf_keras.Input(shape=input_specs.shape[1:])
        x = inputs
        for index in range(2):
            x = ConvNorm(
                spec.stem_width,
                3,
                strides=2,
                settings=settings,
                name=f"stem_conv{index + 1}",
            )(x)
        for block in range(spec.layer1_blocks):
            x = BottleneckBlock(
                spec.layer1_planes, settings=settings, name=f"layer1_block{block}"
            )(x)

        features = [x]
        for stage, num_modules in enumerate(spec.modules, start=2):
            features = transition(features, stage, spec.width, conv3x3, settings)
            for module in range(num_modules):
                is_last = stage == 4 and module == num_modules - 1
                features = HighResolutionModule(
                    num_branches=stage,
                    width=spec.width,
                    blocks=spec.blocks,
                    multi_scale_output=multi_scale_output or not is_last,
                    upsampling=fuse_upsampling,
                    settings=settings,
                    name=f"stage{stage}_module{module}",
                )(features)

        if classification_neck:
            neck = ClassificationNeck(settings=settings, name="classification_neck")
            endpoints = {"5": neck(features)}
        else:
            endpoints = by_level(features)
        super().__init__(inputs, endpoints, spec, settings, **kwargs)
        self._multi_scale_output = multi_scale_output
        self._fuse_upsampling = fuse_upsampling
        self._classification_neck = classification_neck

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "multi_scale_output": self._multi_scale_output,
            "fuse_upsampling": self._fuse_upsampling,
            "classification_neck": self._classification_neck,
        }


@factory.register_backbone_builder("hrnet")
def build_hrnet(
    input_specs: tf_keras.layers.InputSpec,
    backbone_config: hyperparams.Config,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNet:
    """Builds HRNet for `backbone: {type: hrnet}` in a Model Garden configuration.

    Raises `ValueError` if a variant or option is unknown, if options exclude each
    other, or if fusion is by nearest neighbours and a side of the input is not a
    multiple of 32.
    """
    config = backbone_config.get()
    return HRNet(
        spec=backbones.hrnet_spec(config),
        input_specs=input_specs,
        multi_scale_output=config.multi_scale_output,
        fuse_upsampling=config.fuse_upsampling,
        classification_neck=config.classification_neck,
        settings=ConvSettings.of(
            norm_activation_config,
            l2_regularizer,
            freeze_norm_statistics=config.freeze_norm_statistics,
            kernel_initializer=config.kernel_initializer,
        ),
        name="hrnet",
    )
