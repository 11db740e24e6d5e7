"""Reads and checks a COCO keypoint annotation file.

Beyond what all COCO files have (coco_annotations.py), its categories and annotations
have `keypoints`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    as_id,
    is_number_list,
    read_box,
)
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.messages import shown


@dataclasses.dataclass(frozen=True)
class Person:
    """One person annotation; all coordinates are pixels of the original image.

    Attributes:
        id: The annotation's id.
        bbox: x, y, width, height, not clipped to the image.
        area: Of the person's segment, in square pixels; the scale of OKS.
        iscrowd: Whether the box surrounds a group that was not told apart.
        keypoints: K*3 numbers: x, y, v of each keypoint; v is 0 (not labelled),
            1 (labelled, hidden) or 2 (labelled, visible).
    """

    id: int
    bbox: Sequence[float]
    area: float
    iscrowd: bool
    keypoints: Sequence[float]

    @property
    def num_keypoints(self) -> int:
        """The number of labelled keypoints."""
        return sum(visibility > 0 for visibility in self.keypoints[2::3])


@dataclasses.dataclass(frozen=True)
class CocoPeople:
    """The usable part of an annotation file, in its order."""

    images: list[ImageEntry]
    people: dict[int, list[Person]]  # by id of each of `images`, often none
    other_category_annotations: int
    people_of_unusable_images: int
    warnings: list[str]  # about what looks odd but was used


def read_coco_people(
    path: str, skeleton: Skeleton, category: str | None, faults: Faults
) -> CocoPeople:
    """Reads one category's annotations, checking each; `faults` receives unusable ones.

    `category` is its name; None takes the only one that has keypoints. Raises
    `ConversionError` if the file is missing or is not COCO keypoint JSON, its keypoints
    are not the skeleton's, or `faults` raises.
    """
    content = coco_annotations.load(path, coco_annotations.without_outline)
    category_id, warnings = _choose_category(path, content, skeleton, category)
    seen_ids: set[int] = set()

    def is_other(entry: Any) -> bool:
        number = as_id(entry.get("category_id")) if isinstance(entry, dict) else None
        return number not in (None, category_id)

    def read(entry: Any, images: dict[int, ImageEntry]) -> tuple[ImageEntry, Person]:
        image, person = _read_person(entry, images, skeleton.num_keypoints)
        if person.id in seen_ids:
            raise Unusable("duplicate annotation id", "the id is used twice.")
        seen_ids.add(person.id)
        return image, person

    images, people, num_without_image = coco_annotations.read_entries(
        path, content, read, faults, is_other
    )
    num_others = sum(map(is_other, content["annotations"]))
    if num_others and not seen_ids:
        warnings.append(
            f"Warning: none of the {num_others} annotations in {path} belongs to the "
            f"category with the id {category_id}."
        )
    return CocoPeople(images, people, num_others, num_without_image, warnings)


def _choose_category(
    path: str, content: dict[str, Any], skeleton: Skeleton, name: str | None
) -> tuple[int, list[str]]:
    """The id of the category to read, and warnings about its keypoint names."""
    categories = [
        entry
        for entry in content["categories"]
        if isinstance(entry, dict) and as_id(entry.get("id")) is not None
    ]
    if name is not None:
        chosen = [entry for entry in categories if entry.get("name") == name]
    else:
        chosen = [entry for entry in categories if entry.get("keypoints")]
        # Some tools describe one category and leave its keypoint names out.
        chosen = chosen or (categories if len(categories) == 1 else [])
    if len(chosen) != 1:
        asked = (
            "with keypoints" if name is None else f"with the name {name!r} (--category)"
        )
        names = ", ".join(str(entry.get("name")) for entry in categories) or "none"
        raise ConversionError(
            f"{path} describes {len(chosen)} categories {asked}; choose one with "
            f"--category, out of: {names}."
        )
    return chosen[0]["id"], _compare_keypoints(path, chosen[0], skeleton)


def _compare_keypoints(
    path: str, category: dict[str, Any], skeleton: Skeleton
) -> list[str]:
    """Warnings about keypoints whose names differ; refuses another number or order."""
    named = category.get("keypoints")
    expected = list(skeleton.keypoints)
    if not isinstance(named, list) or named == expected:
        return []
    if len(named) != len(expected):
        raise ConversionError(
            f"{path} lists {len(named)} keypoints for category "
            f"{category.get('name')!r}, but the skeleton {skeleton.name} has "
            f"{len(expected)}; give the data's own with --skeleton=FILE.yaml."
        )
    place = next(i for i in range(len(named)) if named[i] != expected[i])
    difference = (
        f"keypoint {place} is {named[place]!r} in {path} and {expected[place]!r} in "
        f"the skeleton {skeleton.name}"
    )
    if sorted(map(str, named)) == sorted(expected):
        raise ConversionError(
            f"The keypoints have another order: {difference}; give the data's own "
            "order with --skeleton=FILE.yaml."
        )
    return [f"Warning: {difference}; they are taken for the same, place by place."]


def _read_person(
    entry: Any, images: dict[int, ImageEntry], num_keypoints: int
) -> tuple[ImageEntry, Person]:
    """Checks one annotation. Raises `Unusable`."""
    image, bbox, iscrowd = read_box(entry, images)
    coco_annotations.check_area(entry.get("area"))
    keypoints = entry.get("keypoints")
    _check_keypoints(keypoints, num_keypoints)
    return image, Person(entry["id"], bbox, entry["area"], iscrowd, keypoints)


def _check_keypoints(keypoints: Any, num_keypoints: int) -> None:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * num_keypoints:
        received = (
            f"has {len(keypoints)} numbers"
            if isinstance(keypoints, list)
            else f"is {shown(keypoints, none='missing')}"
        )
        raise Unusable(
            "wrong number of keypoint values",
            f"keypoints {received}; the skeleton's {num_keypoints} keypoints need "
            f"{3 * num_keypoints} (x, y, v of each).",
        )
    if not is_number_list(keypoints):
        raise Unusable(
            "bad keypoint value", "keypoints must hold nothing but finite numbers."
        )
    for place, visibility in enumerate(keypoints[2::3]):
        if visibility not in (0, 1, 2):
            raise Unusable(
                "bad visibility",
                f"keypoint {place} has visibility {visibility}; it must be 0 (not "
                "labelled), 1 (hidden) or 2 (visible).",
            )
