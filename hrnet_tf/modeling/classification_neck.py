"""The classification representation: four branches merged into one (HRNet-W-C).

Paper section 3.3 and appendix; official lib/models/cls_hrnet.py. It belongs to the
backbone rather than to the decoders, because the Garden's classification model has no
decoder: it pools the backbone's last endpoint.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.blocks import (
    DEFAULT_SETTINGS,
    BottleneckBlock,
    ConfiguredLayer,
    ConvNorm,
    ConvSettings,
)

# The same in every published variant, however wide its branches are.
_BRANCH_PLANES = (32, 64, 128, 256)
_FEATURES = 2048


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class ClassificationNeck(ConfiguredLayer):
    """Widens every branch, then adds each to the next lower one, halved in size.

    A bottleneck block brings branch i to 128 * 2^i channels. From the highest
    resolution down, a stride-2 3x3 convolution halves the sum so far and doubles its
    width, and the next branch is added. A 1x1 convolution ends in 2048 channels.
    """

    def __init__(self, settings: ConvSettings = DEFAULT_SETTINGS, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings = settings
        self.widen_blocks = [
            BottleneckBlock(planes, settings=self.settings, name=f"widen{branch}")
            for branch, planes in enumerate(_BRANCH_PLANES)
        ]
        self.downsample_convs = [
            ConvNorm(
                planes * BottleneckBlock.expansion,
                3,
                strides=2,
                use_bias=True,
                settings=self.settings,
                name=f"downsample{branch}",
            )
            for branch, planes in enumerate(_BRANCH_PLANES[1:])
        ]
        self.final_conv = ConvNorm(
            _FEATURES, 1, use_bias=True, settings=self.settings, name="final"
        )

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> tf.Tensor:
        """Maps the four branches to [B, H/32, W/32, 2048] for an image [B, H, W, 3]."""
        merged, *lower = [
            widen(branch, training=training)
            for widen, branch in zip(self.widen_blocks, inputs, strict=True)
        ]
        for downsample, branch in zip(self.downsample_convs, lower, strict=True):
            merged = branch + downsample(merged, training=training)
        return self.final_conv(merged, training=training)
