"""The metrics of predicted people, chosen by `task.evaluation.metric`.

`oks` is COCO's AP, `pckh` MPII's, `nme` that of faces, and `pck` for anything.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hrnet_tf.configs.pose import Evaluation
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import BBOX_SIDE, Skeleton
from hrnet_tf.evaluation import coco_keypoints, nme, pck
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.evaluation.distances import Normalizer, find_normalizer
from hrnet_tf.evaluation.measured_people import MeasuringEvaluator
from hrnet_tf.evaluation.nme import NMEEvaluator
from hrnet_tf.evaluation.pck import PCKEvaluator, PCKhEvaluator
from hrnet_tf.evaluation.people import GROUND_TRUTH, PeopleEvaluator


class _Metric(NamedTuple):
    """What a value of `task.evaluation.metric` stands for.

    Attributes:
        names: The names of what is computed at some thresholds, the main one first.
        normalizer: What errors are divided by, if by anything.
        build: An evaluator that has seen no predictions yet.
    """

    names: Callable[[Sequence[float]], list[str]]
    normalizer: Callable[[Evaluation, Skeleton], Normalizer | None]
    build: Callable[[Evaluation, Truth[CocoPeople], Skeleton, str], PeopleEvaluator]


def _build_oks(
    config: Evaluation, truth: Truth[CocoPeople], skeleton: Skeleton, box_source: str
) -> PeopleEvaluator:
    return COCOKeypointEvaluator(
        truth,
        skeleton.sigmas,
        keypoint_score_threshold=config.keypoint_score_threshold,
        oks_nms_threshold=config.oks_nms_threshold,
        soft_oks_nms=config.soft_oks_nms,
        box_source=box_source,
    )


def _build_pckh(
    config: Evaluation, truth: Truth[CocoPeople], skeleton: Skeleton, box_source: str
) -> PeopleEvaluator:
    return PCKhEvaluator(truth, skeleton, config.thresholds, box_source)


def _by_normalizer(evaluator: type[MeasuringEvaluator], otherwise: str = "") -> _Metric:
    """A metric whose normaliser is configured, or the skeleton's, or `otherwise`."""

    def normalizer(config: Evaluation, skeleton: Skeleton) -> Normalizer:
        return find_normalizer(config.normalizer, skeleton, otherwise)

    def build(
        config: Evaluation,
        truth: Truth[CocoPeople],
        skeleton: Skeleton,
        box_source: str,
    ) -> PeopleEvaluator:
        length = normalizer(config, skeleton)
        return evaluator(truth, skeleton, length, config.thresholds, box_source)

    return _Metric(evaluator.names, normalizer, build)


_METRICS = {
    "oks": _Metric(
        lambda thresholds: list(coco_keypoints.METRICS),
        lambda config, skeleton: None,
        _build_oks,
    ),
    "pckh": _Metric(
        pck.head_names, lambda config, skeleton: pck.HEAD_SIZE, _build_pckh
    ),
    "pck": _by_normalizer(PCKEvaluator, otherwise=BBOX_SIDE),
    "nme": _by_normalizer(NMEEvaluator),
}


def names(config: Evaluation) -> list[str]:
    """The metrics of an evaluation, the one that models are compared by first.

    `oks` has those by crowding, too, where annotations tell how crowded images are.
    """
    return _METRICS[config.metric].names(config.thresholds)


def lower_is_better(name: str) -> bool:
    """Whether a metric is an error: the lower, the better."""
    return name.startswith((nme.NME, nme.FAILURE_RATE))


def normalizer_of(config: Evaluation, skeleton: Skeleton) -> Normalizer | None:
    """What errors are divided by; None for `oks`. Raises `NormalizerError`."""
    return _METRICS[config.metric].normalizer(config, skeleton)


def build_evaluator(
    config: Evaluation,
    truth: Truth[CocoPeople],
    skeleton: Skeleton,
    box_source: str = GROUND_TRUTH,
) -> PeopleEvaluator:
    """An evaluator that has seen no predictions yet. Raises `NormalizerError`."""
    return _METRICS[config.metric].build(config, truth, skeleton, box_source)
