"""Reads and checks a COCO annotation file of objects: boxes and masks.

Beyond what all COCO files have (coco_annotations.py), annotations have a
`segmentation`: polygons, or a mask in run lengths.
"""

import dataclasses
from typing import Any

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    as_id,
    clip,
    is_partly_outside,
    read_area,
    read_box,
)
from hrnet_tf.data.files.coco_masks import read_mask
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.images import is_plain
from hrnet_tf.messages import shown

_NO_MASKS = "To leave masks out, convert with --noinclude_masks."


@dataclasses.dataclass(frozen=True)
class CocoObject:
    """One usable annotation."""

    id: int  # the annotation's
    category_id: int  # above 0
    bbox: list[float]  # x, y, width, height in pixels, clipped to the image
    area: float  # in pixels
    iscrowd: bool
    rle: dict[str, Any] | None  # the mask, compressed; None where not asked for
    was_clipped: bool  # whether the file's box reaches beyond the border
    annotated_bbox: list[float]  # as in the file, for evaluations
    area_is_measured: bool  # whether the file has none, or 0 with `area_from`


@dataclasses.dataclass(frozen=True)
class CocoObjects:
    """The usable part of an annotation file, in its order."""

    images: list[ImageEntry]
    objects: dict[int, list[CocoObject]]  # by id of each of `images`, often none
    categories: dict[int, str]  # names by id
    objects_of_unusable_images: int
    warnings: list[str]  # about what looks odd but was used


def read_coco_objects(
    path: str, with_masks: bool, faults: Faults, area_from: str | None = None
) -> CocoObjects:
    """Reads all annotations, checking each; `faults` receives the unusable ones.

    Masks are only looked at `with_masks`, and then every object needs one. For
    `area_from` see `read_area`; without it, a missing area is that of the mask or the
    box. Raises `ConversionError` if the file is missing or is not COCO's JSON, or
    `faults` raises.
    """
    needs_outlines = with_masks or area_from == "segmentation"
    content = coco_annotations.load(
        path,
        None if needs_outlines else coco_annotations.without_outline,
    )
    categories, warnings = _read_categories(path, content)
    images, objects, num_without_image = coco_annotations.read_entries(
        path,
        content,
        lambda entry, images: _read_object(
            entry, images, categories, with_masks, area_from
        ),
        faults,
    )
    return CocoObjects(images, objects, categories, num_without_image, warnings)


def _read_categories(
    path: str, content: dict[str, Any]
) -> tuple[dict[int, str], list[str]]:
    """Names by id, and warnings about categories that are passed over."""
    used = {
        entry.get("category_id")
        for entry in content["annotations"]
        if isinstance(entry, dict) and as_id(entry.get("category_id")) is not None
    }
    categories: dict[int, str] = {}
    below_1: dict[int, str] = {}
    for place, entry in enumerate(content["categories"]):
        number = as_id(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if number is None or not isinstance(name, str) or not is_plain(name):
            raise ConversionError(
                f"{path}: categories[{place}] is {shown(entry)}; it needs an id, a "
                "whole number, and a name."
            )
        (categories if number > 0 else below_1)[number] = name
    for number, name in below_1.items():
        if number in used or (content["annotations"] and not categories):
            raise ConversionError(
                f"{path}: the category {shown(name)} has the id {number}; detectors "
                "keep 0 for the background, so number categories from 1."
            )
    warnings = [
        f"Note: {path} describes the category {shown(name)} with the id {number}, "
        "which no annotation uses; it is ignored."
        for number, name in below_1.items()
    ]
    return categories, warnings


def _read_object(
    entry: Any,
    images: dict[int, ImageEntry],
    categories: dict[int, str],
    with_masks: bool,
    area_from: str | None,
) -> tuple[ImageEntry, CocoObject]:
    """Checks one annotation. Raises `Unusable`."""
    image, bbox, iscrowd = read_box(entry, images)
    if entry["category_id"] not in categories:
        raise Unusable(
            "unknown category",
            f"category_id {entry['category_id']} is not in 'categories'.",
        )
    rle = None
    if with_masks:
        rle = read_mask(entry, image.height, image.width, _NO_MASKS)
    area, is_measured = read_area(
        entry, bbox, image, area_from, "segmentation" if rle else "box"
    )
    return image, CocoObject(
        id=entry["id"],
        category_id=entry["category_id"],
        bbox=clip(bbox, image),
        area=float(area),
        iscrowd=iscrowd,
        rle=rle,
        was_clipped=is_partly_outside(bbox, image),
        annotated_bbox=bbox,
        area_is_measured=is_measured,
    )
