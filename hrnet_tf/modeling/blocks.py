"""Building blocks: convolution + norm + activation, and residual blocks.

All tensors are [batch, height, width, channels].
"""

import abc
import dataclasses
import functools
import inspect
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.modeling import hyperparams, tf_utils


@dataclasses.dataclass(frozen=True)
class ConvSettings:
    """What all convolutions of one network share.

    Attributes:
        activation: Name of the activation after a norm, as the Garden spells it.
        use_sync_bn: Whether batch statistics span all replicas.
        norm_momentum: Share of the old moving statistics kept per step (Keras's
            convention: 0.9 here is torch's 0.1).
        norm_epsilon: Added to the variance.
        freeze_norm_statistics: Whether training also normalises by the moving
            statistics and leaves them unchanged. Scales and offsets are trained.
        kernel_initializer: `normal` for N(0, 0.001), `kaiming` for fan-out scaling.
        kernel_regularizer: Regulariser of the kernels, or None.
    """

    activation: str = "relu"
    use_sync_bn: bool = False
    norm_momentum: float = 0.9
    norm_epsilon: float = 1e-5
    freeze_norm_statistics: bool = False
    kernel_initializer: str = "normal"
    kernel_regularizer: tf_keras.regularizers.Regularizer | None = None

    @classmethod
    def of(
        cls,
        norm_activation: hyperparams.Config,
        kernel_regularizer: tf_keras.regularizers.Regularizer | None,
        **others: Any,
    ) -> "ConvSettings":
        """Returns the settings of a Garden `norm_activation`, and others by name."""
        return cls(
            activation=norm_activation.activation,
            use_sync_bn=norm_activation.use_sync_bn,
            norm_momentum=norm_activation.norm_momentum,
            norm_epsilon=norm_activation.norm_epsilon,
            kernel_regularizer=kernel_regularizer,
            **others,
        )

    def initializer(self) -> tf_keras.initializers.Initializer:
        """Returns a fresh initialiser, so that no two kernels share a random seed."""
        if self.kernel_initializer == "normal":
            return tf_keras.initializers.RandomNormal(stddev=0.001)
        if self.kernel_initializer == "kaiming":
            return tf_keras.initializers.VarianceScaling(
                2.0, mode="fan_out", distribution="untruncated_normal"
            )
        raise ValueError(
            f"kernel_initializer is {self.kernel_initializer!r}; it must be 'normal' "
            "or 'kaiming'."
        )

    def to_config(self) -> dict[str, Any]:
        """Returns the settings as plain JSON values, for `get_config`."""
        config = dataclasses.asdict(dataclasses.replace(self, kernel_regularizer=None))
        config["kernel_regularizer"] = tf_keras.regularizers.serialize(
            self.kernel_regularizer
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ConvSettings":
        """Returns the settings that `to_config` wrote."""
        regularizer = tf_keras.regularizers.get(config["kernel_regularizer"])
        return cls(**{**config, "kernel_regularizer": regularizer})


DEFAULT_SETTINGS = ConvSettings()


class ConfiguredLayer(tf_keras.layers.Layer):
    """A layer that keeps the arguments of its constructor under their names.

    AutoGraph leaves its `call` alone, which may not branch on a tensor's content: to
    convert all calls would take two fifths of the time that building a network takes.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):
            call = tf.autograph.experimental.do_not_convert(cls.call)
            # Keras looks which arguments it takes.
            call.__signature__ = inspect.signature(cls.call)
            cls.call = call

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in inspect.signature(type(self).__init__).parameters:
            if name in ("self", "kwargs"):
                continue
            value = getattr(self, name)
            if isinstance(value, ConvSettings):
                value = value.to_config()
            elif isinstance(value, tf_keras.regularizers.Regularizer):
                value = tf_keras.regularizers.serialize(value)
            config[name] = value
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ConfiguredLayer":
        if "settings" in config:
            settings = ConvSettings.from_config(config["settings"])
            config = {**config, "settings": settings}
        return cls(**config)


class NormedConv(ConfiguredLayer, abc.ABC):
    """A convolution, batch norm and, unless switched off, activation.

    Stride-2 convolutions are padded by (kernel_size - 1) / 2 on all sides, as in torch.
    TensorFlow's own 'SAME' pads an even side at its far end only, which gives the same
    shape but shifts what every output pixel sees.

    Subclasses make the convolution.
    """

    def __init__(
        self,
        conv: tf_keras.layers.Conv2D,
        activate: bool,
        settings: ConvSettings,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.activate = activate
        self.settings = settings
        self.conv = conv
        self.norm = tf_keras.layers.BatchNormalization(
            momentum=settings.norm_momentum,
            epsilon=settings.norm_epsilon,
            synchronized=settings.use_sync_bn,
            name="norm",
        )
        self.activation = tf_utils.get_activation(settings.activation)
        self._folded_bias: np.ndarray | None = None

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H / strides, W / strides, filters]."""
        x = inputs
        if self.conv.padding == "valid":
            before = (self.conv.kernel_size[0] - 1) // 2
            x = tf.pad(x, [[0, 0], [before, before], [before, before], [0, 0]])
        x = self.conv(x)
        if self._folded_bias is None:
            is_frozen = self.settings.freeze_norm_statistics
            x = self.norm(x, training=False if is_frozen else training)
        else:
            x = tf.nn.bias_add(x, tf.constant(self._folded_bias, x.dtype))
        return self.activation(x) if self.activate else x

    def fold_norm(self) -> None:
        """Moves the norm into the convolution: the same function, in one operation.

        For inference only, and final: afterwards the layer cannot be trained, saved or
        folded again.
        """
        norm = self.norm
        scale = norm.gamma / tf.sqrt(norm.moving_variance + norm.epsilon)
        bias = norm.beta - norm.moving_mean * scale
        if self.conv.use_bias:
            bias += self.conv.bias * scale
            self.conv.bias.assign(tf.zeros_like(self.conv.bias))
        self._scale_filters(scale)
        self._folded_bias = bias.numpy()

    @abc.abstractmethod
    def _scale_filters(self, scale: tf.Tensor) -> None:
        """Multiplies the kernel of every channel that comes out by a number."""


def _padding(strides: int) -> str:
    """What Keras is to pad: nothing where `NormedConv` does it."""
    return "same" if strides == 1 else "valid"


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class ConvNorm(NormedConv):
    """A convolution of all channels, norm and activation.

    The convolution has no bias, since the norm would cancel it, unless `use_bias` asks
    for one: some official layers have it, and so do their weights.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        activate: bool = True,
        use_bias: bool = False,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        conv = tf_keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding=_padding(strides),
            use_bias=use_bias,
            kernel_initializer=settings.initializer(),
            kernel_regularizer=settings.kernel_regularizer,
            name="conv",
        )
        super().__init__(conv, activate, settings, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.use_bias = use_bias

    def _scale_filters(self, scale: tf.Tensor) -> None:
        # A kernel is [height, width, in, out].
        self.conv.kernel.assign(self.conv.kernel * scale)


# Is called as `SeparableConvNorm` is.
conv3x3 = functools.partial(ConvNorm, kernel_size=3)


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class DepthwiseNorm(NormedConv):
    """A 3x3 convolution of each channel by itself and norm; seldom an activation."""

    def __init__(
        self,
        strides: int = 1,
        activate: bool = False,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        conv = tf_keras.layers.DepthwiseConv2D(
            3,
            strides=strides,
            padding=_padding(strides),
            use_bias=False,
            depthwise_initializer=settings.initializer(),
            depthwise_regularizer=settings.kernel_regularizer,
            name="conv",
        )
        super().__init__(conv, activate, settings, **kwargs)
        self.strides = strides

    def _scale_filters(self, scale: tf.Tensor) -> None:
        # A kernel is [height, width, channels, 1].
        kernel = self.conv.depthwise_kernel
        kernel.assign(kernel * scale[:, tf.newaxis])


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class SeparableConvNorm(ConfiguredLayer):
    """A depthwise 3x3 convolution and norm, then a 1x1 convolution as `ConvNorm`."""

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        activate: bool = True,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.activate = activate
        self.settings = settings
        self.depthwise = DepthwiseNorm(
            strides, settings=self.settings, name="depthwise"
        )
        self.pointwise = ConvNorm(
            filters, 1, activate=activate, settings=self.settings, name="pointwise"
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H / strides, W / strides, filters]."""
        x = self.depthwise(inputs, training=training)
        return self.pointwise(x, training=training)


class ResidualBlock(ConfiguredLayer, abc.ABC):
    """A chain of ConvNorms, plus its input, then the activation.

    Subclasses define the chain. Where it changes the number of channels, a 1x1 ConvNorm
    brings the shortcut to the same width.
    """

    expansion = 1

    def __init__(
        self,
        planes: int,
        settings: ConvSettings = DEFAULT_SETTINGS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.planes = planes
        self.settings = settings
        self.activation = tf_utils.get_activation(self.settings.activation)
        self.convs = self._build_convs()
        self.shortcut: ConvNorm | None = None

    @abc.abstractmethod
    def _build_convs(self) -> list[ConvNorm]:
        """Makes the chain."""

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the shortcut's convolution if the chain changes the width."""
        filters = self.planes * self.expansion
        if input_shape[-1] != filters:
            self.shortcut = ConvNorm(
                filters, 1, activate=False, settings=self.settings, name="shortcut"
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H, W, planes * expansion]."""
        x = inputs
        for conv in self.convs:
            x = conv(x, training=training)
        if self.shortcut is not None:
            inputs = self.shortcut(inputs, training=training)
        return self.activation(x + inputs)


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions: the block of stages 2 to 4."""

    def _build_convs(self) -> list[ConvNorm]:
        return [
            ConvNorm(self.planes, 3, settings=self.settings, name="conv1"),
            ConvNorm(
                self.planes, 3, activate=False, settings=self.settings, name="conv2"
            ),
        ]


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and a widening 1x1 convolution: the block of stage 1."""

    expansion = 4

    def _build_convs(self) -> list[ConvNorm]:
        return [
            ConvNorm(self.planes, 1, settings=self.settings, name="conv1"),
            ConvNorm(self.planes, 3, settings=self.settings, name="conv2"),
            ConvNorm(
                self.planes * self.expansion,
                1,
                activate=False,
                settings=self.settings,
                name="conv3",
            ),
        ]


def fold_norms(model: tf.Module) -> None:
    """Folds every norm behind a convolution; see `NormedConv.fold_norm`."""
    for layer in model.submodules:
        if isinstance(layer, NormedConv):
            layer.fold_norm()
