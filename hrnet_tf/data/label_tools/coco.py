"""COCO's JSON as other tools write it: what they leave out or write otherwise.

Ids and keys that we do not know stay as they are. Boxes may be missing where there is a
segmentation; keypoints may be lists of x, y, v, or null where not labelled.
"""

import math
import os
from typing import Any

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import as_id, read_iscrowd
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import values
from hrnet_tf.data.label_tools.labels import (
    ABSENT,
    Category,
    Keypoint,
    LabelledImage,
    LabelledObject,
    Labels,
    Pair,
    distinct_pairs,
)
from hrnet_tf.data.label_tools.source import Source, find_image, image_size, plain_path
from hrnet_tf.messages import shown, shown_at

_IMAGE_KEYS = ("id", "file_name", "width", "height")
_CATEGORY_KEYS = ("id", "name", "keypoints", "skeleton", "num_keypoints")
_OWN_KEYS = (
    *("id", "image_id", "category_id", "bbox", "area", "iscrowd", "attributes"),
    *("segmentation", "keypoints", "num_keypoints"),
)
_BAD_LIMBS = "skeletons left out whose pairs are not numbers of keypoints from 1 on"


def read(source: Source) -> Labels:
    """Reads the file."""
    content = coco_annotations.load(source.path)
    labels = Labels(image_dir=source.image_dir, may_share_files=True)
    labels.unsaid = {"flip pairs", "sigmas"}
    labels.extra = {
        key: value
        for key, value in content.items()
        if key not in coco_annotations.LISTS
    }
    try:
        by_number = _read_categories(content["categories"], labels)
    except Unusable as fault:
        raise ConversionError(f"{source.path}: {fault.sentence}") from None
    images: dict[int, LabelledImage] = {}
    for place, entry in enumerate(content["images"]):
        where = f"{source.path}: images[{place}]"
        with source.item(where):
            image = _read_image(where, entry, source, labels)
            if image.id in images:
                raise Unusable(
                    "image id twice", f"another image has the id {image.id}."
                )
            images[image.id or 0] = image
    labels.images = list(images.values())
    skipped = {*map(_raw_id, content["images"])} - {*images}
    for place, entry in enumerate(content["annotations"]):
        where = f"{source.path}: annotations[{place}]"
        with source.item(where):
            annotation = values.entry(entry, "the annotation")
            number = _id(annotation, "image_id")
            if number in images:
                images[number].objects.append(
                    _read_object(where, annotation, by_number, labels)
                )
            elif number in skipped:
                labels.counts["annotations of skipped images, left out"] += 1
            else:
                raise Unusable(
                    "unknown image id", f"image_id {number} is not in 'images'."
                )
    if not any(category.limbs for category in labels.categories.values()):
        labels.unsaid.add("limbs")
    return labels


def _id(entry: dict[str, Any], key: str) -> int:
    """A whole number, which some tools write as a text."""
    found = entry.get(key)
    if isinstance(found, str) and found.isascii() and found.isdigit():
        found = int(found) if len(found) < 19 else None
    number = as_id(found)
    if number is None:
        raise Unusable(
            "bad id", f"{key} is {shown_at(key, entry)}; it must be a whole number."
        )
    return number


def _raw_id(entry: Any) -> int | None:
    """The id of an entry that may be anything; None if it has none."""
    try:
        return _id(entry, "id") if isinstance(entry, dict) else None
    except Unusable:
        return None


def _extra(entry: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in known}


# ---- categories ----


def _read_categories(entries: list[Any], labels: Labels) -> dict[int, Category]:
    by_number: dict[int, Category] = {}
    for place, content in enumerate(entries):
        what = f"categories[{place}]"
        entry = values.entry(content, what)
        name = values.name(entry.get("name"), f"the name of {what}")
        number = _id(entry, "id")
        if number in by_number or name in labels.categories:
            raise Unusable(
                "category twice",
                f"{what} has the id {number} and the name {name!r}, one of which an "
                "earlier one has, too.",
            )
        keypoints = [
            values.name(keypoint, f"a keypoint of {what}")
            for keypoint in values.entries(entry.get("keypoints") or [], "keypoints")
        ]
        if len(set(keypoints)) < len(keypoints):
            raise Unusable("keypoint twice", f"{what} has a keypoint twice.")
        labels.categories[name] = by_number[number] = Category(
            name=name,
            id=number,
            keypoints=keypoints,
            limbs=_read_limbs(entry.get("skeleton"), keypoints, labels),
            extra=_extra(entry, _CATEGORY_KEYS),
        )
    return by_number


def _read_limbs(pairs: Any, keypoints: list[str], labels: Labels) -> list[Pair] | None:
    """COCO's `skeleton`, which counts keypoints from 1; None if this one does not."""
    if not pairs:
        return None
    numbers = range(1, len(keypoints) + 1)
    is_plain = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(place) is int and place in numbers for place in pair)
        for pair in pairs
    )
    if not is_plain:
        labels.counts[_BAD_LIMBS] += 1
        return None
    return distinct_pairs((keypoints[a - 1], keypoints[b - 1]) for a, b in pairs)


# ---- images ----


def _read_image(
    where: str, entry: Any, source: Source, labels: Labels
) -> LabelledImage:
    entry = values.entry(entry, "the image")
    number = _id(entry, "id")
    said = plain_path(entry.get("file_name"), "file_name")
    file_name = find_image(
        source.image_dir,
        [said, os.path.basename(said)],
        is_needed=source.image_dir is not None,
    )
    if said != entry["file_name"]:
        labels.counts["names of images written with / and without a drive"] += 1
    if entry.get("width") is None or entry.get("height") is None:
        if source.image_dir is None:
            raise Unusable(
                "unknown image size",
                "width or height is missing; give the folder of the images with "
                "--image_dir.",
            )
        labels.unsaid.add("image sizes")
        width, height = image_size(source.image_dir, file_name, source.exif)
    else:
        width, height = values.size(entry["width"], entry["height"])
    return LabelledImage(
        where=where,
        id=number,
        file_name=file_name,
        width=width,
        height=height,
        extra=_extra(entry, _IMAGE_KEYS),
    )


# ---- annotations ----


def _read_object(
    where: str,
    entry: dict[str, Any],
    by_number: dict[int, Category],
    labels: Labels,
) -> LabelledObject:
    category = by_number.get(_id(entry, "category_id"))
    if category is None:
        raise Unusable(
            "unknown category",
            f"category_id {entry['category_id']} is not in 'categories'.",
        )
    found = LabelledObject(
        where=where,
        category=category.name,
        id=None if entry.get("id") is None else _id(entry, "id"),
        box=_read_box(entry),
        iscrowd=read_iscrowd("bad annotation entry", entry),
        attributes=values.entry(entry.get("attributes") or {}, "attributes"),
        extra=_extra(entry, _OWN_KEYS),
    )
    area = entry.get("area")
    # COCO's readers take an area of 0 for a missing one.
    found.area = values.number(area, "area") if area else None
    outlines = entry.get("segmentation")
    if isinstance(outlines, dict):
        found.mask = outlines
    elif outlines:
        found.outlines = values.entries(outlines, "segmentation")
    if entry.get("keypoints"):
        found.keypoints = _read_keypoints(entry["keypoints"], category, labels)
        said = entry.get("num_keypoints")
        if said is None:
            labels.counts["num_keypoints missing, counted"] += 1
        elif said != len(found.labelled):
            labels.counts["num_keypoints wrong, counted instead"] += 1
    return found


def _read_box(entry: dict[str, Any]) -> list[float] | None:
    """The box; None where tools write nothing or nothing but zeros."""
    box = entry.get("bbox")
    if box is None or box in ([], [0, 0, 0, 0]):
        return None
    return coco_annotations.read_bbox(entry)


def _read_keypoints(
    keypoints: Any, category: Category, labels: Labels
) -> dict[str, Keypoint]:
    listed = values.entries(keypoints, "keypoints")
    if all(isinstance(triple, list) for triple in listed):
        labels.counts["keypoints written as lists of lists, made plain"] += 1
        listed = [value for triple in listed for value in triple]
    if not category.keypoints and len(listed) % 3 == 0:
        category.number(len(listed) // 3)
        labels.unsaid.add("names of keypoints")
    names = category.keypoints
    if len(listed) != 3 * len(names):
        raise Unusable(
            "wrong number of keypoint values",
            f"keypoints has {len(listed)} numbers; the {len(names)} keypoints of "
            f"{category.name!r} need {3 * len(names)} (x, y, v of each).",
        )
    return {
        name: _read_keypoint(name, *listed[3 * place : 3 * place + 3])
        for place, name in enumerate(names)
    }


def _read_keypoint(name: str, x: Any, y: Any, visibility: Any) -> Keypoint:
    if visibility in (0, None) and (_is_nothing(x) or _is_nothing(y)):
        return Keypoint(0, 0, ABSENT)
    if visibility not in (0, 1, 2):
        raise Unusable(
            "bad visibility",
            f"keypoint {name!r} has visibility {shown(visibility)}; it must be 0 (not "
            "labelled), 1 (hidden) or 2 (visible).",
        )
    return Keypoint(
        values.number(x, f"x of {name!r}"),
        values.number(y, f"y of {name!r}"),
        int(visibility),
    )


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
