"""Whose pose each prediction is: by likeness, as COCO's evaluation matches people.

Where a metric is of annotated boxes, predictions say whose they are. Otherwise a
prediction belongs to the person whom it fits best at an OKS of at least 0.1, the limit
of Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation" (ICCV 2017), the most confident first; but where annotated boxes were
cropped, a prediction that fits the person of its box so well is that person's. Someone
whose left and right are all exchanged fits nobody: predictions and people who are left
over are compared in the mirror, too. What is left over then belongs to the person whose
annotated box was cropped, if it was.
"""

import dataclasses

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.explanation.average_precision import AveragePrecision
from hrnet_tf.evaluation.matched import (
    NOBODY,
    AnnotatedPeople,
    MatchedPeople,
    PredictedPeople,
    match_by_id,
)
from hrnet_tf.ops import oks

_LEAST_OKS = 0.1


@dataclasses.dataclass(frozen=True)
class Matches(MatchedPeople):
    """Predictions and truth of the same images.

    Attributes:
        is_false: bool [N], the false positives: of nobody, and not excused by a crowd,
            someone without labelled keypoints or COCO's 20 best predictions per image.
        is_duplicate: bool [N], those of them that fit someone who has a better one.
    """

    is_false: np.ndarray
    is_duplicate: np.ndarray


def match_by_box(predicted: PredictedPeople, annotated: AnnotatedPeople) -> Matches:
    """Matches predictions of annotated boxes with the people that they are of."""
    matched = match_by_id(predicted, annotated)
    counts = annotated.counts[matched.person] & (matched.person != NOBODY)
    nothing = np.zeros(len(matched.person), bool)
    return Matches(
        matched.predicted,
        annotated,
        np.where(counts, matched.person, NOBODY),
        matched.person == NOBODY,
        nothing,
    )


def match_by_likeness(
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    average_precision: AveragePrecision,
    skeleton: Skeleton,
) -> Matches:
    """Matches the predictions of an evaluation with the annotated people.

    `average_precision` must be of the people in `annotated`, in the same order.
    """
    comparison = average_precision.compare(predicted, thresholds=[_LEAST_OKS])
    person = np.full(len(predicted.score), NOBODY, np.int64)
    is_false = np.zeros(len(person), bool)
    is_duplicate = np.zeros(len(person), bool)
    for found in filter(None, comparison.evalImgs):
        rows = np.array(found["dtIds"], np.int64) - 1
        of_whom = found["dtMatches"][0].astype(np.int64) - 1
        is_excused = found["dtIgnore"][0].astype(bool)
        people = np.array(found["gtIds"], np.int64) - 1
        people = people[annotated.counts[people]]
        _match_own(rows, of_whom, people, predicted, annotated, skeleton)
        person[rows[~is_excused]] = of_whom[~is_excused]
        left_over = rows[~is_excused & (of_whom < 0)], np.setdiff1d(people, of_whom)
        _match_mirrored(*left_over, predicted, annotated, skeleton, person)
        _match_boxes(*left_over, predicted, annotated, person)
        is_false[rows] = ~is_excused & (person[rows] == NOBODY)
        lonely = rows[is_false[rows]]
        likeness = _oks(lonely, people, predicted, annotated, skeleton)
        is_duplicate[lonely] = likeness.max(axis=1, initial=0) >= _LEAST_OKS
    return Matches(predicted, annotated, person, is_false, is_duplicate)


def _match_own(
    rows: np.ndarray,
    of_whom: np.ndarray,
    people: np.ndarray,
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    skeleton: Skeleton,
) -> None:
    """Gives people to the predictions of their own boxes, if these fit, in `of_whom`.

    A confident prediction of another box may have been before them.
    """
    of_box = dict(
        zip(annotated.person_id[people].tolist(), people.tolist(), strict=True)
    )
    owners = [of_box.get(number, NOBODY) for number in predicted.person_id[rows]]
    own = np.array(owners, np.int64)
    waiting = np.flatnonzero((of_whom < 0) & (own != NOBODY)).tolist()
    while waiting:
        place = waiting.pop()
        one = rows[[place]], own[[place]]
        if _oks(*one, predicted, annotated, skeleton)[0, 0] < _LEAST_OKS:
            continue
        others = np.flatnonzero(of_whom == own[place])
        if own[place] in own[others]:
            continue
        # They may fit the people of their own boxes.
        waiting += others[own[others] != NOBODY].tolist()
        of_whom[others] = NOBODY
        of_whom[place] = own[place]


def _match_mirrored(
    rows: np.ndarray,
    people: np.ndarray,
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    skeleton: Skeleton,
    person: np.ndarray,
) -> None:
    """Gives predictions, best first, to people whom they fit in the mirror."""
    if not (len(rows) and len(people) and skeleton.flip_pairs):
        return
    mirror = list(skeleton.flip_permutation)
    likeness = _oks(rows, people, predicted, annotated, skeleton, mirror)
    for place, row in enumerate(rows):
        best = int(np.argmax(likeness[place]))
        if likeness[place, best] >= _LEAST_OKS:
            person[row] = people[best]
            likeness[:, best] = 0


def _match_boxes(
    rows: np.ndarray,
    people: np.ndarray,
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    person: np.ndarray,
) -> None:
    """Gives predictions that are still nobody's to the people of their boxes."""
    free = np.setdiff1d(people, person[rows])
    of_box = dict(zip(annotated.person_id[free].tolist(), free.tolist(), strict=True))
    for row in rows[person[rows] == NOBODY]:
        person[row] = of_box.pop(int(predicted.person_id[row]), NOBODY)


def _oks(
    rows: np.ndarray,
    people: np.ndarray,
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    skeleton: Skeleton,
    order: list[int] | None = None,
) -> np.ndarray:
    """OKS of predictions with people who have labelled keypoints, [rows, people].

    `order` are the predicted keypoints that are compared with the annotated ones.
    """
    points = predicted.keypoints[rows]
    truth = annotated.keypoints[people]
    similarities = oks.keypoint_similarities(
        (points if order is None else points[:, order])[:, np.newaxis],
        truth,
        annotated.area[people],
        np.asarray(skeleton.sigmas),
    )
    return oks.mean_similarity(similarities, truth[..., 2] > 0)


def with_rows(matches: Matches, rows: np.ndarray) -> Matches:
    """Some of the predictions alone, by a bool [N] or their rows."""
    predicted = matches.predicted
    fields = dataclasses.fields(predicted)
    return dataclasses.replace(
        matches,
        predicted=PredictedPeople(*(getattr(predicted, f.name)[rows] for f in fields)),
        person=matches.person[rows],
        is_false=matches.is_false[rows],
        is_duplicate=matches.is_duplicate[rows],
    )


def with_counted(matches: Matches, counted: np.ndarray) -> Matches:
    """The same where no others are expected to be predicted, bool [M]."""
    annotated = dataclasses.replace(matches.annotated, counts=counted)
    return dataclasses.replace(matches, annotated=annotated)
