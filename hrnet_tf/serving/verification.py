"""Compares an exported model with the checkpoint that it was made from.

Both predict the same validation data: the checkpoint as in an evaluation, the exported
model as an app would call it. The same evaluator scores both.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.messages import UserError
from hrnet_tf.progress import Progress
from hrnet_tf.tasks.evaluation import EvaluatedTask

# Maps may differ by this share of their standard deviation, as float32 arithmetic
# does when its operations are reordered: 2e-4 of a trained Lite-HRNet's.
MAX_MAP_DIFFERENCE = 1e-3
# Its numbers have 8 bits: 2.5 of a trained Lite-HRNet's, whose peaks are high. The
# limit finds graphs that are wrong; what right ones lose, the comparison of AP says.
MAX_BFLOAT16_MAP_DIFFERENCE = 5.0


class VerificationError(UserError):
    """An exported model does not do what its checkpoint does."""


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model did.

    Attributes:
        metric: What is compared, such as AP or mIoU.
        value: The metric.
        count: What was predicted: people or images.
        sample: On what, in words.
        image_ids: The images that were counted, of kinds that have ids.
        lower_is_better: Whether the metric is an error.
    """

    metric: str
    value: float
    count: int
    sample: str
    image_ids: tuple[int, ...]
    lower_is_better: bool = False

    def loss(self, other: "Score") -> float:
        """What another model loses: how much worse it is; below 0 if it is better."""
        lost = self.value - other.value
        return -lost if self.lower_is_better else lost


def evaluate_checkpoint(
    task: EvaluatedTask,
    model: tf_keras.Model,
    evaluator: Any,
    names: Collection[str],
    max_images: int,
) -> tuple[tuple[int, ...], int]:
    """Hands what a model predicts of the first validation images to an evaluator.

    Args:
        task: The task.
        model: The model.
        evaluator: An evaluator of the task.
        names: Which outputs of `validation_step`, arrays over the batch, it reads.
        max_images: How many images; 0 for all.

    Returns:
        The images' ids, in order, and how many rows were predicted.
    """
    step = tf.function(lambda inputs: task.validation_step(inputs, model))
    image_ids: dict[int, None] = {}  # In order.
    num_rows = 0
    with Progress(None, "Evaluating the checkpoint", unit=task.unit) as progress:
        for inputs in task.build_inputs(task.task_config.validation_data):
            outputs = step(inputs)
            found = {name: outputs[name].numpy() for name in names}
            batch_ids = found["image_id"]
            for image_id in batch_ids[batch_ids != PADDING_ID].tolist():
                if image_id in image_ids or not 0 < max_images <= len(image_ids):
                    image_ids[image_id] = None
            counted = np.isin(batch_ids, list(image_ids))
            evaluator.update({name: v[counted] for name, v in found.items()})
            num_rows += int(counted.sum())
            progress.advance(int(counted.sum()))
            if not counted.all() and 0 < max_images <= len(image_ids):
                break
    return tuple(image_ids), num_rows


def evaluate_exported(
    predict: Callable[[Any], Mapping[str, Any]],
    records: Iterable[Any],
    evaluator: Any,
    image_ids: Collection[int],
) -> int:
    """Hands what an exported model predicts of some images to an evaluator.

    Args:
        predict: Returns what the evaluator reads of one record.
        records: All validation records, each with an `image_id`.
        evaluator: An evaluator of the task.
        image_ids: The images to predict.

    Returns:
        How many rows were predicted.
    """
    wanted = set(image_ids)
    num_rows = 0
    with Progress(len(wanted), "Evaluating the exported model") as progress:
        for record in records:
            if not wanted:
                break
            image_id = int(record["image_id"])
            if image_id in wanted:
                found = predict(record)
                evaluator.update(found)
                num_rows += len(found["image_id"])
                wanted.remove(image_id)
                progress.advance()
    return num_rows


def check_loss(
    checkpoint: Score, exported: Score, max_loss: float, advice: str = ""
) -> None:
    """Refuses an exported model that loses too much.

    Args:
        checkpoint: The score of the checkpoint.
        exported: That of the exported model.
        max_loss: How much worse it may be.
        advice: What can be done, at the end of the message.

    Raises:
        VerificationError: If its metric is worse by more than `max_loss`.
    """
    loss = checkpoint.loss(exported)
    if exported.count != checkpoint.count:
        raise VerificationError(
            f"The checkpoint predicted {checkpoint.sample} and the exported model "
            f"{exported.sample}."
        )
    if loss > max_loss:
        raise VerificationError(
            f"The exported model loses {loss:.4f} {checkpoint.metric} "
            f"({checkpoint.value:.4f} to {exported.value:.4f}), more than the "
            f"{max_loss:g} that --max_loss allows; nothing was written.{advice}"
        )


def check_maps(
    expected: np.ndarray,
    received: np.ndarray,
    maps: str,
    limit: float = MAX_MAP_DIFFERENCE,
) -> float:
    """Compares heatmaps or logits of a graph with the checkpoint's.

    Args:
        expected: The checkpoint's.
        received: The exported model's.
        maps: What they are, for messages.
        limit: How far they may differ; the default is for float32.

    Returns:
        The greatest difference as a share of the standard deviation.

    Raises:
        VerificationError: If it is above the limit.
    """
    difference = float(np.abs(received - expected).max() / np.std(expected))
    if not difference <= limit:  # True for NaN, too.
        raise VerificationError(
            f"The exported {maps} differ from the checkpoint's by {difference:.1e} "
            f"of their standard deviation, more than {limit:.0e}; "
            "nothing was written."
        )
    return difference


def latency(call: Callable[[], object], runs: int = 20) -> float:
    """Median duration of a call in milliseconds, after two calls to warm up."""
    call()
    call()
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return 1e3 * float(np.median(durations))
