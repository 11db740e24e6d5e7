"""Reads and checks a COCO keypoint annotation file.

Beyond what all of COCO's files have (coco_annotations.py), its categories and
annotations have `keypoints`. What is wrong with the file as a whole raises
`ConversionError`; what is wrong with one image or annotation goes to `Faults`, which
raises or counts it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hrnet_tf.data.converters.conversion import ConversionError, Faults, Unusable
from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    as_id,
    is_number_list,
    read_box,
    read_images,
    shown,
    where_annotation,
)
from hrnet_tf.data.records.pose import Person
from hrnet_tf.data.vocabularies.skeletons import Skeleton


@dataclasses.dataclass(frozen=True)
class CocoPeople:
    """The usable part of an annotation file, in its order.

    Attributes:
      images: the usable image entries.
      people: by image id, the usable people of each of `images` (often none).
      other_category_annotations: how many annotations were passed over.
      people_of_unusable_images: how many usable people had an unusable image.
      warnings: sentences about what looks odd but was used.
    """

    images: list[ImageEntry]
    people: dict[int, list[Person]]
    other_category_annotations: int
    people_of_unusable_images: int
    warnings: list[str]


def read_coco_people(
    path: str, skeleton: Skeleton, category: str | None, faults: Faults
) -> CocoPeople:
    """Reads the annotations of one category, checking each.

    Args:
      path: the JSON file.
      skeleton: the keypoints that every annotation must have, in order.
      category: name of the category; None takes the only one that has keypoints.
      faults: told of each unusable image or annotation.

    Raises:
      ConversionError: the file is missing or is not COCO keypoint JSON, its keypoints
        are not the skeleton's, or `faults` raises.
    """
    content = coco_annotations.load(path, coco_annotations.without_outline)
    category_id, warnings = _choose_category(path, content, skeleton, category)
    images, unusable_ids = read_images(path, content["images"], faults)
    people: dict[int, list[Person]] = {image_id: [] for image_id in images}
    other_category_annotations = people_of_unusable_images = 0
    seen_ids: set[int] = set()
    for place, entry in enumerate(content["annotations"]):
        if isinstance(entry, dict):
            if as_id(entry.get("category_id")) not in (None, category_id):
                other_category_annotations += 1
                continue
            if as_id(entry.get("image_id")) in unusable_ids:
                people_of_unusable_images += 1
                continue
        try:
            image, person = _read_person(entry, images, skeleton.num_keypoints)
            if person.id in seen_ids:
                raise Unusable("duplicate annotation id", "the id is used twice.")
        except Unusable as fault:
            where = where_annotation(place, entry, images)
            faults.report(Unusable(fault.kind, f"{path}: {where}: {fault.sentence}"))
        else:
            seen_ids.add(person.id)
            people[image.id].append(person)
    if other_category_annotations and not seen_ids:
        warnings.append(
            f"Warning: none of the {other_category_annotations} annotations in {path} "
            f"belongs to the category of id {category_id}."
        )
    return CocoPeople(
        list(images.values()),
        people,
        other_category_annotations,
        people_of_unusable_images,
        warnings,
    )


def _choose_category(
    path: str, content: dict[str, Any], skeleton: Skeleton, name: str | None
) -> tuple[int, list[str]]:
    """The id of the category to read, and warnings about its keypoint names."""
    categories = [
        entry
        for entry in content["categories"]
        if isinstance(entry, dict) and as_id(entry.get("id")) is not None
    ]
    names = ", ".join(str(entry.get("name")) for entry in categories) or "none"
    if name is not None:
        chosen = [entry for entry in categories if entry.get("name") == name]
    else:
        chosen = [entry for entry in categories if entry.get("keypoints")]
        # Some tools describe one category and leave its keypoint names out.
        chosen = chosen or (categories if len(categories) == 1 else [])
    if len(chosen) != 1:
        asked = (
            "with keypoints" if name is None else f"of the name {name!r} (--category)"
        )
        raise ConversionError(
            f"{path} describes {len(chosen)} categories {asked}; choose one with "
            f"--category, out of: {names}."
        )
    listed = chosen[0].get("keypoints")
    expected = list(skeleton.keypoints)
    if not isinstance(listed, list) or listed == expected:
        return chosen[0]["id"], []
    if len(listed) != len(expected):
        raise ConversionError(
            f"{path} lists {len(listed)} keypoints for category "
            f"{chosen[0].get('name')!r}, but the skeleton {skeleton.name} has "
            f"{len(expected)}; give the data's own with --skeleton=FILE.yaml."
        )
    place = next(i for i in range(len(listed)) if listed[i] != expected[i])
    difference = (
        f"keypoint {place} is {listed[place]!r} in {path} and {expected[place]!r} in "
        f"the skeleton {skeleton.name}"
    )
    if sorted(map(str, listed)) == sorted(expected):
        raise ConversionError(
            f"The keypoints have another order: {difference}; give the data's own "
            "order with --skeleton=FILE.yaml."
        )
    return chosen[0]["id"], [
        f"Warning: {difference}; they are taken for the same, place by place."
    ]


def _read_person(
    entry: Any, images: dict[int, ImageEntry], num_keypoints: int
) -> tuple[ImageEntry, Person]:
    """Checks one annotation. Raises `Unusable`."""
    image, bbox, iscrowd = read_box(entry, images)
    area = entry.get("area")
    if not is_number_list([area]) or area < 0:
        raise Unusable(
            "bad area", f"area is {shown(area)}; it must be a number of pixels >= 0."
        )
    keypoints = entry.get("keypoints")
    _check_keypoints(keypoints, num_keypoints)
    return image, Person(entry["id"], bbox, area, iscrowd, keypoints)


def _check_keypoints(keypoints: Any, num_keypoints: int) -> None:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * num_keypoints:
        received = (
            f"has {len(keypoints)} numbers"
            if isinstance(keypoints, list)
            else f"is {shown(keypoints)}"
        )
        raise Unusable(
            "wrong number of keypoint values",
            f"keypoints {received}; the skeleton's {num_keypoints} keypoints need "
            f"{3 * num_keypoints} (x, y, v of each).",
        )
    if not is_number_list(keypoints):
        raise Unusable(
            "bad keypoint value", "keypoints holds something else than finite numbers."
        )
    for place, visibility in enumerate(keypoints[2::3]):
        if visibility not in (0, 1, 2):
            raise Unusable(
                "bad visibility",
                f"keypoint {place} has visibility {visibility}; it must be 0 (not "
                "labelled), 1 (hidden) or 2 (visible).",
            )
