"""Reads and checks what all COCO annotation files have: images, categories, boxes.

COCO's format: `images` (id, file_name, width, height), `categories` (id, name) and
`annotations` (id, image_id, category_id, bbox, area, iscrowd and more). A mistake in
the file as a whole raises `ConversionError`; a mistake in one image or annotation is an
`Unusable`, which goes to `Faults`.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.images import read_image_file
from hrnet_tf.messages import shown

# COCO rounds boxes to hundredths of a pixel: a smaller overhang does not count.
_BOX_ROUNDING = 0.01

Annotation = TypeVar("Annotation")


@dataclasses.dataclass(frozen=True)
class ImageEntry:
    """One entry of `images`; width and height in pixels, EXIF orientation ignored."""

    id: int
    file_name: str
    width: int
    height: int


def is_partly_outside(bbox: Sequence[float], image: ImageEntry) -> bool:
    """Whether a box (x, y, width, height in pixels) reaches beyond the border."""
    x, y, width, height = bbox
    return (
        min(x, y) < -_BOX_ROUNDING
        or x + width > image.width + _BOX_ROUNDING
        or y + height > image.height + _BOX_ROUNDING
    )


def load(path: str, read_entry: Callable[[dict], dict] | None = None) -> dict[str, Any]:
    """Reads the file and keeps of every JSON object in it what `read_entry` returns.

    Raises `ConversionError` if it cannot be read, is not JSON or lacks a list.
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
    """A `read_entry` for `load` that drops outlines, for readers without masks."""
    # Most of the file is outlines. Dropped while parsing, they are never all in memory
    # at once.
    entry.pop("segmentation", None)
    return entry


def read_entries(
    path: str,
    content: dict[str, Any],
    read: Callable[[Any, dict[int, ImageEntry]], tuple[ImageEntry, Annotation]],
    faults: Faults,
    is_passed_over: Callable[[Any], bool] = lambda entry: False,
) -> tuple[list[ImageEntry], dict[int, list[Annotation]], int]:
    """Reads `images` and `annotations`; `faults` receives the unusable ones.

    `read` checks one annotation, given the usable images by id, and raises `Unusable`.
    Annotations that are `is_passed_over` are left out without a look at them.

    Returns:
        The usable images; by image id, the usable annotations of each of them; and the
        number of annotations whose image is not usable.
    """
    images, unusable_ids = _read_images(path, content["images"], faults)
    annotations: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    num_without_image = 0
    for place, entry in enumerate(content["annotations"]):
        if is_passed_over(entry):
            continue
        image_id = as_id(entry.get("image_id")) if isinstance(entry, dict) else None
        if image_id in unusable_ids:
            num_without_image += 1
            continue
        try:
            image, annotation = read(entry, images)
        except Unusable as fault:
            where = f"annotations[{place}]"
            if isinstance(entry, dict) and as_id(entry.get("id")) is not None:
                known = None if image_id is None else images.get(image_id)
                of_image = f" of {known.file_name}" if known else ""
                where = f"annotation {entry['id']}{of_image}"
            faults.report(Unusable(fault.kind, f"{path}: {where}: {fault.sentence}"))
        else:
            annotations[image.id].append(annotation)
    return list(images.values()), annotations, num_without_image


def _read_images(
    path: str, entries: list[Any], faults: Faults
) -> tuple[dict[int, ImageEntry], set[int]]:
    """The usable images by id, and the ids of the unusable ones."""
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
    _require_ids(kind, entry, "id", "width", "height")
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        received = shown(file_name, none="missing")
        raise Unusable(kind, f"file_name is {received}; it must be a text.")
    if min(entry["width"], entry["height"]) < 1:
        raise Unusable(
            kind,
            f"the size is {entry['width']}x{entry['height']}; both must be positive.",
        )
    return ImageEntry(entry["id"], file_name, entry["width"], entry["height"])


def read_annotated_image(image: ImageEntry, image_dir: str) -> bytes:
    """The bytes of a file that decodes to the annotated size. Raises `Unusable`."""
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
    """Checks what annotations of any kind have. Raises `Unusable`.

    Returns:
        The image, the box (x, y, width and height in pixels, on the image at least in
        part) and whether it surrounds a crowd.
    """
    kind = "bad annotation entry"
    if not isinstance(entry, dict):
        raise Unusable(kind, f"it is {shown(entry)}; it must be an object.")
    _require_ids(kind, entry, "id", "image_id", "category_id")
    image = images.get(entry["image_id"])
    if image is None:
        raise Unusable(
            "unknown image id", f"image_id {entry['image_id']} is not in 'images'."
        )
    bbox = _read_bbox(entry.get("bbox"), image)
    iscrowd = entry.get("iscrowd", 0)
    if iscrowd not in (0, 1):
        received = shown(iscrowd, none="missing")
        raise Unusable(kind, f"iscrowd is {received}; it must be 0 or 1.")
    return image, bbox, bool(iscrowd)


def _read_bbox(bbox: Any, image: ImageEntry) -> list[float]:
    if not is_number_list(bbox) or len(bbox) != 4:
        raise Unusable(
            "bad box",
            f"bbox is {shown(bbox, none='missing')}; it must be four finite numbers, "
            "x, y, width and height.",
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
    return bbox


def check_area(area: Any) -> None:
    """Refuses an `area` that is not a number of pixels. Raises `Unusable`."""
    if not is_number_list([area]) or area < 0:
        raise Unusable(
            "bad area",
            f"area is {shown(area, none='missing')}; it must be a number of pixels "
            ">= 0.",
        )


def _require_ids(kind: str, entry: dict, *keys: str) -> None:
    """Refuses an entry in which one of the keys is not a whole number."""
    for key in keys:
        if as_id(entry.get(key)) is None:
            received = shown(entry.get(key), none="missing")
            raise Unusable(kind, f"{key} is {received}; it must be a whole number.")


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
