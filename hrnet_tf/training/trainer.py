"""The Garden's trainer and its runner, which here stop when they are asked to.

A signal is heeded between two steps, after which a checkpoint is saved, or at any time
of an evaluation. Several workers stop together, at the end of a loop.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import orbit
import tensorflow as tf
from official.core import base_task, base_trainer, train_lib
from official.core import config_definitions as cfg
from official.modeling import optimization

from hrnet_tf import signals
from hrnet_tf.tasks.evaluation import EvaluatedTask
from hrnet_tf.training import checkpoints, devices, workers
from hrnet_tf.weights import whole_checkpoints

# How long compiling takes, as log lines say it.
COMPILING = "which takes from seconds to minutes"

# A loop is run in pieces of about so many seconds, between which signals are heeded.
_SHORT, _LONG = 0.5, 2.0

_log = logging.getLogger(__name__)


class Trainer(base_trainer.Trainer):
    """The Garden's trainer, but an `init_checkpoint` is loaded whole or not at all."""

    def __init__(
        self,
        config: cfg.ExperimentConfig,
        task: base_task.Task,
        *args: Any,
        train: bool,
        check_kept: Callable[[], None],
        **kwargs: Any,
    ):
        """`check_kept` raises an error if the model directory is another's by now."""
        _log.info("Reading the data.")
        if devices.are_steps_compiled(config) and not config.runtime.num_gpus:
            # The Garden compiles on GPUs alone.
            _log.info("XLA compiles the training step, which is slow on most CPUs.")
            task.train_step = tf.function(task.train_step, jit_compile=True)
        super().__init__(config, task, *args, train=train, **kwargs)
        self._checkpoint = checkpoints.TrainerCheckpoint(
            train,
            global_step=self.global_step,
            model=self.model,
            optimizer=self.optimizer,
            **self.model.checkpoint_items,
        )
        self._has_evaluated = False
        self._piece: int | None = None
        self.check_kept = check_kept
        if isinstance(task, EvaluatedTask):
            task.check_kept = check_kept

    def initialize(self) -> None:
        """Loads `init_checkpoint`, in place of the task's own `initialize`.

        A task of the Garden without `init_checkpoint_modules` loads it in its own way.
        """
        if hasattr(self.config.task, "init_checkpoint_modules"):
            checkpoints.load_initial(self.model, self.config.task)
        else:
            super().initialize()

    def create_train_loop_fn(self) -> Callable[..., None]:
        loop = super().create_train_loop_fn()
        return loop if workers.are_several(self.strategy) else self._in_pieces(loop)

    def _in_pieces(self, loop: Callable[..., None]) -> Callable[..., None]:
        """Runs a loop of steps in pieces, and ends it early if a signal asks for it."""

        def run(iterator: Any, num_steps: tf.Tensor) -> None:
            left = int(num_steps)
            if number := signals.received():
                # A loop without steps has no loss to report.
                raise signals.Stopped(number)
            while left > 0 and not signals.received():
                steps = min(left, self._piece or 1)
                begin = time.monotonic()
                # Compiling can take minutes, and nothing has been trained to lose.
                with signals.held(self._piece is not None):
                    loop(iterator, tf.constant(steps, tf.int32))
                if self.config.runtime.num_gpus:
                    tf.test.experimental.sync_devices()
                left -= steps
                self._piece = _next_piece(steps, time.monotonic() - begin)

        return run

    def eval_begin(self) -> None:
        """Says once why the first evaluation begins with a pause."""
        if not self._has_evaluated:
            _log.info("First evaluation: TensorFlow compiles it, %s.", COMPILING)
            self._has_evaluated = True
        super().eval_begin()

    def create_eval_loop_fn(self, has_state: bool) -> Callable[..., Any]:
        """The loop of an evaluation, which a signal ends at once."""
        return self._interruptible(super().create_eval_loop_fn(has_state))

    def evaluate(self, num_steps: tf.Tensor) -> Any:
        reduce = self.task.reduce_aggregated_logs
        # Scoring takes long, too.
        self.task.reduce_aggregated_logs = self._interruptible(reduce)
        try:
            output = super().evaluate(num_steps)
            self.check_kept()
            return output
        except signals.Stopped:
            # Nothing but these two is interrupted, and in both the averages are in use.
            if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
                self.optimizer.swap_weights()
            raise
        finally:
            self.task.reduce_aggregated_logs = reduce

    def _interruptible(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if workers.are_several(self.strategy):
            return function

        def run(*args: Any, **kwargs: Any) -> Any:
            with signals.released():
                return function(*args, **kwargs)

        return run


def _next_piece(steps: int, seconds: float) -> int:
    if seconds < _SHORT:
        return 2 * steps
    return max(steps // 2, 1) if seconds > _LONG else steps


class _Controller(orbit.Controller):
    """Orbit's controller, but training ends when a signal asks for it."""

    def _maybe_save_checkpoint(self, check_interval: bool = True) -> bool:
        """Also called after every loop, when all its actions have been taken."""
        if number := workers.stop_signal(self.strategy):
            raise signals.Stopped(number)
        self.trainer.check_kept()
        return super()._maybe_save_checkpoint(check_interval)


class Runner(train_lib.OrbitExperimentRunner):
    """The Garden's runner, with checkpoints in `model_dir` for every worker.

    The Garden gives workers other than the chief a new, empty folder at every start:
    they would begin at step 0 beside a chief that does not.
    """

    def __init__(self, params: cfg.ExperimentConfig, **kwargs: Any):
        # The Garden's own way is for several workers only, and does not end the run.
        own_way = {"preemption_on_demand_checkpoint": False}
        params = params.replace(trainer=own_way)
        super().__init__(params=params, controller_cls=_Controller, **kwargs)
        self._first_step = int(self.trainer.global_step.numpy())

    def _maybe_build_checkpoint_manager(self) -> tf.train.CheckpointManager | None:
        if "train" not in self._mode:
            return None  # It would believe what the directory says of itself.
        return tf.train.CheckpointManager(
            self.trainer.checkpoint,
            directory=self.model_dir,
            max_to_keep=self.params.trainer.max_to_keep,
            step_counter=self.trainer.global_step,
            checkpoint_interval=self.params.trainer.checkpoint_interval,
            init_fn=self.trainer.initialize,
        )

    def run(self) -> Any:
        """Runs; raises `signals.Stopped` if a signal ends training, which is saved."""
        if self._mode == "continuous_eval":
            return self._evaluate_continuously()
        if self._mode == "eval":
            return super().run()
        with signals.held(), _without_warning():
            try:
                return super().run()
            except signals.Stopped:
                self._save_what_there_is()
                raise

    def _save_what_there_is(self) -> None:
        step = int(self.trainer.global_step.numpy())
        if step == self._first_step:
            _log.info("Stopped before the first step: there is nothing new to save.")
            return
        # Of a loop that was not finished, and so not checked.
        if not math.isfinite(self.trainer.train_loss.result()):
            _log.warning("The loss is no number any more: this state is not saved.")
            return
        self.trainer.check_kept()
        orbit.Controller._maybe_save_checkpoint(self.controller, check_interval=False)
        # What other workers save is for nobody.
        if self.strategy.extended.should_checkpoint:
            self._tell_saved()

    def _tell_saved(self) -> None:
        """Says what was saved, if it is there."""
        self.trainer.check_kept()
        path = self.checkpoint_manager.latest_checkpoint
        if reason := whole_checkpoints.damage(path):
            raise whole_checkpoints.DamagedCheckpointError(
                f"{path} was saved, but is not whole: {reason}."
            )
        _log.info("Saved %s; the same command goes on from there.", path)

    def _evaluate_continuously(self) -> None:
        """Evaluates every new checkpoint, as the Garden does, but whole ones only."""
        trainer = self.params.trainer
        for path in _new_checkpoints(
            self.model_dir,
            trainer.continuous_eval_timeout,
            lambda: self.trainer.global_step.numpy() >= trainer.train_steps,
        ):
            try:
                with self.strategy.scope():
                    self.trainer.checkpoint.restore(path)
            except whole_checkpoints.DamagedCheckpointError:
                _log.info("Passes over %s, which training has deleted.", path)
                continue
            self.controller.evaluate(trainer.validation_steps)


def _new_checkpoints(
    folder: str, timeout: float | None, has_ended: Callable[[], bool]
) -> Iterator[str]:
    """Waits for checkpoints; `timeout` seconds without a new one may be the end."""
    last, begin = None, time.monotonic()
    while True:
        newest = whole_checkpoints.survey(folder).prefix
        if newest is not None and newest != last:
            yield newest
            last, begin = newest, time.monotonic()
            continue
        if timeout and time.monotonic() - begin > timeout:
            if has_ended():
                return
            begin = time.monotonic()
        time.sleep(1)


@contextlib.contextmanager
def _without_warning() -> Iterator[None]:
    """Keeps Orbit from warning of a loop that a signal ended early."""
    log = logging.getLogger("absl")
    log.addFilter(_is_no_warning)
    try:
        yield
    finally:
        log.removeFilter(_is_no_warning)


def _is_no_warning(record: logging.LogRecord) -> bool:
    return "did not update `global_step`" not in str(record.msg)
