"""What HRNet and Lite-HRNet share: endpoints by level, and transitions between stages.

Feature maps travel in lists, highest resolution first: branch i is
[B, H / 2^(2 + i), W / 2^(2 + i), C * 2^i] for an image [B, H, W, 3].
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams

from hrnet_tf.modeling.blocks import ConvSettings

ANY_IMAGE = tf_keras.layers.InputSpec(shape=[None, None, None, 3])


class ParallelBackbone(tf_keras.Model):
    """A functional model from images to a dict of endpoints keyed by level.

    Attributes:
        spec_type: Of the numbers that make one network differ from another.
    """

    spec_type: ClassVar[type[hyperparams.Config]]

    def __init__(
        self,
        inputs: tf.Tensor,
        endpoints: dict[str, tf.Tensor],
        spec: hyperparams.Config,
        settings: ConvSettings,
        **kwargs: Any,
    ):
        super().__init__(inputs=inputs, outputs=endpoints, **kwargs)
        self._spec = spec
        self._image_shape = list(inputs.shape)
        self._settings = settings
        self._output_specs = {
            level: feature.get_shape() for level, feature in endpoints.items()
        }

    @property
    def output_specs(self) -> dict[str, tf.TensorShape]:
        """Shape of every endpoint, by level."""
        return self._output_specs

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "spec": self._spec.as_dict(),
            "input_shape": self._image_shape,
            "settings": self._settings.to_config(),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ParallelBackbone":
        del custom_objects
        arguments = dict(config)
        spec = cls.spec_type()
        spec.override(arguments.pop("spec"))
        return cls(
            spec=spec,
            input_specs=tf_keras.layers.InputSpec(shape=arguments.pop("input_shape")),
            settings=ConvSettings.from_config(arguments.pop("settings")),
            **arguments,
        )


def by_level(features: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """Branches as endpoints: branch i has stride 2^(2 + i), and is level 2 + i."""
    return {str(level): x for level, x in enumerate(features, start=2)}


def transition(
    features: Sequence[tf.Tensor],
    stage: int,
    width: int,
    conv3x3: Callable[..., tf_keras.layers.Layer],
    settings: ConvSettings,
) -> list[tf.Tensor]:
    """Brings the features to `width` and adds the stage's new, lowest branch.

    A 3x3 convolution stands only where the width changes: after stage 1. `conv3x3`
    makes one, as `SeparableConvNorm` does.
    """

    def convolve(x: tf.Tensor, branch: int, strides: int) -> tf.Tensor:
        return conv3x3(
            filters=width * 2**branch,
            strides=strides,
            settings=settings,
            name=f"transition{stage - 1}_branch{branch}",
        )(x)

    branches = [
        feature
        if feature.shape[-1] == width * 2**branch
        else convolve(feature, branch, strides=1)
        for branch, feature in enumerate(features)
    ]
    return [*branches, convolve(features[-1], len(features), strides=2)]
