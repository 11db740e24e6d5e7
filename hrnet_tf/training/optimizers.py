"""Keeps an optimizer as it is configured when its state is restored.

Keras keeps constants like the learning rate in variables, and a checkpoint has them:
restored, they would silently replace what the configuration says now.
"""

import logging
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.modeling import optimization

_log = logging.getLogger(__name__)


class Constants:
    """The constants of an optimizer, as they are configured."""

    def __init__(self, optimizer: tf_keras.optimizers.Optimizer):
        """Creates the variables of the constants, unless they are there already."""
        self._configured = [
            (name, variable, float(tf.convert_to_tensor(variable)))
            for name, variable in _constants(optimizer)
        ]

    def set_again(self, config: cfg.TrainerConfig) -> None:
        """Puts the configured constants in place of restored ones; logs differences."""
        for name, variable, configured in self._configured:
            restored = float(tf.convert_to_tensor(variable))
            if restored == configured:
                continue
            variable.assign(configured)
            _log.info(
                "%s is %g now; the checkpoint was trained with %g.",
                _key(config, name),
                configured,
                restored,
            )


def _constants(
    optimizer: tf_keras.optimizers.Optimizer,
) -> Iterator[tuple[str, tf.Variable]]:
    *_, inner = _layers(optimizer)
    if isinstance(inner, tf_keras.optimizers.legacy.Optimizer):
        inner._create_hypers()
        for name, value in inner._hyper.items():
            # Schedules are no variables, and so are not restored.
            if isinstance(value, tf.Variable):
                yield name, value
    # Newer optimizers keep nothing else in a variable.
    elif isinstance(inner._learning_rate, tf.Variable):
        yield "learning_rate", inner._learning_rate


def _layers(optimizer: tf_keras.optimizers.Optimizer) -> Iterator[Any]:
    """The optimizer and those within: averages and loss scales wrap another."""
    layer: Any = optimizer
    while layer is not None:
        yield layer
        layer = getattr(layer, "_optimizer", None)


def _key(config: cfg.TrainerConfig, name: str) -> str:
    path = "trainer.optimizer_config"
    if name == "learning_rate":
        return f"{path}.learning_rate.constant.learning_rate"
    return f"{path}.optimizer.{config.optimizer_config.optimizer.type}.{name}"


def begin_averages(optimizer: tf_keras.optimizers.Optimizer, checkpoint: str) -> None:
    """Begins averages at the restored weights where a checkpoint has no averages.

    They would begin at 0, and an evaluation would score a network of small numbers.
    """
    averages = [
        layer
        for layer in _layers(optimizer)
        if isinstance(layer, optimization.ExponentialMovingAverage)
    ]
    if not averages:
        return
    names = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    if any("/.OPTIMIZER_SLOT/optimizer/average/" in name for name in names):
        return
    for average, weight in zip(
        averages[0]._average_weights, averages[0]._model_weights, strict=True
    ):
        average.assign(weight)
    _log.info(
        "trainer.optimizer_config.ema: %s has no averages, so they begin at its "
        "weights.",
        checkpoint,
    )
