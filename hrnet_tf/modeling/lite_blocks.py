"""The blocks of Lite-HRNet: units that shuffle channels, on all branches at once.

Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", CVPR 2021, section 3;
official models/backbones/litehrnet.py. A block takes one half of every branch's
channels as they are, works on the other half, and shuffles the two. Both kinds map a
list of branches, highest resolution first, to a list of the same shapes.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.blocks import (
    DEFAULT_SETTINGS,
    ConfiguredLayer,
    ConvNorm,
    ConvSettings,
    DepthwiseNorm,
)
from hrnet_tf.modeling.high_resolution_module import spatial_size, upsample

# Of the hidden layer of `SpatialWeighting`; the same in every published network.
_SPATIAL_REDUCTION = 4


def halves(x: tf.Tensor) -> list[tf.Tensor]:
    """The first and the second half of the channels of [B, H, W, C]."""
    return tf.split(x, 2, axis=-1)


def join_shuffled(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Joins two tensors [B, H, W, C / 2]; their channels take turns.

    This is the channel shuffle of ShuffleNet with two groups: a transposition of two
    rows, each a whole tensor. For XNNPACK that is faster than one of two rows for each
    pixel, and than joining along a last axis of single numbers. It stays within four
    dimensions, more than which mobile GPUs refuse.
    """
    height, width = spatial_size(first)
    half = first.shape[-1]
    x = tf.concat([first, second], axis=1)
    x = tf.reshape(x, [-1, 2, height, width * half])
    x = tf.transpose(x, [0, 2, 3, 1])
    return tf.reshape(x, [-1, height, width, 2 * half])


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class ShuffleUnits(ConfiguredLayer):
    """ShuffleNetV2's unit on every branch: the block of the naive Lite-HRNet.

    Paper section 3.1. The second half passes a 1x1, a depthwise 3x3 and a 1x1
    convolution.
    """

    def __init__(
        self,
        widths: Sequence[int],
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        """Makes a unit for each branch; `widths` are the branches' channels."""
        super().__init__(**kwargs)
        self.widths = list(widths)
        self.settings = settings
        self.expand_convs = [
            self._pointwise(branch, "expand") for branch in range(len(widths))
        ]
        self.depthwise_convs = [
            DepthwiseNorm(settings=self.settings, name=f"branch{branch}_depthwise")
            for branch in range(len(widths))
        ]
        self.project_convs = [
            self._pointwise(branch, "project") for branch in range(len(widths))
        ]

    def _pointwise(self, branch: int, name: str) -> ConvNorm:
        return ConvNorm(
            self.widths[branch] // 2,
            1,
            settings=self.settings,
            name=f"branch{branch}_{name}",
        )

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> list[tf.Tensor]:
        """Maps branches to branches of the same shapes."""
        outputs = []
        for branch, feature in enumerate(inputs):
            kept, x = halves(feature)
            x = self.expand_convs[branch](x, training=training)
            x = self.depthwise_convs[branch](x, training=training)
            x = self.project_convs[branch](x, training=training)
            outputs.append(join_shuffled(kept, x))
        return outputs


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class ChannelWeighting(ConfiguredLayer):
    """Conditional channel weighting: the block of Lite-HRNet.

    Paper section 3.2. The second halves are weighted by what is seen at all
    resolutions, pass a depthwise 3x3 convolution each, and are weighted by what is seen
    in the whole image. Weights take the place of the naive unit's 1x1 convolutions.
    """

    def __init__(
        self,
        widths: Sequence[int],
        reduction: int = 8,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        """Makes the block for branches of these channels.

        `reduction` says how many times narrower than all branches together the hidden
        layer of the cross-resolution weighting is.
        """
        super().__init__(**kwargs)
        self.widths = list(widths)
        self.reduction = reduction
        self.settings = settings
        channels = [width // 2 for width in widths]
        self.cross_resolution = CrossResolutionWeighting(
            channels, reduction, settings=self.settings, name="cross_resolution"
        )
        self.depthwise_convs = [
            DepthwiseNorm(settings=self.settings, name=f"branch{branch}_depthwise")
            for branch in range(len(widths))
        ]
        self.spatial = [
            SpatialWeighting(
                number, settings=self.settings, name=f"branch{branch}_spatial"
            )
            for branch, number in enumerate(channels)
        ]

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> list[tf.Tensor]:
        """Maps branches to branches of the same shapes."""
        kept, changed = zip(*map(halves, inputs), strict=True)
        changed = self.cross_resolution(changed, training=training)
        outputs = []
        for branch, feature in enumerate(changed):
            x = self.depthwise_convs[branch](feature, training=training)
            x = self.spatial[branch](x)
            outputs.append(join_shuffled(kept[branch], x))
        return outputs


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class CrossResolutionWeighting(ConfiguredLayer):
    """Weights every channel of every pixel by what all branches see around it.

    Paper section 3.2, H: all branches are averaged to the lowest resolution and joined;
    two 1x1 convolutions make weights of them, which are brought back up.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reduction: int = 8,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = list(channels)
        self.reduction = reduction
        self.settings = settings
        total = sum(channels)
        self.squeeze_conv = ConvNorm(
            total // reduction, 1, settings=self.settings, name="squeeze"
        )
        self.excite_conv = ConvNorm(
            total, 1, activate=False, settings=self.settings, name="excite"
        )

    def call(
        self, inputs: Sequence[tf.Tensor], training: bool | None = None
    ) -> list[tf.Tensor]:
        """Maps branches to branches of the same shapes."""
        factors = [2**level for level in reversed(range(len(inputs)))]
        joined = tf.concat(
            [
                x if factor == 1 else tf.nn.avg_pool2d(x, factor, factor, "VALID")
                for x, factor in zip(inputs, factors, strict=True)
            ],
            axis=-1,
        )
        x = self.squeeze_conv(joined, training=training)
        x = tf.sigmoid(self.excite_conv(x, training=training))
        weights = tf.split(x, self.channels, axis=-1)
        return [
            x
            * (
                weight
                if factor == 1
                else upsample(weight, factor, "nearest", training=training)
            )
            for x, weight, factor in zip(inputs, weights, factors, strict=True)
        ]


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class SpatialWeighting(ConfiguredLayer):
    """Weights every channel of a branch by what all of its pixels hold.

    Paper section 3.2, F: squeeze and excitation.
    """

    def __init__(
        self,
        channels: int,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.settings = settings
        self.squeeze_conv = self._conv(
            channels // _SPATIAL_REDUCTION, "relu", "squeeze"
        )
        self.excite_conv = self._conv(channels, "sigmoid", "excite")

    def _conv(self, filters: int, activation: str, name: str) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer=self.settings.initializer(),
            kernel_regularizer=self.settings.kernel_regularizer,
            name=name,
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [B, H, W, C] to the same shape."""
        means = tf.reduce_mean(inputs, axis=[1, 2], keepdims=True)
        return inputs * self.excite_conv(self.squeeze_conv(means))
