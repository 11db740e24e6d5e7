"""The high-resolution module of Lite-HRNet: blocks on all branches, then fusion.

Official models/backbones/litehrnet.py, `LiteHRModule`. Feature maps travel in lists,
highest resolution first: branch i is [B, H / 2^i, W / 2^i, C * 2^i].
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import tf_utils

from hrnet_tf.modeling.blocks import DEFAULT_SETTINGS, ConfiguredLayer, ConvSettings
from hrnet_tf.modeling.high_resolution_module import fuse_paths
from hrnet_tf.modeling.lite_blocks import ChannelWeighting, ShuffleUnits


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class LiteModule(ConfiguredLayer):
    """Lite-HRNet's blocks on all branches, then all branches fused into each.

    The fusion differs from HRNet's in two ways, which come from sums that the official
    code computes in place, and which published weights depend on:

    - branch 0 counts twice in every sum;
    - the other sums read branch 0 as the sum of output 0, before its activation.
    """

    def __init__(
        self,
        num_branches: int,
        width: int,
        blocks: int,
        block: str = "lite",
        reduction: int = 8,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        """Makes `blocks` blocks, `lite` or `naive`; branch i is width * 2^i wide."""
        super().__init__(**kwargs)
        self.num_branches = num_branches
        self.width = width
        self.blocks = blocks
        self.block = block
        self.reduction = reduction
        self.settings = settings
        self.activation = tf_utils.get_activation(self.settings.activation)
        self.block_layers = [
            self._make_block(f"block{number}") for number in range(blocks)
        ]
        self.fuse_paths = fuse_paths(
            num_branches, num_branches, width, separable=True, settings=self.settings
        )

    def _make_block(self, name: str) -> tf_keras.layers.Layer:
        widths = [self.width * 2**branch for branch in range(self.num_branches)]
        if self.block == "naive":
            return ShuffleUnits(widths, settings=self.settings, name=name)
        return ChannelWeighting(
            widths, self.reduction, settings=self.settings, name=name
        )

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> list[tf.Tensor]:
        """Maps `num_branches` feature maps to as many of the same shapes."""
        features = list(inputs)
        for block in self.block_layers:
            features = block(features, training=training)
        sums = []
        for target in range(self.num_branches):
            contributions = [
                feature
                if source == target
                else self.fuse_paths[f"{source}_to_{target}"](
                    feature, training=training
                )
                for source, feature in enumerate(features)
            ]
            # Begun with branch 0, it counts twice.
            sums.append(functools.reduce(operator.add, contributions, contributions[0]))
            features[0] = sums[0]
        return [self.activation(x) for x in sums]
