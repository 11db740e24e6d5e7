"""Reads and checks a COCO keypoint annotation file.

COCO's format: `images` (id, file_name, width, height), `categories` (id, name,
keypoints) and `annotations` (id, image_id, category_id, bbox, area, iscrowd,
keypoints). What is wrong with the file as a whole raises `ConversionError`; what is
wrong with one image or annotation goes to `Faults`, which raises or counts it.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import tensorflow as tf

from hrnet_tf.data.conversion import ConversionError, Faults, Unusable
from hrnet_tf.data.pose_records import Person
from hrnet_tf.data.skeletons import Skeleton

# COCO rounds boxes to hundredths of a pixel: less beyond the border is no overhang.
_BOX_ROUNDING = 0.01


@dataclasses.dataclass(frozen=True)
class ImageEntry:
    """One entry of `images`; width and height in pixels, EXIF orientation ignored."""

    id: int
    file_name: str
    width: int
    height: int


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
    content = _load(path)
    category_id, warnings = _choose_category(path, content, skeleton, category)
    images, unusable_ids = _read_images(path, content["images"], faults)
    people: dict[int, list[Person]] = {image_id: [] for image_id in images}
    other_category_annotations = people_of_unusable_images = 0
    seen_ids: set[int] = set()
    for place, entry in enumerate(content["annotations"]):
        if isinstance(entry, dict):
            if _as_id(entry.get("category_id")) not in (None, category_id):
                other_category_annotations += 1
                continue
            if _as_id(entry.get("image_id")) in unusable_ids:
                people_of_unusable_images += 1
                continue
        try:
            image, person = _read_person(entry, images, skeleton.num_keypoints)
            if person.id in seen_ids:
                raise Unusable("duplicate annotation id", "the id is used twice.")
        except Unusable as fault:
            where = _where_annotation(place, entry, images)
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


def is_partly_outside(bbox: list[float], image: ImageEntry) -> bool:
    """Whether a box (x, y, width, height in pixels) reaches beyond the border."""
    x, y, width, height = bbox
    return (
        min(x, y) < -_BOX_ROUNDING
        or x + width > image.width + _BOX_ROUNDING
        or y + height > image.height + _BOX_ROUNDING
    )


def _load(path: str) -> dict[str, Any]:
    def without_outline(entry: dict) -> dict:
        # Most of the file is outlines. Dropped while parsing, they are never all in
        # memory at once.
        entry.pop("segmentation", None)
        return entry

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = json.loads(file.read(), object_hook=without_outline)
    except tf.errors.OpError as error:
        raise ConversionError(
            f"The annotation file {path} cannot be read: {error.message}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConversionError(
            f"The annotation file {path} is not valid JSON: {error}."
        ) from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ConversionError(
                f"The annotation file {path} has no list {key!r}; COCO annotations "
                "have the lists 'images', 'annotations' and 'categories'."
            )
    return content


def _choose_category(
    path: str, content: dict[str, Any], skeleton: Skeleton, name: str | None
) -> tuple[int, list[str]]:
    """The id of the category to read, and warnings about its keypoint names."""
    categories = [
        entry
        for entry in content["categories"]
        if isinstance(entry, dict) and _as_id(entry.get("id")) is not None
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


def _read_images(
    path: str, entries: list[Any], faults: Faults
) -> tuple[dict[int, ImageEntry], set[int]]:
    """The usable images by id, and the ids of those that are not usable."""
    images: dict[int, ImageEntry] = {}
    unusable_ids: set[int] = set()
    for place, entry in enumerate(entries):
        try:
            image = _read_image(entry)
            if image.id in images:
                raise Unusable("duplicate image id", "the id is used twice.")
        except Unusable as fault:
            image_id = _as_id(entry.get("id")) if isinstance(entry, dict) else None
            where = f"images[{place}]" if image_id is None else f"image {image_id}"
            faults.report(Unusable(fault.kind, f"{path}: {where}: {fault.sentence}"))
            if image_id is not None and image_id not in images:
                unusable_ids.add(image_id)
        else:
            images[image.id] = image
    return images, unusable_ids - images.keys()


def _read_image(entry: Any) -> ImageEntry:
    kind = "bad image entry"
    if not isinstance(entry, dict):
        raise Unusable(kind, f"it is {_shown(entry)}; it must be an object.")
    _require_ids(kind, entry, "id", "width", "height")
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        raise Unusable(kind, f"file_name is {_shown(file_name)}; it must be a text.")
    if min(entry["width"], entry["height"]) < 1:
        raise Unusable(
            kind,
            f"the size is {entry['width']}x{entry['height']}; both must be positive.",
        )
    return ImageEntry(entry["id"], file_name, entry["width"], entry["height"])


def _read_person(
    entry: Any, images: dict[int, ImageEntry], num_keypoints: int
) -> tuple[ImageEntry, Person]:
    """Checks one annotation. Raises `Unusable`."""
    kind = "bad annotation entry"
    if not isinstance(entry, dict):
        raise Unusable(kind, f"it is {_shown(entry)}; it must be an object.")
    _require_ids(kind, entry, "id", "image_id", "category_id")
    image = images.get(entry["image_id"])
    if image is None:
        raise Unusable(
            "unknown image id", f"image_id {entry['image_id']} is not in 'images'."
        )
    bbox = entry.get("bbox")
    if not _is_number_list(bbox) or len(bbox) != 4:
        raise Unusable(
            "bad box",
            f"bbox is {_shown(bbox)}; it must be four finite numbers, x, y, width and "
            "height.",
        )
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        raise Unusable(
            "bad box", f"bbox is {bbox}; its width and height must be positive."
        )
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        raise Unusable(
            "box outside the image",
            f"bbox is {bbox} (x, y, width, height), wholly outside the "
            f"{image.width}x{image.height} image.",
        )
    area = entry.get("area")
    if not _is_number_list([area]) or area < 0:
        raise Unusable(
            "bad area", f"area is {_shown(area)}; it must be a number of pixels >= 0."
        )
    iscrowd = entry.get("iscrowd", 0)
    if iscrowd not in (0, 1):
        raise Unusable(kind, f"iscrowd is {_shown(iscrowd)}; it must be 0 or 1.")
    keypoints = entry.get("keypoints")
    _check_keypoints(keypoints, num_keypoints)
    return image, Person(entry["id"], bbox, area, bool(iscrowd), keypoints)


def _check_keypoints(keypoints: Any, num_keypoints: int) -> None:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * num_keypoints:
        received = (
            f"has {len(keypoints)} numbers"
            if isinstance(keypoints, list)
            else f"is {_shown(keypoints)}"
        )
        raise Unusable(
            "wrong number of keypoint values",
            f"keypoints {received}; the skeleton's {num_keypoints} keypoints need "
            f"{3 * num_keypoints} (x, y, v of each).",
        )
    if not _is_number_list(keypoints):
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


def _require_ids(kind: str, entry: dict, *keys: str) -> None:
    for key in keys:
        if _as_id(entry.get(key)) is None:
            raise Unusable(
                kind, f"{key} is {_shown(entry.get(key))}; it must be a whole number."
            )


def _as_id(value: Any) -> int | None:
    """The value if it is a whole number that a TFRecord can hold, else None."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return value if is_int and -(2**63) <= value < 2**63 else None


def _is_number_list(values: Any) -> bool:
    """Whether this is a list of numbers; NaN, infinite and absurdly large are not."""
    return isinstance(values, list) and all(
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -1e9 < value < 1e9
        for value in values
    )


def _where_annotation(place: int, entry: Any, images: dict[int, ImageEntry]) -> str:
    if not isinstance(entry, dict) or _as_id(entry.get("id")) is None:
        return f"annotations[{place}]"
    image = images.get(_as_id(entry.get("image_id")))
    return f"annotation {entry['id']}" + (f" of {image.file_name}" if image else "")


def _shown(value: Any) -> str:
    """The value as an error message quotes it: not too long."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
