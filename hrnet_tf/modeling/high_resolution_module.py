"""The high-resolution module: parallel branches, then fusion of all of them.

Paper sections 3.1 (parallel multi-resolution convolutions) and 3.2 (repeated
multi-resolution fusions). Feature maps travel in lists, highest resolution first:
branch i is [B, H / 2^i, W / 2^i, C * 2^i].
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import tf_utils

from hrnet_tf.modeling.blocks import (
    DEFAULT_SETTINGS,
    BasicBlock,
    ConfiguredLayer,
    ConvNorm,
    ConvSettings,
    SeparableConvNorm,
    conv3x3,
)
from hrnet_tf.ops.interpolation import resize_bilinear


def upsample(
    x: tf.Tensor,
    factor: int,
    method: str,
    size: Sequence[int | tf.Tensor] | None = None,
    training: bool | None = None,
) -> tf.Tensor:
    """Enlarges [B, H, W, C], keeping the dtype.

    Args:
        x: The feature map.
        factor: How many times wider and higher to make it.
        method: `nearest`, `bilinear` (torch's align_corners=False) or
            `bilinear_align_corners` (its align_corners=True).
        size: (height, width) of the result, if not `factor` times that of `x`: halving
            rounds odd sides up. Only for the bilinear methods.
        training: Whether gradients are to flow through it.
    """
    if method == "nearest" and training:
        return _repeat_pixels(x, factor)
    if method == "nearest":
        return _join_copies(x, factor)
    if size is None:
        size = [side * factor for side in spatial_size(x)]
    if method in ("bilinear", "bilinear_align_corners"):
        return resize_bilinear(x, size, method == "bilinear_align_corners")
    raise ValueError(
        f"fuse_upsampling is {method!r}; it must be 'nearest', 'bilinear' or "
        "'bilinear_align_corners'."
    )


def _repeat_pixels(x: tf.Tensor, factor: int) -> tf.Tensor:
    """The nearest-neighbour resize of [B, H, W, C] in operations that XLA can train.

    XLA has no gradient of the resize itself.
    """
    height, width = spatial_size(x)
    channels = x.shape[-1]
    x = tf.reshape(x, [-1, height, 1, width, 1, channels])
    x = tf.tile(x, [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, height * factor, width * factor, channels])


def _join_copies(x: tf.Tensor, factor: int) -> tf.Tensor:
    """The nearest-neighbour resize of [B, H, W, C] in operations that phones run fast.

    XNNPACK has no such resize, which would part a network's graph wherever there is
    one. Mobile GPUs refuse the five dimensions of `_repeat_pixels`, and the quantiser
    its tiles.
    """
    height, width = spatial_size(x)
    channels = x.shape[-1]
    x = _copies(x, factor, axis=3)
    x = tf.reshape(x, [-1, height, 1, width * factor * channels])
    x = _copies(x, factor, axis=2)
    return tf.reshape(x, [-1, height * factor, width * factor, channels])


def _copies(x: tf.Tensor, count: int, axis: int) -> tf.Tensor:
    """Copies of a tensor side by side."""
    # XNNPACK joins at most five.
    if count > 4 and count % 2 == 0:
        return _copies(tf.concat([x, x], axis), count // 2, axis)
    return tf.concat([x] * count, axis)


def spatial_size(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Height and width of [B, H, W, C]: numbers where they are known."""
    shape = tf.shape(x)
    return [
        static or dynamic
        for static, dynamic in zip(x.shape[1:3], (shape[1], shape[2]), strict=True)
    ]


def fuse_paths(
    num_branches: int, targets: int, width: int, **options: Any
) -> dict[str, "FusePath"]:
    """The paths from every branch to each of the first `targets`: "1_to_0", ..."""
    return {
        f"{source}_to_{target}": FusePath(
            source, target, width, name=f"fuse_{source}_to_{target}", **options
        )
        for target in range(targets)
        for source in range(num_branches)
        if source != target
    }


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class FusePath(ConfiguredLayer):
    """Brings one branch to another's resolution and width (paper: f_xr).

    From high to low resolution: a stride-2 3x3 convolution per halving; all but the
    last keep the width and are activated. From low to high: a 1x1 convolution and norm,
    then upsampling; the paper writes the two in the other order, but they commute and
    the convolution is cheaper at low resolution.

    Where `separable`, as in Lite-HRNet, the 3x3 convolutions are separable ones.
    """

    def __init__(
        self,
        source: int,
        target: int,
        width: int,
        upsampling: str = "nearest",
        separable: bool = False,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        """Makes the path from one branch to another; branch 0 is `width` wide."""
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.width = width
        self.upsampling = upsampling
        self.separable = separable
        self.settings = settings
        target_width = width * 2**target
        if source > target:
            self.convs = [
                ConvNorm(
                    target_width, 1, activate=False, settings=self.settings, name="conv"
                )
            ]
        else:
            last = target - source - 1
            halve = SeparableConvNorm if separable else conv3x3
            self.convs = [
                halve(
                    target_width if step == last else width * 2**source,
                    strides=2,
                    activate=step != last,
                    settings=self.settings,
                    name=f"down{step}",
                )
                for step in range(target - source)
            ]

    def call(
        self,
        inputs: tf.Tensor,
        size: Sequence[int | tf.Tensor] | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Maps branch `source`'s shape to branch `target`'s, (height, width) `size`.

        Without a size, upward paths double every side once per step.
        """
        x = inputs
        for conv in self.convs:
            x = conv(x, training=training)
        if self.source > self.target:
            factor = 2 ** (self.source - self.target)
            x = upsample(x, factor, self.upsampling, size, training)
        return x


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HighResolutionModule(ConfiguredLayer):
    """Residual blocks on every branch in parallel, then all branches fused into each.

    With `multi_scale_output=False` only branch 0 is fused and returned, as in the
    last module of a pose network (official lib/models/pose_hrnet.py).
    """

    def __init__(
        self,
        num_branches: int,
        width: int,
        blocks: int,
        multi_scale_output: bool = True,
        upsampling: str = "nearest",
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        """Makes branches of `blocks` blocks each; branch i is width * 2^i wide."""
        super().__init__(**kwargs)
        self.num_branches = num_branches
        self.width = width
        self.blocks = blocks
        self.multi_scale_output = multi_scale_output
        self.upsampling = upsampling
        self.settings = settings
        self.activation = tf_utils.get_activation(self.settings.activation)
        # Flat, since Keras's own files leave out the weights of layers in nested lists.
        self.branch_blocks = {
            f"{branch}_{block}": BasicBlock(
                width * 2**branch,
                settings=self.settings,
                name=f"branch{branch}_block{block}",
            )
            for branch in range(num_branches)
            for block in range(blocks)
        }
        self.num_outputs = num_branches if multi_scale_output else 1
        self.fuse_paths = fuse_paths(
            num_branches,
            self.num_outputs,
            width,
            upsampling=upsampling,
            settings=self.settings,
        )

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> list[tf.Tensor]:
        """Maps `num_branches` feature maps to as many, or to the first alone."""
        features = list(inputs)
        for branch in range(self.num_branches):
            for block in range(self.blocks):
                layer = self.branch_blocks[f"{branch}_{block}"]
                features[branch] = layer(features[branch], training=training)
        return [
            self._fuse(features, target, training) for target in range(self.num_outputs)
        ]

    def _fuse(
        self, features: Sequence[tf.Tensor], target: int, training: bool | None
    ) -> tf.Tensor:
        size = spatial_size(features[target])
        contributions = [
            feature
            if source == target
            else self.fuse_paths[f"{source}_to_{target}"](
                feature, size=size, training=training
            )
            for source, feature in enumerate(features)
        ]
        # Not tf.add_n: mobile runtimes neither quantise nor accelerate it.
        return self.activation(functools.reduce(operator.add, contributions))
