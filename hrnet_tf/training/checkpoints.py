"""Restoring a run more strictly than the Garden's trainer does.

The Garden restores what matches between a checkpoint and a model, and the rest keeps
its random values; here both must match.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf.training import optimizers
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.weights import restoring, whole_checkpoints

_log = logging.getLogger(__name__)

_STEP = "global_step/.ATTRIBUTES/VARIABLE_VALUE"


def restore_model(model: tf_keras.Model, path: str) -> None:
    """Loads all of a model's weights; raises `ConfigError` if they are not its own."""
    with _advice("It must be of the configured task.model (and task.skeleton)"):
        parts = restoring.module_parts(model, restoring.ALL)
        restoring.restore(parts, path)


def restore_to_export(
    model: tf_keras.Model,
    params: cfg.ExperimentConfig,
    model_dir: str | None,
    checkpoint: str | None,
) -> str:
    """Loads the weights to export; returns their checkpoint's prefix.

    Loads `checkpoint` as it is, if given; else the run's best checkpoint; else its
    latest one, with the averaged weights if it has any. Raises `ConfigError` if there
    is none, or it is another model's.
    """
    if checkpoint:
        check_exists(checkpoint)
        restore_model(model, checkpoint)
        return checkpoint
    assert model_dir is not None
    if best := _best(params, model_dir):
        restore_model(model, best)
        return best
    latest = whole_checkpoints.newest(model_dir)
    if not latest:
        raise ConfigError(
            f"{model_dir} holds no checkpoint: train first, or name a checkpoint of "
            "another folder."
        )
    restore_model(model, latest)
    if params.trainer.optimizer_config.ema:
        optimizer = base_task.Task.create_optimizer(params.trainer.optimizer_config)
        optimizer.shadow_copy(model)
        WholeCheckpoint(model=model, optimizer=optimizer).restore(latest)
        # The method refuses to work under the default strategy.
        with tf.distribute.OneDeviceStrategy("CPU:0").scope():
            optimizer.swap_weights()
    return latest


def _best(params: cfg.ExperimentConfig, model_dir: str) -> str | None:
    """The best checkpoint of a run, if it keeps one and has one.

    Raises:
        ConfigError: If it is damaged.
    """
    subdir = params.trainer.best_checkpoint_export_subdir
    if not subdir:
        return None
    surveyed = whole_checkpoints.survey(os.path.join(model_dir, subdir))
    if surveyed.damaged and surveyed.newest is None:
        name, reason = surveyed.damaged[0]
        latest = whole_checkpoints.survey(model_dir).prefix
        raise ConfigError(
            f"The best checkpoint, {os.path.join(surveyed.folder, name)}, is damaged: "
            f"{reason}. Put back a copy"
            + (f", or take the latest with --checkpoint={latest}." if latest else ".")
        )
    whole_checkpoints.tell(surveyed)
    return surveyed.prefix


def check_exists(checkpoint: str) -> None:
    """Raises `ConfigError` if the flag --checkpoint names no whole checkpoint."""
    if not tf.io.gfile.exists(f"{checkpoint}.index"):
        held = whole_checkpoints.survey(checkpoint).prefix
        raise ConfigError(
            f"--checkpoint={checkpoint} names a folder: name the checkpoint in it, "
            f"such as {held}."
            if held
            else f"--checkpoint={checkpoint} names no checkpoint: there is no file "
            f"{checkpoint}.index."
        )
    if reason := whole_checkpoints.damage(checkpoint):
        raise ConfigError(
            f"--checkpoint={checkpoint} is damaged: {reason}. Copy it again, or take "
            "another checkpoint."
        )


def load_initial(model: tf_keras.Model, task: cfg.TaskConfig) -> None:
    """Loads `init_checkpoint`, or modules of it, whole; or raises `ConfigError`."""
    if task.init_checkpoint:
        with _advice(
            "task.init_checkpoint must fit task.model (and task.skeleton), or "
            "task.init_checkpoint_modules must name what fits, such as backbone"
        ):
            restoring.load_modules(
                model, task.init_checkpoint, task.init_checkpoint_modules
            )


def saved_step(path: str) -> int:
    """The step at which a checkpoint was written; 0 if training did not write it."""
    with restoring.whole_files(path):
        reader = tf.train.load_checkpoint(path)
        return int(reader.get_tensor(_STEP)) if reader.has_tensor(_STEP) else 0


@contextlib.contextmanager
def _advice(text: str) -> Iterator[None]:
    try:
        yield
    except restoring.CheckpointError as error:
        raise ConfigError(
            f"{error} {text}; those of a run are in the params.yaml of its --model_dir."
        ) from error


class WholeCheckpoint(tf.train.Checkpoint):
    """Does not complain about what is not restored: the optimizer, in an evaluation."""

    def restore(self, save_path: str, options: Any = None) -> Any:
        with restoring.whole_files(save_path):
            return super().restore(save_path, options).expect_partial()


class TrainerCheckpoint(WholeCheckpoint):
    """Restores the state of training, but not what the configuration says."""

    def __init__(self, trains: bool, **items: Any):
        super().__init__(**items)
        self._constants = optimizers.Constants(self.optimizer) if trains else None

    def restore(self, save_path: str, options: Any = None) -> Any:
        status = super().restore(save_path, options)
        if self._constants is not None:
            self._constants.set_again()
        optimizers.begin_averages(self.optimizer, save_path)
        return status
