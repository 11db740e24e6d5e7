"""Which people to look at: a few for each kind of error, the worst first."""

import dataclasses

import numpy as np

from hrnet_tf.evaluation.explanation.errors import (
    INVERSION,
    JITTER,
    KIND_NAMES,
    MISS,
    SWAP,
    Errors,
)
from hrnet_tf.evaluation.matched import AnnotatedPeople

FALSE_POSITIVE, FALSE_NEGATIVE = "false positive", "false negative"


@dataclasses.dataclass(frozen=True)
class Case:
    """A prediction, a person, or both.

    Attributes:
        kind: The error that it is an example of.
        image_id: The image.
        facts: What is to be said of it.
        predicted: [K, 3] x, y, score, or None of a false negative.
        annotated: [K, 3] x, y, v, or None of a false positive.
        is_wrong: bool [K], the keypoints that have this error.
        others: [P, K, 3], annotated people of the image who explain it: of a swap and
            of a false positive all but the person.
    """

    kind: str
    image_id: int
    facts: str
    predicted: np.ndarray | None
    annotated: np.ndarray | None
    is_wrong: np.ndarray
    others: np.ndarray


def worst_cases(errors: Errors, most: int) -> list[Case]:
    """At most so many cases of each kind.

    Of jitter, inversions, swaps and misses those with the lowest similarities summed
    over the keypoints of this kind; of false positives the most confident, and of false
    negatives the largest people.
    """
    cases = []
    for kind in (MISS, SWAP, INVERSION, JITTER):
        lost = np.where(errors.kinds == kind, 1 - errors.similarity, 0).sum(axis=1)
        for row in _largest(lost, np.flatnonzero(lost), most):
            cases.append(_keypoint_case(errors, kind, row))
    matches = errors.matches
    for row in _largest(
        matches.predicted.score, np.flatnonzero(matches.is_false), most
    ):
        cases.append(_false_positive(errors, row))
    for row in _largest(matches.annotated.area, matches.missed, most):
        cases.append(_false_negative(errors, row))
    return cases


def _largest(values: np.ndarray, rows: np.ndarray, most: int) -> list[int]:
    order = np.argsort(-values[rows], kind="stable")
    return rows[order[:most]].tolist()


def _keypoint_case(errors: Errors, kind: int, row: int) -> Case:
    matches = errors.matches
    annotated, person = matches.annotated, int(matches.person[row])
    is_wrong = errors.kinds[row] == kind
    image_id = int(matches.predicted.image_id[row])
    others = _people(annotated, image_id, but=person)
    return Case(
        KIND_NAMES[kind],
        image_id,
        f"annotation {annotated.person_id[person]}, "
        f"{_keypoints(is_wrong)}, OKS {errors.oks[row]:.2f}",
        matches.predicted.keypoints[row],
        annotated.keypoints[person],
        is_wrong,
        others if kind == SWAP else others[:0],
    )


def _false_positive(errors: Errors, row: int) -> Case:
    predicted = errors.matches.predicted
    is_second = errors.matches.is_duplicate[row]
    second = "second prediction of someone, " if is_second else ""
    image_id = int(predicted.image_id[row])
    return Case(
        FALSE_POSITIVE,
        image_id,
        f"{second}score {predicted.score[row]:.2f}",
        predicted.keypoints[row],
        None,
        np.ones(predicted.keypoints.shape[1], bool),
        _people(errors.matches.annotated, image_id),
    )


def _false_negative(errors: Errors, row: int) -> Case:
    annotated = errors.matches.annotated
    keypoints = annotated.keypoints[row]
    is_labelled = keypoints[:, 2] > 0
    return Case(
        FALSE_NEGATIVE,
        int(annotated.image_id[row]),
        f"annotation {annotated.person_id[row]}, {_keypoints(is_labelled)} labelled",
        None,
        keypoints,
        is_labelled,
        annotated.keypoints[:0],
    )


def _people(
    annotated: AnnotatedPeople, image_id: int, but: int | None = None
) -> np.ndarray:
    """Keypoints [P, K, 3] of those who count in an image."""
    rows = np.flatnonzero((annotated.image_id == image_id) & annotated.counts)
    return annotated.keypoints[rows[rows != but]]


def _keypoints(which: np.ndarray) -> str:
    count = np.count_nonzero(which)
    return f"{count} keypoint{'s' * (count != 1)}"
