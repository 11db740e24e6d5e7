"""How far predicted keypoints lie from annotated ones, in lengths of each person.

What a length is, a normaliser says: the distance of two annotated keypoints, such as
the outer corners of the eyes, a measure of the box, or a length that the annotations
have, such as the size of the head.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import (
    ANNOTATIONS,
    BBOX_SIDE,
    BBOX_SIZE,
    NORMALIZERS,
    Skeleton,
)
from hrnet_tf.evaluation.matched import NOBODY, AnnotatedPeople, MatchedPeople
from hrnet_tf.messages import UserError, did_you_mean, shown

_WORDS = {
    ANNOTATIONS: "the annotations' normalizer",
    BBOX_SIDE: "the longer side of the box",
    BBOX_SIZE: "the box's size, the root of width times height",
}


class NormalizerError(UserError):
    """Nothing that errors can be divided by; the message completes a key's name."""


@dataclasses.dataclass(frozen=True)
class Normalizer:
    """What errors are divided by.

    Attributes:
        words: In words, for the protocol.
        name: One of `NORMALIZERS`; empty for a pair.
        pair: Two keypoints, whose distance it is.
    """

    words: str
    name: str = ""
    pair: tuple[int, int] = (0, 0)

    def lengths(self, people: AnnotatedPeople) -> np.ndarray:
        """Of each person in pixels, float64 [M]; 0 where it is not known."""
        if self.name == ANNOTATIONS:
            return people.normalizer
        if self.name == BBOX_SIDE:
            return people.bbox[:, 2:].max(axis=-1)
        if self.name == BBOX_SIZE:
            return np.sqrt(people.bbox[:, 2:].prod(axis=-1))
        ends = people.keypoints[:, self.pair]
        distances = np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=-1)
        return np.where((ends[..., 2] > 0).all(axis=-1), distances, 0.0)


def find_normalizer(
    given: str | Sequence[str], skeleton: Skeleton, otherwise: str = ""
) -> Normalizer:
    """The normaliser of a configuration, else of a skeleton, else `otherwise`.

    Raises `NormalizerError`.
    """
    chosen = given or skeleton.normalizer or otherwise
    if chosen in NORMALIZERS:
        return Normalizer(_WORDS[str(chosen)], str(chosen))
    if not chosen:
        raise NormalizerError(
            f"is empty, and the skeleton {skeleton.name} has none; name two of its "
            f"keypoints, or one of {', '.join(NORMALIZERS)}."
        )
    if isinstance(chosen, str) or len(chosen) != 2 or chosen[0] == chosen[1]:
        raise NormalizerError(
            f"is {shown(given)}{did_you_mean(given, NORMALIZERS)}; it must be two "
            f"keypoints [name, name] or one of {', '.join(NORMALIZERS)}."
        )
    for name in chosen:
        if name not in skeleton.keypoints:
            raise NormalizerError(
                f"names {shown(name)}, which is no keypoint of {skeleton.name}"
                f"{did_you_mean(name, skeleton.keypoints)}."
            )
    first, second = chosen
    places = skeleton.keypoints.index(first), skeleton.keypoints.index(second)
    return Normalizer(f"{_kind_of_pair(first, second)} ({first}–{second})", pair=places)


def _kind_of_pair(first: str, second: str) -> str:
    for part, kind in (("pupil", "inter-pupil"), ("eye_outer", "inter-ocular")):
        if part in first and part in second:
            return kind
    return "distance"


class Distances(NamedTuple):
    """Of P annotated people who count and whose length is known.

    Attributes:
        values: float64 [P, K], in lengths; infinite for people of whom nothing was
            predicted.
        is_labelled: bool [P, K].
        num_unknown: How many people were left out, since their length is not known.
    """

    values: np.ndarray
    is_labelled: np.ndarray
    num_unknown: int

    @property
    def is_predicted(self) -> np.ndarray:
        """Which people were predicted, bool [P]."""
        return np.isfinite(self.values).all(axis=-1)


def measure(matched: MatchedPeople, normalizer: Normalizer) -> Distances:
    """The distances between predictions and truth of matched people."""
    annotated, predicted = matched.annotated, matched.predicted
    found = matched.person != NOBODY
    distances = np.full(annotated.keypoints.shape[:2], np.inf)
    distances[matched.person[found]] = np.linalg.norm(
        predicted.keypoints[found, :, :2]
        - annotated.keypoints[matched.person[found], :, :2],
        axis=-1,
    )
    lengths = normalizer.lengths(annotated)
    kept = annotated.counts & (lengths > 0)
    return Distances(
        distances[kept] / lengths[kept, np.newaxis],
        annotated.keypoints[kept, :, 2] > 0,
        int((annotated.counts & (lengths <= 0)).sum()),
    )
