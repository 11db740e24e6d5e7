"""The metrics of predicted people, chosen by `task.evaluation.metric`.

`oks` is COCO's AP, `pckh` MPII's, `nme` that of faces, and `pck` for anything.
"""

from collections.abc import Callable

from hrnet_tf.configs.pose import Evaluation
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import BBOX_SIDE, Skeleton
from hrnet_tf.evaluation import coco_keypoints, nme, pck
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.evaluation.distances import Normalizer, find_normalizer
from hrnet_tf.evaluation.nme import NMEEvaluator
from hrnet_tf.evaluation.pck import PCKEvaluator, PCKhEvaluator
from hrnet_tf.evaluation.people import GROUND_TRUTH, PeopleEvaluator

_NAMES: dict[str, Callable[[list[float]], list[str]]] = {
    "oks": lambda thresholds: list(coco_keypoints.METRICS),
    "pckh": pck.head_names,
    "pck": pck.names,
    "nme": nme.names,
}


def names(config: Evaluation) -> list[str]:
    """The metrics of an evaluation, the one that models are compared by first.

    `oks` has those by crowding, too, where annotations tell how crowded images are.
    """
    return _NAMES[config.metric](config.thresholds)


def lower_is_better(name: str) -> bool:
    """Whether a metric is an error: the lower, the better."""
    return name.startswith((nme.NME, nme.FAILURE_RATE))


def normalizer_of(config: Evaluation, skeleton: Skeleton) -> Normalizer | None:
    """What errors are divided by; None for `oks`. Raises `NormalizerError`."""
    if config.metric == "oks":
        return None
    if config.metric == "pckh":
        return pck.HEAD_SIZE
    otherwise = BBOX_SIDE if config.metric == "pck" else ""
    return find_normalizer(config.normalizer, skeleton, otherwise)


def build_evaluator(
    config: Evaluation,
    truth: Truth[CocoPeople],
    skeleton: Skeleton,
    box_source: str = GROUND_TRUTH,
) -> PeopleEvaluator:
    """An evaluator that has seen no predictions yet. Raises `NormalizerError`."""
    normalizer = normalizer_of(config, skeleton)
    if normalizer is None:
        return COCOKeypointEvaluator(
            truth,
            skeleton.sigmas,
            keypoint_score_threshold=config.keypoint_score_threshold,
            oks_nms_threshold=config.oks_nms_threshold,
            soft_oks_nms=config.soft_oks_nms,
            box_source=box_source,
        )
    if config.metric == "pckh":
        return PCKhEvaluator(truth, skeleton, config.thresholds, box_source)
    given = truth, skeleton, normalizer, config.thresholds, box_source
    return NMEEvaluator(*given) if config.metric == "nme" else PCKEvaluator(*given)
