"""The loop of an evaluation, once for all tasks: count, score, draw, write.

The Garden's trainer calls `aggregate_logs` after every step and
`reduce_aggregated_logs` at the end.
"""

import abc
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf import visualization
from hrnet_tf.evaluation.report import Report
from hrnet_tf.progress import Progress

# Height and width of a picture of predictions: small images are enlarged to it.
PICTURE_SIZE = (360, 480)

# What the Garden's trainer calls the mean loss among an evaluation's metrics.
VALIDATION_LOSS = "validation_loss"

# A step's outputs by name: a tuple with one tensor per replica.
StepOutputs = Mapping[str, tuple[tf.Tensor, ...]]


class Evaluator(Protocol):
    """Scores what it is given between `reset` and `evaluate`."""

    def reset(self) -> None:
        """Forgets everything."""

    def evaluate(self) -> dict[str, float]:
        """Returns the metrics by name."""


EvaluatorT = TypeVar("EvaluatorT", bound=Evaluator)


@dataclasses.dataclass
class Evaluation:
    """An evaluation under way."""

    progress: Progress
    # Pictures for TensorBoard alone, uint8 [H, W, 3] by name.
    summaries: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # What the task keeps to draw later.
    examples: list[Any] = dataclasses.field(default_factory=list)
    # What the task adds up, if its loss is not a mean of the steps' losses.
    loss_sum: float = 0.0


class EvaluatedTask(base_task.Task, Generic[EvaluatorT]):
    """A task that collects predictions over all steps, then scores and draws them.

    Subclasses say what is predicted (`validation_step`), scored and drawn.
    """

    # What is counted, in the singular.
    unit = "image"
    # Raises an error if `logging_dir` may not be written to any more.
    check_kept: Callable[[], None] = staticmethod(lambda: None)
    # Whether an evaluation is explained if the configuration does not say: where it is
    # all that is done.
    explains_by_default = False

    @abc.abstractmethod
    def build_evaluator(self) -> EvaluatorT:
        """An evaluator of the configured data that has seen no predictions yet."""

    @abc.abstractmethod
    def report(self) -> Report:
        """What belongs beside the metrics."""

    @abc.abstractmethod
    def add_step(self, evaluation: Evaluation, outputs: StepOutputs) -> int:
        """Hands outputs of a step to the evaluator; returns how many rows are real."""

    @abc.abstractmethod
    def compare(self, evaluation: Evaluation, count: int) -> Iterable[np.ndarray]:
        """Draws predictions beside the truth for the first `count` images."""

    @abc.abstractmethod
    def read_record(self, data: cfg.DataConfig, serialized: tf.Tensor) -> Any:
        """Reads one record of some data, in graph, as the input pipeline does."""

    def prepare(self, inputs: Any) -> Any:
        """What the network and the losses see of a batch for training.

        Runs in the step, on the accelerator: the host sends bytes.
        """
        return inputs

    def train_step(
        self,
        inputs: Any,
        model: tf_keras.Model,
        optimizer: tf_keras.optimizers.Optimizer,
        metrics: Any = None,
    ) -> dict[str, tf.Tensor]:
        return super().train_step(self.prepare(inputs), model, optimizer, metrics)

    def score(self, evaluation: Evaluation) -> dict[str, float]:
        """Returns the metrics of all steps."""
        return self._evaluator.evaluate()

    def draw(self) -> dict[str, np.ndarray]:
        """Pictures of the scores, uint8 [H, W, 3] by the names of their files."""
        return {}

    def write_results(self, path: str) -> None:
        """Writes all predictions as JSON, if the benchmark has a format for them."""

    def explain(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Writes what is behind metrics, if the task can tell and is asked to.

        `step` is that of the weights, if it is known.
        """

    @functools.cached_property
    def _evaluator(self) -> EvaluatorT:
        return self.build_evaluator()

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """Returns the Garden's metrics for training; evaluations have an evaluator.

        Reads the truth now, so that a wrong file ends the run at its start.
        """
        if training:
            return super().build_metrics(training)
        self._evaluator.reset()
        return []

    def aggregate_logs(
        self, state: Evaluation | None = None, step_outputs: StepOutputs | None = None
    ) -> Evaluation:
        if state is None:
            self._evaluator.reset()
            progress = Progress(None, "Evaluating", unit=self.unit)
            state = Evaluation(progress.__enter__())
        state.progress.advance(self.add_step(state, step_outputs or {}))
        return state

    def reduce_aggregated_logs(
        self, aggregated_logs: Evaluation, global_step: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """Scores all predictions; the chief worker writes results and pictures."""
        # Of several replicas, it is one variable on each.
        step = None if global_step is None else int(tf.convert_to_tensor(global_step))
        aggregated_logs.progress.__exit__()
        logs: dict[str, Any] = self.score(aggregated_logs)
        if not tf.distribute.get_strategy().extended.should_checkpoint:
            return logs
        self.check_kept()
        self.write_results(os.path.join(self.logging_dir, "results.json"))
        self.explain(logs, step)
        pictures = self.draw()
        count = self.task_config.evaluation.num_pictures
        if count > 0 and (pairs := list(self.compare(aggregated_logs, count))):
            pictures["predictions"] = visualization.image_grid(pairs, columns=2)
        self.check_kept()
        for name, picture in pictures.items():
            path = os.path.join(self.logging_dir, f"{name}.png")
            visualization.write_image(path, picture)
        if self.task_config.allow_image_summary:
            for name, picture in {**aggregated_logs.summaries, **pictures}.items():
                logs[f"image/{name}"] = picture[np.newaxis]
        return logs


def gather(outputs: StepOutputs, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Joins the replicas' parts of some outputs to one array each."""
    return {
        name: np.concatenate([part.numpy() for part in outputs[name]]) for name in names
    }
