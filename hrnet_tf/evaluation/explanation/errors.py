"""What is wrong with each predicted keypoint, and with whole predictions.

Kinds and limits are those of Ronchi and Perona, "Benchmarking and Error Diagnosis in
Multi-Instance Pose Estimation" (ICCV 2017). With ks the similarity of a keypoint to a
labelled one (`ops.oks.keypoint_similarities`):

    good       ks with its own truth is at least 0.85
    jitter     its own truth is the most similar, with 0.5 <= ks < 0.85
    inversion  the other side of the same person is the most similar, ks >= 0.5
    swap       a keypoint of the same name, or its other side, of another person is
    miss       ks < 0.5 with all of these

Keypoints that are not labelled have no kind. A false positive is a prediction of
nobody; a false negative is someone of whom nothing was predicted.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.explanation.matching import (
    Matches,
    with_counted,
    with_rows,
)
from hrnet_tf.evaluation.matched import NOBODY, AnnotatedPeople
from hrnet_tf.ops.oks import keypoint_similarities, mean_similarity

UNLABELLED = -1
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
KIND_NAMES = ("good", "jitter", "inversion", "swap", "miss")

LEAST_GOOD, LEAST_NEAR = 0.85, 0.5


@dataclasses.dataclass(frozen=True)
class Errors:
    """The kinds of N predictions' keypoints.

    Attributes:
        matches: The predictions and the people.
        kinds: int8 [N, K], `UNLABELLED` for what has no truth.
        similarity: float32 [N, K], to their own truth; 0 without one.
    """

    matches: Matches
    kinds: np.ndarray
    similarity: np.ndarray

    @property
    def oks(self) -> np.ndarray:
        """OKS of each prediction with its person, [N]; 0 for those of nobody."""
        return mean_similarity(self.similarity, self.kinds != UNLABELLED)


def find_errors(matches: Matches, skeleton: Skeleton) -> Errors:
    """Tells the kind of each keypoint that has a truth."""
    shape = matches.predicted.keypoints.shape[:2]
    kinds = np.full(shape, UNLABELLED, np.int8)
    similarity = np.zeros(shape, np.float32)
    for rows, people in _by_image(matches):
        kinds[rows], similarity[rows] = _kinds_in_image(matches, rows, people, skeleton)
    return Errors(matches, kinds, similarity)


def _by_image(matches: Matches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each image the predictions that have a person, and all who count."""
    rows = np.flatnonzero(matches.person != NOBODY)
    rows = rows[np.argsort(matches.predicted.image_id[rows], kind="stable")]
    people = np.flatnonzero(matches.annotated.counts)
    people = people[np.argsort(matches.annotated.image_id[people], kind="stable")]
    image_of_person = matches.annotated.image_id[people]
    starts = np.flatnonzero(np.diff(matches.predicted.image_id[rows], prepend=-1))
    for group in np.split(rows, starts)[1:]:  # Nothing lies before the first start.
        image_id = matches.predicted.image_id[group[0]]
        first, last = (
            np.searchsorted(image_of_person, image_id, side=side)
            for side in ("left", "right")
        )
        yield group, people[first:last]


def _kinds_in_image(
    matches: Matches, rows: np.ndarray, people: np.ndarray, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and own similarities [R, K] of some predictions among G people."""
    points = matches.predicted.keypoints[rows][:, np.newaxis]
    truth, areas = matches.annotated.keypoints[people], matches.annotated.area[people]
    mirror = np.array(skeleton.flip_permutation)

    def similarities(order: np.ndarray) -> np.ndarray:
        """To the keypoints of everyone that stand in these places, [R, G, K]."""
        ordered = truth[:, order]
        found = keypoint_similarities(
            points, ordered, areas, np.asarray(skeleton.sigmas)
        )
        return np.where(ordered[..., 2] > 0, found, 0)

    same, mirrored = similarities(np.arange(len(mirror))), similarities(mirror)
    place = np.arange(len(rows)), np.searchsorted(people, matches.person[rows])
    own, inverted = same[place], mirrored[place]
    best = np.maximum(same, mirrored).max(axis=1)
    # What is not the best of the person's own is somebody else's.
    kinds = np.select(
        [own >= LEAST_GOOD, best < LEAST_NEAR, own == best, inverted == best],
        [GOOD, MISS, JITTER, INVERSION],
        SWAP,
    )
    is_labelled = truth[place[1]][..., 2] > 0
    return np.where(is_labelled, kinds, UNLABELLED), own


def corrected(errors: Errors, kind: int) -> Matches:
    """What there is with all keypoints of a kind where they should be."""
    matches = errors.matches
    keypoints = matches.predicted.keypoints.copy()
    rows, places = np.nonzero(errors.kinds == kind)
    truth = matches.annotated.keypoints[matches.person[rows], places]
    keypoints[rows, places, :2] = truth[:, :2]
    predicted = dataclasses.replace(matches.predicted, keypoints=keypoints)
    return dataclasses.replace(matches, predicted=predicted)


def without_false_positives(matches: Matches) -> Matches:
    """What there is but predictions of nobody."""
    return with_rows(matches, ~matches.is_false)


def without_false_negatives(matches: Matches) -> Matches:
    """What there is if those do not count of whom nothing was predicted."""
    counted = matches.annotated.counts.copy()
    counted[matches.missed] = False
    return with_counted(matches, counted)


def ranked_by_likeness(errors: Errors) -> Matches:
    """What there is with the OKS of each prediction as its score."""
    matches = errors.matches
    predicted = dataclasses.replace(matches.predicted, score=errors.oks)
    return dataclasses.replace(matches, predicted=predicted)


def labelled(annotated: AnnotatedPeople) -> np.ndarray:
    """Which keypoints an evaluation asks for, bool [M, K]."""
    return (annotated.keypoints[..., 2] > 0) & annotated.counts[:, np.newaxis]
