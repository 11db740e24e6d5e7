"""Reads and checks what all COCO annotation files have: images, categories, boxes.

COCO's format: `images` (id, file_name, width, height), `categories` (id, name) and
`annotations` (id, image_id, category_id, bbox, area, iscrowd and more). What is wrong
with the file as a whole raises `ConversionError`; what is wrong with one image or
annotation is an `Unusable`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Faults,
    Unusable,
    read_image_file,
)

# COCO rounds boxes to hundredths of a pixel: less beyond the border is no overhang.
_BOX_ROUNDING = 0.01


@dataclasses.dataclass(frozen=True)
class ImageEntry:
    """One entry of `images`; width and height in pixels, EXIF orientation ignored."""

    id: int
    file_name: str
    width: int
    height: int


def is_partly_outside(bbox: list[float], image: ImageEntry) -> bool:
    """Whether a box (x, y, width, height in pixels) reaches beyond the border."""
    x, y, width, height = bbox
    return (
        min(x, y) < -_BOX_ROUNDING
        or x + width > image.width + _BOX_ROUNDING
        or y + height > image.height + _BOX_ROUNDING
    )


def load(path: str, read_entry: Callable[[dict], dict] | None = None) -> dict[str, Any]:
    """Reads the file.

    Args:
      path: the JSON file.
      read_entry: called with every JSON object while the file is parsed, and returns
        what is kept of it.

    Raises:
      ConversionError: it cannot be read, is no JSON or lacks one of the three lists.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = json.loads(file.read(), object_hook=read_entry)
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


def without_outline(entry: dict) -> dict:
    """A `read_entry` for `load`: what is needed where masks are not."""
    # Most of the file is outlines. Dropped while parsing, they are never all in memory
    # at once.
    entry.pop("segmentation", None)
    return entry


def read_images(
    path: str, entries: list[Any], faults: Faults
) -> tuple[dict[int, ImageEntry], set[int]]:
    """The usable images by id, and the ids of those that are not usable.

    Args:
      path: the file's, for messages.
      entries: its `images`.
      faults: told of each unusable one.
    """
    images: dict[int, ImageEntry] = {}
    unusable_ids: set[int] = set()
    for place, entry in enumerate(entries):
        try:
            image = _read_image(entry)
            if image.id in images:
                raise Unusable("duplicate image id", "the id is used twice.")
        except Unusable as fault:
            image_id = as_id(entry.get("id")) if isinstance(entry, dict) else None
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
        raise Unusable(kind, f"it is {shown(entry)}; it must be an object.")
    require_ids(kind, entry, "id", "width", "height")
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        raise Unusable(kind, f"file_name is {shown(file_name)}; it must be a text.")
    if min(entry["width"], entry["height"]) < 1:
        raise Unusable(
            kind,
            f"the size is {entry['width']}x{entry['height']}; both must be positive.",
        )
    return ImageEntry(entry["id"], file_name, entry["width"], entry["height"])


def read_annotated_image(image: ImageEntry, image_dir: str) -> bytes:
    """The bytes of an image file that decodes completely to the annotated size.

    Raises:
      Unusable: there is no such file, or it is something else.
    """
    path = os.path.join(image_dir, image.file_name)
    encoded, height, width = read_image_file(path, f" (image {image.id})")
    if (height, width) != (image.height, image.width):
        raise Unusable(
            "wrong image size",
            f"{path} (image {image.id}) is {width}x{height} pixels, but its "
            f"annotations say {image.width}x{image.height} (width x height, EXIF "
            "orientation ignored).",
        )
    return encoded


def read_box(
    entry: Any, images: dict[int, ImageEntry]
) -> tuple[ImageEntry, list[float], bool]:
    """Checks what annotations of any kind have.

    Returns:
      The image, the box (x, y, width and height in pixels, on the image at least in
      part) and whether it is of a crowd.

    Raises:
      Unusable: something is missing or impossible.
    """
    kind = "bad annotation entry"
    if not isinstance(entry, dict):
        raise Unusable(kind, f"it is {shown(entry)}; it must be an object.")
    require_ids(kind, entry, "id", "image_id", "category_id")
    image = images.get(entry["image_id"])
    if image is None:
        raise Unusable(
            "unknown image id", f"image_id {entry['image_id']} is not in 'images'."
        )
    bbox = entry.get("bbox")
    if not is_number_list(bbox) or len(bbox) != 4:
        raise Unusable(
            "bad box",
            f"bbox is {shown(bbox)}; it must be four finite numbers, x, y, width and "
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
    iscrowd = entry.get("iscrowd", 0)
    if iscrowd not in (0, 1):
        raise Unusable(kind, f"iscrowd is {shown(iscrowd)}; it must be 0 or 1.")
    return image, bbox, bool(iscrowd)


def require_ids(kind: str, entry: dict, *keys: str) -> None:
    """Refuses an entry in which one of the keys is no whole number."""
    for key in keys:
        if as_id(entry.get(key)) is None:
            raise Unusable(
                kind, f"{key} is {shown(entry.get(key))}; it must be a whole number."
            )


def as_id(value: Any) -> int | None:
    """The value if it is a whole number that a TFRecord can hold, else None."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return value if is_int and -(2**63) <= value < 2**63 else None


def is_number_list(values: Any) -> bool:
    """Whether this is a list of numbers; NaN, infinite and absurdly large are not."""
    return isinstance(values, list) and all(
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -1e9 < value < 1e9
        for value in values
    )


def where_annotation(place: int, entry: Any, images: dict[int, ImageEntry]) -> str:
    """What messages call the annotation at `place` in its list."""
    if not isinstance(entry, dict) or as_id(entry.get("id")) is None:
        return f"annotations[{place}]"
    image = images.get(as_id(entry.get("image_id")))
    return f"annotation {entry['id']}" + (f" of {image.file_name}" if image else "")


def shown(value: Any) -> str:
    """The value as an error message quotes it: not too long."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
