"""What happens after every training loop and every evaluation (Orbit actions).

The Garden's trainer calls each with the loop's outputs: scalars by name.
"""

import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.evaluation.report import Report
from hrnet_tf.messages import UserError
from hrnet_tf.progress import Progress
from hrnet_tf.training.run_files import write_json
from hrnet_tf.weights import whole_checkpoints

_log = logging.getLogger(__name__)


class TrainingError(UserError):
    """Training cannot usefully go on; the message says why and what to try."""


class ReportProgress:
    """Shows step, loss, learning rate, images per second and the time left.

    Train inside its `with` block, entered once the first step is known.
    """

    def __init__(
        self, global_step: tf.Variable, train_steps: int, global_batch_size: int
    ):
        self._global_step = global_step
        self._train_steps = train_steps
        self._global_batch_size = global_batch_size

    def __enter__(self) -> "ReportProgress":
        self._last_step = int(self._global_step.numpy())
        steps_left = max(self._train_steps - self._last_step, 0)
        self._progress = Progress(steps_left * self._global_batch_size, "Training")
        self._progress.__enter__()
        return self

    def __call__(self, output: Mapping[str, Any]) -> None:
        """Shows the state after one loop."""
        step = int(self._global_step.numpy())
        self._progress.advance(
            (step - self._last_step) * self._global_batch_size,
            step=f"{step}/{self._train_steps}",
            loss=float(output["training_loss"]),
            # A constant one is a variable, and with several devices one of several.
            learning_rate=float(tf.convert_to_tensor(output["learning_rate"])),
        )
        self._last_step = step

    def __exit__(self, *exception: object) -> None:
        self._progress.__exit__(*exception)


class StopOnDivergence:
    """Ends training when the loss diverges, before the weights are saved.

    The loss has diverged if it is NaN or infinite, or if it is above
    `trainer.loss_upper_bound` from step `trainer.recovery_begin_steps` on. The Garden
    goes back to the last checkpoint `trainer.recovery_max_trials` times; the next
    time, training ends.
    """

    def __init__(
        self,
        global_step: tf.Variable,
        trainer_config: cfg.TrainerConfig,
        model_dir: str,
    ):
        self._global_step = global_step
        self._config = trainer_config
        self._model_dir = model_dir
        self._times_diverged = 0

    def __call__(self, output: Mapping[str, Any]) -> None:
        """Checks one loop's mean loss; raises `TrainingError` if no trial is left."""
        loss = float(output["training_loss"])
        last = int(self._global_step.numpy())
        bound = self._config.loss_upper_bound
        is_bounded = loss <= bound or last < self._config.recovery_begin_steps
        if math.isfinite(loss) and is_bounded:
            return
        self._times_diverged += 1
        if self._times_diverged <= self._config.recovery_max_trials:
            return
        above = f", above trainer.loss_upper_bound={bound:g}," if loss > bound else ""
        optimizer = self._config.optimizer_config.optimizer.type
        saved = (
            f"Checkpoints in {self._model_dir} are from before; the same command "
            "continues from the last of them."
            if whole_checkpoints.survey(self._model_dir).newest
            else f"{self._model_dir} has no checkpoint yet."
        )
        first = max(last - self._config.steps_per_loop, 0) + 1
        raise TrainingError(
            f"The training loss became {loss:g}{above} between steps {first} and "
            f"{last}. Try a lower learning rate "
            "(trainer.optimizer_config.learning_rate), gradient clipping "
            f"(trainer.optimizer_config.optimizer.{optimizer}.global_clipnorm=1.0), or "
            "float32 or bfloat16 instead of float16 (runtime.mixed_precision_dtype). "
            f"{saved}"
        )


class Profile:
    """Profiles some steps of training, for TensorBoard; see `configs.recipes`.

    Train inside its `with` block, which ends a profile that has begun.
    """

    def __init__(self, global_step: tf.Variable, steps: Sequence[int], model_dir: str):
        self._global_step = global_step
        self._steps = list(steps)
        self._model_dir = model_dir
        self._is_running = False
        self._begin = 0

    def __enter__(self) -> "Profile":
        step = int(self._global_step.numpy())
        if self._steps and step >= self._steps[0]:
            _log.info(
                "trainer.profile_steps is %s, but the run goes on from step %d: "
                "nothing is profiled.",
                self._steps,
                step,
            )
            self._steps = []
        return self

    def __call__(self, output: Mapping[str, Any]) -> None:
        """Begins or ends the profile after a loop: the first one, compiling, is out."""
        step = int(self._global_step.numpy())
        if self._is_running and step >= self._steps[1]:
            self._stop()
        elif not self._is_running and self._steps and step >= self._steps[0]:
            tf.profiler.experimental.start(self._model_dir)
            self._is_running = True
            self._begin = step

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self._is_running = False
        self._steps = []
        if int(self._global_step.numpy()) == self._begin:
            _log.warning(
                "Training ended where the profile of trainer.profile_steps begins, at "
                "step %d: the profile holds no step.",
                self._begin,
            )
        else:
            _log.info("Wrote a profile to %s/plugins/profile.", self._model_dir)

    def __exit__(self, *exception: object) -> None:
        if self._is_running:
            self._stop()


class ReportEvaluation:
    """Prints an evaluation's table and writes metrics.json into the model directory."""

    def __init__(
        self,
        global_step: tf.Variable,
        model_dir: str,
        report: Report,
        stream: TextIO | None = None,
    ):
        self._global_step = global_step
        self._model_dir = model_dir
        self._report = report
        self._stream = stream or sys.stdout

    def __call__(self, output: Mapping[str, Any]) -> None:
        """Reports one evaluation."""
        metrics = {
            name: float(value)
            for name, value in output.items()
            if is_scalar(value) and not name.startswith("image/")
        }
        step = int(self._global_step.numpy())
        explanation = self._report.explain()
        print(
            f"\nEvaluation at step {step} on {self._report.data}:\n"
            f"{self._report.format_table(metrics)}"
            + (f"\n\n{explanation}" if explanation else ""),
            file=self._stream,
            flush=True,
        )
        write_json(
            os.path.join(self._model_dir, "metrics.json"),
            {**metrics, "step": step, **self._report.facts},
        )


def is_scalar(value: Any) -> bool:
    """Whether a value of an evaluation is one number."""
    # To numpy, a mapping is a scalar; some tasks of the Garden return mappings.
    return np.ndim(value) == 0 and not isinstance(value, Mapping)
