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
    """

    kind: str
    image_id: int
    facts: str
    predicted: np.ndarray | None
    annotated: np.ndarray | None
    is_wrong: np.ndarray


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
    person = matches.person[row]
    is_wrong = errors.kinds[row] == kind
    facts = (
        f"annotation {matches.annotated.person_id[person]}, "
        f"{is_wrong.sum()} keypoints, OKS {errors.oks[row]:.2f}"
    )
    return Case(
        KIND_NAMES[kind],
        int(matches.predicted.image_id[row]),
        facts,
        matches.predicted.keypoints[row],
        matches.annotated.keypoints[person],
        is_wrong,
    )


def _false_positive(errors: Errors, row: int) -> Case:
    predicted = errors.matches.predicted
    second = "second prediction of someone, " * errors.matches.is_duplicate[row]
    everything = np.ones(predicted.keypoints.shape[1], bool)
    return Case(
        FALSE_POSITIVE,
        int(predicted.image_id[row]),
        f"{second}score {predicted.score[row]:.2f}",
        predicted.keypoints[row],
        None,
        everything,
    )


def _false_negative(errors: Errors, row: int) -> Case:
    annotated = errors.matches.annotated
    keypoints = annotated.keypoints[row]
    count = np.count_nonzero(keypoints[:, 2])
    return Case(
        FALSE_NEGATIVE,
        int(annotated.image_id[row]),
        f"annotation {annotated.person_id[row]}, {count} labelled keypoints",
        None,
        keypoints,
        keypoints[:, 2] > 0,
    )
