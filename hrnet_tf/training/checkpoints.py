"""Restoring a run more strictly than the Garden's trainer does.

The Garden restores what matches between a checkpoint and a model, and the rest keeps
its random values; here both must match. And if there are several workers, each
continues from the chief's checkpoint.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import base_task, base_trainer, train_lib
from official.core import config_definitions as cfg

from hrnet_tf.training import optimizers
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.weights import restoring

# How long compiling takes, as log lines say it.
COMPILING = "which takes from seconds to minutes"

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
    subdir = params.trainer.best_checkpoint_export_subdir
    best = subdir and tf.train.latest_checkpoint(os.path.join(model_dir, subdir))
    if best:
        restore_model(model, best)
        return best
    latest = tf.train.latest_checkpoint(model_dir)
    if not latest:
        raise ConfigError(
            f"--model_dir={model_dir} holds no checkpoint: train first, or name one "
            "with --checkpoint."
        )
    restore_model(model, latest)
    if params.trainer.optimizer_config.ema:
        optimizer = base_task.Task.create_optimizer(params.trainer.optimizer_config)
        optimizer.shadow_copy(model)
        _Checkpoint(model=model, optimizer=optimizer).restore(latest)
        # The method refuses to work under the default strategy.
        with tf.distribute.OneDeviceStrategy("CPU:0").scope():
            optimizer.swap_weights()
    return latest


def check_exists(checkpoint: str) -> None:
    """Raises `ConfigError` if the flag --checkpoint names no checkpoint."""
    if not tf.io.gfile.exists(f"{checkpoint}.index"):
        raise ConfigError(
            f"--checkpoint={checkpoint} names no checkpoint: there is no file "
            f"{checkpoint}.index."
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


class _Checkpoint(tf.train.Checkpoint):
    """Does not complain about what is not restored: the optimizer, in an evaluation."""

    def restore(self, save_path: str, options: Any = None) -> Any:
        with restoring.whole_files(save_path):
            return super().restore(save_path, options).expect_partial()


class _TrainerCheckpoint(_Checkpoint):
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


class Trainer(base_trainer.Trainer):
    """The Garden's trainer, but an `init_checkpoint` is loaded whole or not at all."""

    def __init__(
        self, config: cfg.ExperimentConfig, *args: Any, train: bool, **kwargs: Any
    ):
        _log.info("Reading the data.")
        super().__init__(config, *args, train=train, **kwargs)
        self._checkpoint = _TrainerCheckpoint(
            train,
            global_step=self.global_step,
            model=self.model,
            optimizer=self.optimizer,
            **self.model.checkpoint_items,
        )
        self._has_evaluated = False

    def eval_begin(self) -> None:
        """Says once why the first evaluation begins with a pause."""
        if not self._has_evaluated:
            _log.info("First evaluation: TensorFlow compiles it, %s.", COMPILING)
            self._has_evaluated = True
        super().eval_begin()

    def initialize(self) -> None:
        """Loads `init_checkpoint`, in place of the task's own `initialize`.

        A task of the Garden without `init_checkpoint_modules` loads it in its own way.
        """
        if hasattr(self.config.task, "init_checkpoint_modules"):
            load_initial(self.model, self.config.task)
        else:
            super().initialize()


class Runner(train_lib.OrbitExperimentRunner):
    """The Garden's runner, with checkpoints in `model_dir` for every worker.

    The Garden gives workers other than the chief a new, empty folder at every start:
    they would begin at step 0 beside a chief that does not.
    """

    def _maybe_build_checkpoint_manager(self) -> tf.train.CheckpointManager:
        return tf.train.CheckpointManager(
            self.trainer.checkpoint,
            directory=self.model_dir,
            max_to_keep=self.params.trainer.max_to_keep,
            step_counter=self.trainer.global_step,
            checkpoint_interval=self.params.trainer.checkpoint_interval,
            init_fn=self.trainer.initialize,
        )


@contextlib.contextmanager
def worker_dir(
    params: cfg.ExperimentConfig, model_dir: str, is_chief: bool
) -> Iterator[str]:
    """Yields the model directory to the chief, and a temporary copy to other workers.

    All workers must save, since they read variables together, but no two may write the
    same file. They must also agree on when to save, so each starts with the same latest
    checkpoint and the same best metric.
    """
    if is_chief:
        yield model_dir
        return
    state = ["checkpoint"]
    if latest := tf.train.latest_checkpoint(model_dir):
        files = tf.io.gfile.glob(f"{latest}.*")
        state += [os.path.relpath(file, model_dir) for file in files]
    if params.trainer.best_checkpoint_export_subdir:
        state.append(
            os.path.join(params.trainer.best_checkpoint_export_subdir, "info.json")
        )
    with tempfile.TemporaryDirectory() as folder:
        for name in state:
            source, copy = os.path.join(model_dir, name), os.path.join(folder, name)
            if tf.io.gfile.exists(source):
                tf.io.gfile.makedirs(os.path.dirname(copy))
                tf.io.gfile.copy(source, copy)
        yield folder
