"""People whom two COCO keypoint files both annotate, and which of them are the same.

Images are the same if their files have the same name; ids may differ. In an image,
people are paired best first by how far their boxes overlap and their keypoints agree.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.files.matching_names import normalized
from hrnet_tf.messages import UserError, listed
from hrnet_tf.ops import oks
from hrnet_tf.ops.box_overlaps import box_overlaps

# Two annotations are of one person if their boxes overlap by at least this share of
# their union, or their keypoints agree as much.
_LEAST = 0.5
# For OKS. Keypoints twice as far apart, as a share of the person's scale, agree by
# exp(-1/2): wide, since people and not errors are told apart by it.
_SIGMA = 0.1


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
    if not (ours and theirs):
        return
    likeness = _likeness(ours, theirs)
    alike = [(likeness[a, b], a, b) for a, b in np.argwhere(likeness).tolist()]
    left, right = set(range(len(ours))), set(range(len(theirs)))
    for _, a, b in sorted(alike, key=lambda row: -row[0]):
        if a in left and b in right:
            left.remove(a)
            right.remove(b)
            yield ours[a], theirs[b]


def _likeness(ours: list[Person], theirs: list[Person]) -> np.ndarray:
    """How much annotations look like one person, [A, B]; 0 if too little.

    The sum of how much their boxes overlap and of OKS.
    """
    boxes, areas, keypoints = _arrays(ours)
    other_boxes, other_areas, other_keypoints = _arrays(theirs)
    overlaps = box_overlaps(boxes, other_boxes)
    agreement = oks.pose_similarities(
        *(keypoints, areas, other_keypoints, other_areas),
        np.full(keypoints.shape[1], _SIGMA),
    )
    is_one = np.maximum(overlaps, agreement) >= _LEAST
    return np.where(is_one, overlaps + agreement, 0.0)


def _arrays(people: list[Person]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Their boxes [P, 4], areas [P] and keypoints [P, K, 3]; P > 0."""
    return (
        np.array([person.bbox for person in people]),
        np.array([person.area for person in people]),
        np.array([person.keypoints for person in people]).reshape(len(people), -1, 3),
    )
