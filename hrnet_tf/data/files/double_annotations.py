"""People whom two COCO keypoint files both annotate, and which of them are the same.

Images are the same if their files have the same name; ids may differ. In an image,
people are paired best first by how far their boxes overlap and their keypoints agree.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.files.matching_names import normalized
from hrnet_tf.messages import UserError, listed

# Two annotations are of one person if their boxes overlap by at least this share of
# their union, or their keypoints agree as much.
_LEAST = 0.5
# Keypoints this far apart, as a share of the person's scale, agree by exp(-1/2): wide,
# since people and not errors are told apart by it.
_NEAR = 0.2


class DoubleAnnotationError(UserError):
    """Two files that do not annotate the same people."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """One person, annotated twice."""

    file_name: str
    first: Person
    second: Person

    @property
    def area(self) -> float:
        """The mean of both, in square pixels."""
        return (self.first.area + self.second.area) / 2


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What two files have in common.

    Attributes:
        pairs: People in both.
        num_images: Images in both.
        num_alone: People on these images who are in one file only.
    """

    pairs: list[Pair]
    num_images: int
    num_alone: int

    def keypoints(self, num_keypoints: int) -> tuple[np.ndarray, np.ndarray]:
        """Of both annotations, float64 [P, K, 3]."""
        shape = (len(self.pairs), num_keypoints, 3)
        first = np.array([pair.first.keypoints for pair in self.pairs], np.float64)
        second = np.array([pair.second.keypoints for pair in self.pairs], np.float64)
        return first.reshape(shape), second.reshape(shape)


def find_pairs(first: CocoPeople, second: CocoPeople, paths: tuple[str, str]) -> Pairs:
    """Pairs the people of two files. Raises `DoubleAnnotationError` if none are."""
    by_name = {normalized(image.file_name): image.id for image in second.images}
    pairs: list[Pair] = []
    num_images = num_people = 0
    for image in first.images:
        other = by_name.get(normalized(image.file_name))
        if other is None:
            continue
        num_images += 1
        ours = [person for person in first.people[image.id] if person.counts]
        theirs = [person for person in second.people[other] if person.counts]
        num_people += len(ours) + len(theirs)
        pairs += [Pair(image.file_name, *found) for found in _pairs(ours, theirs)]
    one, two = paths
    if not num_images:
        names = [listed([i.file_name for i in f.images], 1) for f in (first, second)]
        raise DoubleAnnotationError(
            f"{one} and {two} have no image in common: the first has {names[0]}, the "
            f"second {names[1]}. Images are the same if their file_name is."
        )
    if not pairs:
        raise DoubleAnnotationError(
            f"{one} and {two} have {num_images} images in common, but nobody in them: "
            "no two people's boxes overlap by half, or keypoints agree."
        )
    return Pairs(pairs, num_images, num_people - 2 * len(pairs))


def _pairs(ours: list[Person], theirs: list[Person]) -> Iterator[tuple[Person, Person]]:
    """People of one image who are the same, the most alike first."""
    alike = [
        (likeness, a, b)
        for a, one in enumerate(ours)
        for b, other in enumerate(theirs)
        if (likeness := _likeness(one, other))
    ]
    left, right = set(range(len(ours))), set(range(len(theirs)))
    for _, a, b in sorted(alike, key=lambda row: -row[0]):
        if a in left and b in right:
            left.remove(a)
            right.remove(b)
            yield ours[a], theirs[b]


def _likeness(one: Person, other: Person) -> float:
    """How much two annotations look like one person; 0 if too little."""
    overlap, agreement = _overlap(one.bbox, other.bbox), _agreement(one, other)
    return overlap + agreement if max(overlap, agreement) >= _LEAST else 0.0


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    sides = [
        min(one[axis] + one[axis + 2], other[axis] + other[axis + 2])
        - max(one[axis], other[axis])
        for axis in (0, 1)
    ]
    inside = max(sides[0], 0) * max(sides[1], 0)
    union = one[2] * one[3] + other[2] * other[3] - inside
    return inside / union if union > 0 else 0.0


def _agreement(one: Person, other: Person) -> float:
    """The mean likeness of keypoints that both have labelled."""
    a, b = (np.reshape(person.keypoints, (-1, 3)) for person in (one, other))
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    if not both.any():
        return 0.0
    squares = np.square(a[both, :2] - b[both, :2]).sum(axis=-1)
    variance = _NEAR**2 * (one.area + other.area) / 2
    return float(np.exp(-squares / (2 * variance)).mean())
