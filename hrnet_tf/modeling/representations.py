"""HRNet's representations (paper section 3.3) as Model Garden decoders.

A decoder takes the backbone's endpoints, a dict {level: [B, H/2^level, W/2^level, C]},
and returns a dict of the same kind: HRNetV1 the highest resolution alone (pose),
HRNetV2 all resolutions brought to it (segmentation), HRNetV2p a pyramid pooled from
these (detection).
"""

from collections.abc import Iterable, Mapping
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
from hrnet_tf.modeling.high_resolution_module import spatial_size, upsample

# The levels of HRNet's four branches: branch i has stride 2^(2 + i).
BRANCH_LEVELS = ("2", "3", "4", "5")


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNetV1(tf_keras.layers.Layer):
    """HRNetV1: the highest-resolution branch alone, everything else dropped."""

    def call(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns {'2': [B, H/4, W/4, C]}."""
        return {"2": inputs["2"]}


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNetV2(ConfiguredLayer):
    """HRNetV2: all branches at the highest resolution, mixed by a 1x1 convolution.

    Official lib/models/seg_hrnet.py, `last_layer` without its classifier.
    """

    # Made in `build`, when the number of channels is known.
    mix: ConvNorm

    def __init__(
        self,
        upsampling: str = "bilinear",
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.upsampling = upsampling
        self.settings = settings

    def build(self, input_shape: Mapping[str, tf.TensorShape]) -> None:
        """Makes the convolution that is as wide as all branches together."""
        filters = sum(input_shape[level][-1] for level in BRANCH_LEVELS)
        self.mix = ConvNorm(
            filters, 1, use_bias=True, settings=self.settings, name="mix"
        )
        super().build(input_shape)

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns {'2': [B, H/4, W/4, 15C]}."""
        joined = join_branches(inputs, self.upsampling)
        return {"2": self.mix(joined, training=training)}


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNetV2p(ConfiguredLayer):
    """HRNetV2p: a feature pyramid by average pooling of the joined branches.

    Official mmdet/models/necks/hrfpn.py: a 1x1 convolution of the joined branches,
    average pooling to every level, and a 3x3 convolution on each. Convolutions have a
    bias, and neither norm nor activation.
    """

    def __init__(
        self,
        min_level: int = 2,
        max_level: int = 6,
        num_filters: int = 256,
        upsampling: str = "bilinear",
        kernel_regularizer: tf_keras.regularizers.Regularizer | None = None,
        **kwargs: Any,
    ):
        """Makes levels `min_level` (2 or more) to `max_level`, `num_filters` wide."""
        super().__init__(**kwargs)
        self.min_level = min_level
        self.max_level = max_level
        self.num_filters = num_filters
        self.upsampling = upsampling
        self.kernel_regularizer = tf_keras.regularizers.get(kernel_regularizer)
        self.reduction_conv = self._conv(1, "reduction_conv")
        self.level_convs = {
            str(level): self._conv(3, f"level{level}_conv")
            for level in range(min_level, max_level + 1)
        }

    def _conv(self, kernel_size: int, name: str) -> tf_keras.layers.Conv2D:
        return tf_keras.layers.Conv2D(
            self.num_filters,
            kernel_size,
            padding="same",
            # torch's kaiming_uniform_ with a=1, which the official code draws from.
            kernel_initializer=tf_keras.initializers.VarianceScaling(
                1.0, mode="fan_in", distribution="uniform"
            ),
            kernel_regularizer=self.kernel_regularizer,
            name=name,
        )

    def call(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns {level: [B, H/2^level, W/2^level, num_filters]}."""
        reduced = self.reduction_conv(join_branches(inputs, self.upsampling))
        pyramid = {}
        for level, conv in self.level_convs.items():
            pool = 2 ** (int(level) - 2)
            pooled = tf.nn.avg_pool2d(reduced, pool, pool, "VALID")
            pyramid[level] = conv(pooled if pool > 1 else reduced)
        return pyramid


def join_branches(endpoints: Mapping[str, tf.Tensor], upsampling: str) -> tf.Tensor:
    """Joins all four branches at level 2: [B, H/4, W/4, 15C]."""
    size = spatial_size(endpoints[BRANCH_LEVELS[0]])
    return tf.concat(
        [
            upsample(endpoints[level], 2**branch, upsampling, size)
            if branch
            else endpoints[level]
            for branch, level in enumerate(BRANCH_LEVELS)
        ],
        axis=-1,
    )


def check_levels(
    decoder: str, input_specs: Mapping[str, Any], needed: Iterable[str]
) -> None:
    """Raises `ValueError` if a backbone lacks a level that a decoder reads."""
    if missing := [level for level in needed if level not in input_specs]:
        raise ValueError(
            f"The {decoder} decoder needs a backbone with a level-"
            f"{', -'.join(missing)} endpoint; got levels "
            f"{', '.join(sorted(input_specs))}."
        )


@factory.register_decoder_builder("hrnetv1")
def build_hrnetv1(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNetV1:
    """Builds `decoder: {type: hrnetv1}`; `ValueError` if there is no level 2."""
    del model_config, l2_regularizer
    check_levels("hrnetv1", input_specs, ["2"])
    return HRNetV1(name="hrnetv1")


@factory.register_decoder_builder("hrnetv2")
def build_hrnetv2(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNetV2:
    """Builds `decoder: {type: hrnetv2}`; `ValueError` without one of levels 2 to 5."""
    check_levels("hrnetv2", input_specs, BRANCH_LEVELS)
    return HRNetV2(
        upsampling=model_config.decoder.get().upsampling,
        settings=ConvSettings.of(model_config.norm_activation, l2_regularizer),
        name="hrnetv2",
    )


@factory.register_decoder_builder("hrnetv2p")
def build_hrnetv2p(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNetV2p:
    """Builds the decoder for `decoder: {type: hrnetv2p}`.

    Raises `ValueError` if the backbone lacks one of levels 2 to 5, or if the pyramid
    would have levels below 2 or none at all.
    """
    check_levels("hrnetv2p", input_specs, BRANCH_LEVELS)
    if not 2 <= model_config.min_level <= model_config.max_level:
        raise ValueError(
            "The hrnetv2p decoder makes level 2 and those above; got min_level "
            f"{model_config.min_level} and max_level {model_config.max_level}."
        )
    config = model_config.decoder.get()
    return HRNetV2p(
        min_level=model_config.min_level,
        max_level=model_config.max_level,
        num_filters=config.num_filters,
        upsampling=config.upsampling,
        kernel_regularizer=l2_regularizer,
        name="hrnetv2p",
    )
