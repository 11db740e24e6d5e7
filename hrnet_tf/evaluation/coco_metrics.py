"""COCO's AP and AR, as pycocotools computes them, without its printing."""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_tf.evaluation.coco_files import index

# pycocotools' value for a metric that has no ground truth to be computed from.
UNDEFINED = -1.0

ResultT = TypeVar("ResultT")


def evaluate(
    ground_truth: COCO,
    results: Sequence[dict[str, Any]],
    kind: str,
    image_ids: Iterable[int] | None = None,
    sigmas: np.ndarray | None = None,
) -> COCOeval:
    """Compares results in COCO's format with the ground truth.

    `kind` is bbox, segm or keypoints; all images count if `image_ids` is None; `sigmas`
    are the falloff constants of keypoints.

    Returns:
        The evaluation, whose `stats` are the summary and `eval` the details.
    """
    evaluation = prepare(ground_truth, results, kind, image_ids, sigmas)
    quietly(evaluation.evaluate)
    quietly(evaluation.accumulate)
    quietly(evaluation.summarize)
    return evaluation


def prepare(
    ground_truth: COCO,
    results: Sequence[dict[str, Any]],
    kind: str,
    image_ids: Iterable[int] | None = None,
    sigmas: np.ndarray | None = None,
) -> COCOeval:
    """As `evaluate`, but nothing is compared yet: `params` may still be changed."""
    counted = set(ground_truth.imgs if image_ids is None else image_ids)
    if results:
        # It adds keys to every result, and leaves the values alone.
        copies = [dict(row) for row in results]
        predictions = quietly(lambda: ground_truth.loadRes(copies))
    else:  # loadRes looks into the first result.
        predictions = index({**ground_truth.dataset, "annotations": []})
    evaluation = COCOeval(ground_truth, predictions, kind)
    if sigmas is not None:
        evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.params.imgIds = sorted(counted)
    return evaluation


def quietly(call: Callable[[], ResultT]) -> ResultT:
    """Calls something of pycocotools, and keeps what it prints to itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call()


def format_value(value: float) -> str:
    """A metric as a table shows it; "-" if it is undefined."""
    return "-" if value == UNDEFINED else f"{value:.3f}"


def format_percent(value: float) -> str:
    """A share as a table shows it, in percent; "-" if it is undefined."""
    return "-" if value == UNDEFINED else f"{100 * value:.2f}"


def mean(values: np.ndarray) -> float:
    """The mean; `UNDEFINED` of nothing."""
    return float(values.mean()) if values.size else UNDEFINED
