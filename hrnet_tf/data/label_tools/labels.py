"""What a label file says, whichever tool wrote it: images, objects, keypoints.

Coordinates are pixels of the image, from its top left corner.
"""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.vocabularies.skeletons import MOST_KEYPOINTS

Pair = tuple[str, str]

# The visibility of a keypoint, as in COCO.
ABSENT, HIDDEN, VISIBLE = 0, 1, 2

# What a format may have no place for, and what is written instead.
UNSAID = {
    "visibility": "every labelled keypoint is written as visible (2).",
    "hidden keypoints": "keypoints are visible (2), unless --hidden_flag names a mark.",
    "names of keypoints": "they are numbered; name them with --skeleton.",
    "order of keypoints": "it is that in which they are met; --skeleton sets another.",
    "flip pairs": "none are written; add flip_pairs to the skeleton file.",
    "limbs": "none are written; add limbs to the skeleton file to have them drawn.",
    "sigmas": "evaluation takes 0.05 for each; add sigmas to the skeleton file.",
    "boxes": "they are made as --box_from says.",
    "areas": "they are measured as --area_from says.",
    "outlines": "no segmentation is written.",
    "image sizes": "they are those of the image files.",
    "categories": "all objects are of the category --category.",
}
# In the order of a summary; what a skeleton file may tell comes last.
SKELETON_KEYS = ("flip pairs", "limbs", "sigmas")


@dataclasses.dataclass(frozen=True)
class Keypoint:
    """Where a keypoint is; visibility is `ABSENT`, `HIDDEN` or `VISIBLE`."""

    x: float
    y: float
    visibility: int = VISIBLE


@dataclasses.dataclass(kw_only=True)
class LabelledObject:
    """One object; messages call it `where`.

    Attributes:
        box: x, y, width, height.
        outlines: Polygons x1, y1, x2, y2, ..., which together are the object.
        mask: COCO's run lengths.
        keypoints: By name; None for objects that have no keypoints at all.
        attributes: What else the tool says about it; kept in the JSON as it is.
        extra: Keys of COCO's annotation that are kept as they are.
    """

    where: str
    category: str
    box: list[float] | None = None
    outlines: list[list[float]] = dataclasses.field(default_factory=list)
    mask: dict[str, Any] | None = None
    keypoints: dict[str, Keypoint] | None = None
    iscrowd: bool = False
    area: float | None = None
    id: int | None = None
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def labelled(self) -> list[Keypoint]:
        """The keypoints that are not absent."""
        return [k for k in (self.keypoints or {}).values() if k.visibility != ABSENT]


@dataclasses.dataclass(kw_only=True)
class LabelledImage:
    """An image and its objects; the size is that of which the labels are."""

    where: str
    file_name: str
    width: int
    height: int
    objects: list[LabelledObject] = dataclasses.field(default_factory=list)
    id: int | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(kw_only=True)
class Category:
    """A kind of objects.

    Attributes:
        keypoints: Their names in order; empty for objects without keypoints.
        is_numbered: Whether the names are mere numbers, since the file has none.
        flip_pairs: Names, left and right; None if the file does not tell.
        limbs: Pairs of names; None if the file does not tell.
    """

    name: str
    keypoints: list[str] = dataclasses.field(default_factory=list)
    is_numbered: bool = False
    flip_pairs: list[Pair] | None = None
    limbs: list[Pair] | None = None
    id: int | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def add(self, names: Iterable[str]) -> None:
        """Adds the keypoints that are not known yet, at the end. Raises `Unusable`."""
        all_names = list(dict.fromkeys([*self.keypoints, *names]))
        self._check_count(len(all_names))
        self.keypoints = all_names

    def number(self, count: int) -> None:
        """Gives keypoints that have no names numbers. Raises `Unusable`."""
        self._check_count(count)
        self.keypoints, self.is_numbered = number_names(count), True

    def _check_count(self, count: int) -> None:
        if count > MOST_KEYPOINTS:
            raise Unusable(
                "too many keypoints",
                f"with it, the category {self.name!r} has {count} keypoints; at most "
                f"{MOST_KEYPOINTS} can be.",
            )


@dataclasses.dataclass(kw_only=True)
class Labels:
    """All that a reader found.

    Attributes:
        categories: By name.
        image_dir: The folder to which the images' names are relative, if it is known.
        may_share_files: Whether several images may be of one file, each with a part of
            its objects.
        unsaid: Keys of `UNSAID`.
        counts: What the summary tells besides, such as shapes that are not read.
        extra: Keys of COCO's file that are kept as they are.
    """

    images: list[LabelledImage] = dataclasses.field(default_factory=list)
    categories: dict[str, Category] = dataclasses.field(default_factory=dict)
    image_dir: str | None = None
    may_share_files: bool = False
    unsaid: set[str] = dataclasses.field(default_factory=set)
    counts: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def category(self, name: str) -> Category:
        """The category of a name, a new one if there is none."""
        return self.categories.setdefault(name, Category(name=name))


def distinct_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs of different names, each once, whichever comes first in it."""
    kept: dict[frozenset[str], Pair] = {}
    for pair in pairs:
        kept.setdefault(frozenset(pair), pair)
    return [pair for key, pair in kept.items() if len(key) == 2]


def number_names(count: int) -> list[str]:
    """Names of keypoints that have none: keypoint_0, keypoint_1, ..."""
    return [f"keypoint_{place}" for place in range(count)]
