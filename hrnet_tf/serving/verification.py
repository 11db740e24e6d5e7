"""Compares an exported model with the checkpoint that it was made from.

Both predict the same validation data: the checkpoint as in an evaluation, the exported
model as an app would call it. The same evaluator scores both; each kind's exporter
says how.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from hrnet_tf.messages import UserError

# Maps may differ by this share of their standard deviation, as float32 arithmetic
# does when its operations are reordered.
MAX_MAP_DIFFERENCE = 1e-4


class VerificationError(UserError):
    """An exported model does not do what its checkpoint does."""


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model did.

    Attributes:
        metric: What is compared, AP or mIoU.
        value: The metric.
        count: What was predicted: people or images.
        sample: On what, in words.
        image_ids: The images that were counted, of kinds that have ids.
    """

    metric: str
    value: float
    count: int
    sample: str
    image_ids: tuple[int, ...]


def check_loss(checkpoint: Score, exported: Score, max_loss: float) -> None:
    """Refuses an exported model that loses too much.

    Raises:
        VerificationError: If its metric is lower by more than `max_loss`.
    """
    loss = checkpoint.value - exported.value
    if exported.count != checkpoint.count:
        raise VerificationError(
            f"The checkpoint predicted {checkpoint.sample} and the exported model "
            f"{exported.sample}."
        )
    if loss > max_loss:
        raise VerificationError(
            f"The exported model loses {loss:.4f} {checkpoint.metric} "
            f"({checkpoint.value:.4f} to {exported.value:.4f}), more than the "
            f"{max_loss:g} that --max_loss allows; nothing was written."
        )


def check_maps(expected: np.ndarray, received: np.ndarray, maps: str) -> float:
    """Compares heatmaps or logits of a float32 graph with the checkpoint's.

    Args:
        expected: The checkpoint's.
        received: The exported model's.
        maps: What they are, for messages.

    Returns:
        The greatest difference as a share of the standard deviation.

    Raises:
        VerificationError: If it is above `MAX_MAP_DIFFERENCE`.
    """
    difference = float(np.abs(received - expected).max() / np.std(expected))
    if not difference <= MAX_MAP_DIFFERENCE:  # NaN neither.
        raise VerificationError(
            f"The exported {maps} differ from the checkpoint's by {difference:.1e} "
            f"of their standard deviation, more than {MAX_MAP_DIFFERENCE:.0e}; "
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
