"""Keeps an optimizer as it is configured when its state is restored.

Keras keeps constants like the learning rate in variables, and a checkpoint has them:
restored, they would silently replace what the configuration says now.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.modeling.hyperparams import params_dict

from hrnet_tf.input_files import InputFileError, read_yaml
from hrnet_tf.messages import shown

_log = logging.getLogger(__name__)


class Constants:
    """The constants of an optimizer, as they are configured."""

    def __init__(self, optimizer: tf_keras.optimizers.Optimizer):
        """Creates the variables of the constants, unless they are there already."""
        self._configured = [
            (variable, float(tf.convert_to_tensor(variable)))
            for variable in _constants(optimizer)
        ]

    def set_again(self) -> None:
        """Puts the configured constants in place of restored ones."""
        for variable, configured in self._configured:
            variable.assign(configured)


def _constants(optimizer: tf_keras.optimizers.Optimizer) -> Iterator[tf.Variable]:
    *_, inner = _layers(optimizer)
    if isinstance(inner, tf_keras.optimizers.legacy.Optimizer):
        inner._create_hypers()
        # Schedules are no variables, and so are not restored.
        for value in inner._hyper.values():
            if isinstance(value, tf.Variable):
                yield value
    # Newer optimizers keep nothing else in a variable.
    elif isinstance(inner._learning_rate, tf.Variable):
        yield inner._learning_rate


def _layers(optimizer: tf_keras.optimizers.Optimizer) -> Iterator[Any]:
    """The optimizer and those within: averages and loss scales wrap another."""
    layer: Any = optimizer
    while layer is not None:
        yield layer
        layer = getattr(layer, "_optimizer", None)


def log_changes(config: optimization.OptimizationConfig, model_dir: str) -> None:
    """Says what differs from the configuration that a run was trained with so far."""
    path = os.path.join(model_dir, "params.yaml")
    if not tf.io.gfile.exists(path):
        return
    try:
        old = read_yaml(path, params_dict._LOADER)
    except InputFileError as error:
        _log.warning("%s It is written again.", error.message)
        return
    for key in ("trainer", "optimizer_config"):
        old = old.get(key) if isinstance(old, dict) else None
    if not isinstance(old, dict):
        return
    for key, was, now in _changes(old, config.as_dict(), "trainer.optimizer_config"):
        _log.info(
            "%s is %s now; the run was trained with %s.%s",
            key,
            _shown(now),
            _shown(was),
            _NEW_STATE if key.endswith(".optimizer.type") else "",
        )


_NEW_STATE = (
    " The optimizer's state starts afresh, but for what both keep under the same names."
)


def _changes(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Keys whose values differ; of sections of another type, only the type."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield path, old, new
    elif old.get("type") != new.get("type"):
        yield f"{path}.type", old.get("type"), new.get("type")
    else:
        for key in new:
            # A key of a later version was at its default.
            if key in old:
                yield from _changes(old[key], new[key], f"{path}.{key}")


def _shown(value: Any) -> str:
    return "a section" if isinstance(value, dict) else shown(value)


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
