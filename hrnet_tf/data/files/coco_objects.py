"""Reads and checks a COCO annotation file of objects: boxes and masks.

Beyond what all COCO files have (coco_annotations.py), annotations have a
`segmentation`: polygons, or a mask in run lengths.
"""

import dataclasses
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    as_id,
    is_number_list,
    is_partly_outside,
    read_box,
)
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.messages import shown


@dataclasses.dataclass(frozen=True)
class CocoObject:
    """One usable annotation."""

    category_id: int  # above 0
    bbox: list[float]  # x, y, width, height in pixels, clipped to the image
    area: float  # in pixels
    iscrowd: bool
    rle: dict[str, Any] | None  # the mask, compressed; None where not asked for
    was_clipped: bool  # whether the file's box reaches beyond the border


@dataclasses.dataclass(frozen=True)
class CocoObjects:
    """The usable part of an annotation file, in its order."""

    images: list[ImageEntry]
    objects: dict[int, list[CocoObject]]  # by id of each of `images`, often none
    categories: dict[int, str]  # names by id
    objects_of_unusable_images: int


def read_coco_objects(path: str, with_masks: bool, faults: Faults) -> CocoObjects:
    """Reads all annotations, checking each; `faults` receives the unusable ones.

    Masks are only looked at `with_masks`, and then every object needs one. Raises
    `ConversionError` if the file is missing or is not COCO's JSON, or `faults` raises.
    """
    content = coco_annotations.load(
        path, None if with_masks else coco_annotations.without_outline
    )
    categories = _read_categories(path, content["categories"])
    images, objects, num_without_image = coco_annotations.read_entries(
        path,
        content,
        lambda entry, images: _read_object(entry, images, categories, with_masks),
        faults,
    )
    return CocoObjects(images, objects, categories, num_without_image)


def _read_categories(path: str, entries: list[Any]) -> dict[int, str]:
    categories: dict[int, str] = {}
    for place, entry in enumerate(entries):
        number = as_id(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if number is None or not isinstance(name, str):
            raise ConversionError(
                f"{path}: categories[{place}] needs an id, a whole number, and a name."
            )
        if number < 1:
            raise ConversionError(
                f"{path}: the category {name!r} has the id {number}; detectors keep 0 "
                "for the background, so number categories from 1."
            )
        if number in categories:
            raise ConversionError(
                f"{path}: the categories {categories[number]!r} and {name!r} have the "
                f"same id {number}."
            )
        categories[number] = name
    return categories


def _read_object(
    entry: Any,
    images: dict[int, ImageEntry],
    categories: dict[int, str],
    with_masks: bool,
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
        rle = read_mask(entry.get("segmentation"), image.height, image.width)
    clipped = _clip(bbox, image)
    area = entry.get("area")
    if area is None:
        area = float(coco_mask.area(rle)) if rle else clipped[2] * clipped[3]
    else:
        coco_annotations.check_area(area)
    return image, CocoObject(
        entry["category_id"],
        clipped,
        float(area),
        iscrowd,
        rle,
        is_partly_outside(bbox, image),
    )


def _clip(bbox: list[float], image: ImageEntry) -> list[float]:
    """The part of a box that is on the image; rounding does not carry it beyond."""
    x, y, width, height = map(float, bbox)
    left, right = max(x, 0.0), min(x + width, float(image.width))
    top, bottom = max(y, 0.0), min(y + height, float(image.height))
    width, height = right - left, bottom - top
    while left + width > image.width:
        width = float(np.nextafter(width, 0))
    while top + height > image.height:
        height = float(np.nextafter(height, 0))
    return [left, top, width, height]


def read_mask(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """Compresses a mask: polygons, or run lengths of either kind.

    Raises `Unusable` if it is neither, or belongs to an image of another size.
    """
    kind = "bad mask"
    if isinstance(segmentation, list) and segmentation:
        _check_polygons(kind, segmentation)
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(
        segmentation
    ):
        raise Unusable(
            kind,
            f"segmentation is {shown(segmentation, none='missing')}; it must be a list "
            "of polygons or an object with size and counts. To leave masks out, "
            "convert with --noinclude_masks.",
        )
    size, counts = segmentation["size"], segmentation["counts"]
    if list(size) != [height, width]:
        raise Unusable(
            kind, f"segmentation has the size {size}; the image has {[height, width]}."
        )
    if isinstance(counts, list):
        if not is_number_list(counts) or sum(counts) != height * width:
            raise Unusable(
                kind, "segmentation's counts do not add up to the image's pixels."
            )
        return coco_mask.frPyObjects(segmentation, height, width)
    return {"size": size, "counts": counts}


def _check_polygons(kind: str, polygons: list[Any]) -> None:
    for polygon in polygons:
        if not is_number_list(polygon) or len(polygon) < 6 or len(polygon) % 2:
            raise Unusable(
                kind,
                f"segmentation holds the polygon {shown(polygon)}; it must be "
                "numbers x, y of three points or more.",
            )
