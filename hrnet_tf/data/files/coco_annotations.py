"""Reads and checks what all COCO annotation files have: images, categories, boxes.

COCO's format: `images` (id, file_name, width, height), `categories` (id, name) and
`annotations` (id, image_id, category_id, bbox, area, iscrowd and more). A mistake in
the file as a whole raises `ConversionError`; a mistake in one image or annotation is an
`Unusable`, which goes to `Faults`.
"""

import collections
import dataclasses
import posixpath
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.files.coco_masks import is_number_list, read_mask
from hrnet_tf.data.files.faults import ConversionError, EntryRef, Faults, Unusable
from hrnet_tf.data.files.images import (
    DEFAULT_RULES,
    ImageRules,
    can_be_path,
    path_below,
    read_image_file,
)
from hrnet_tf.input_files import InputFileError, read_json
from hrnet_tf.messages import listed, shown, shown_at

# COCO rounds boxes to hundredths of a pixel: a smaller overhang does not count.
_BOX_ROUNDING = 0.01
# Of a box; crowdposetools scores people by it, whatever their `area`.
_CROWDPOSE_SHARE = 0.53
# No decoder reads larger images, and COCO's masks count pixels in 32 bits.
_MOST_PIXELS = 2**31
LARGEST_ID = 2**63 - 1  # what a TFRecord and an int64 tensor hold
_NO_MASKS = "To take areas from boxes, convert with --area_from=box."
LISTS = ("images", "annotations", "categories")

Annotation = TypeVar("Annotation")


@dataclasses.dataclass(frozen=True)
class ImageEntry:
    """One entry of `images`; width and height in pixels, EXIF orientation ignored."""

    id: int
    file_name: str
    width: int
    height: int
    place: int = 0  # in the list

    @property
    def ref(self) -> EntryRef:
        """Where it stands in the file."""
        return EntryRef("images", self.place, self.id)


def is_partly_outside(bbox: Sequence[float], image: ImageEntry) -> bool:
    """Whether a box (x, y, width, height in pixels) reaches beyond the border."""
    x, y, width, height = bbox
    return (
        min(x, y) < -_BOX_ROUNDING
        or x + width > image.width + _BOX_ROUNDING
        or y + height > image.height + _BOX_ROUNDING
    )


def load(path: str, read_entry: Callable[[dict], dict] | None = None) -> dict[str, Any]:
    """Reads an annotation file; for `read_entry` see `input_files.parse_json`.

    Raises `ConversionError` if it cannot be read, is not JSON, lacks a list or has two
    categories of one id.
    """
    try:
        content = read_json(path, read_entry)
    except InputFileError as error:
        raise ConversionError(f"The annotation file {error}") from None
    # A split that shows nothing but background may describe no categories.
    is_background = isinstance(content, dict) and content.get("annotations") == []
    if is_background and content.get("categories") is None:
        content["categories"] = []
    for key in LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ConversionError(
                f"The annotation file {path} has no list {key!r}; COCO annotations "
                "have the lists 'images', 'annotations' and 'categories'."
            )
    _check_category_ids(path, content["categories"])
    return content


def _check_category_ids(path: str, categories: list[Any]) -> None:
    names: dict[int, Any] = {}
    for entry in categories:
        number = as_id(entry.get("id")) if isinstance(entry, dict) else None
        if number in names:
            raise ConversionError(
                f"{path}: the categories {shown(names[number])} and "
                f"{shown(entry.get('name'))} have the same id {number}."
            )
        if number is not None:
            names[number] = entry.get("name")


def without_outline(entry: dict) -> dict:
    """A `read_entry` for `load` that drops outlines, for readers without masks."""
    # Most of the file is outlines. Dropped while parsing, they are never all in memory
    # at once.
    entry.pop("segmentation", None)
    return entry


def shared_names(images: Sequence[ImageEntry]) -> list[str]:
    """A warning if several images have one file, which may be meant, or a mistake."""
    names = collections.Counter(posixpath.normpath(image.file_name) for image in images)
    shared = [name for name, count in names.items() if count > 1]
    if not shared:
        return []
    return [
        f"Warning: {len(shared)} files are those of several images, each with a part "
        f"of the annotations: {listed(shared)}. Give them one id."
    ]


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
    for group in ("images", "annotations"):
        faults.check_length(group, len(content[group]))
    images, unusable_ids = _read_images(path, content["images"], faults)
    annotations: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    num_without_image = 0
    seen_ids: set[int] = set()
    for place, entry in enumerate(content["annotations"]):
        if is_passed_over(entry):
            continue
        ref = _ref("annotations", place, entry)
        image_id = as_id(entry.get("image_id")) if isinstance(entry, dict) else None
        if image_id in unusable_ids:
            num_without_image += 1
            continue
        if faults.leaves_out(ref):
            continue
        try:
            image, annotation = read(entry, images)
            if entry["id"] in seen_ids:
                raise Unusable("duplicate annotation id", "the id is used twice.")
        except Unusable as fault:
            known = None if image_id is None else images.get(image_id)
            of_image = f" of {known.file_name}" if known else ""
            sentence = f"{path}: {_named(ref)}{of_image}: {fault.sentence}"
            faults.report(Unusable(fault.kind, sentence), ref)
        else:
            seen_ids.add(entry["id"])
            annotations[image.id].append(annotation)
    return list(images.values()), annotations, num_without_image


def _ref(group: str, place: int, entry: Any) -> EntryRef:
    return EntryRef(
        group, place, as_id(entry.get("id")) if isinstance(entry, dict) else None
    )


def _named(ref: EntryRef) -> str:
    """An entry as messages name it: annotation 7, or annotations[3] without an id."""
    if ref.id is None:
        return f"{ref.group}[{ref.place}]"
    return f"{ref.group.removesuffix('s')} {ref.id}"


def _read_images(
    path: str, entries: list[Any], faults: Faults
) -> tuple[dict[int, ImageEntry], set[int]]:
    """The usable images by id, and the ids of the unusable ones."""
    images: dict[int, ImageEntry] = {}
    unusable_ids: set[int] = set()
    refs = [_ref("images", place, entry) for place, entry in enumerate(entries)]
    uses = collections.Counter(ref.id for ref in refs)
    for ref, entry in zip(refs, entries, strict=True):
        try:
            if faults.leaves_out(ref):
                raise Unusable("left out", "")
            image = read_image(entry, ref.place)
            # Nobody can tell which of the images the annotations are of.
            if uses[image.id] > 1:
                raise Unusable("duplicate image id", "the id is used twice.")
        except Unusable as fault:
            if fault.sentence:
                sentence = f"{path}: {_named(ref)}: {fault.sentence}"
                faults.report(Unusable(fault.kind, sentence), ref)
            if ref.id is not None:
                unusable_ids.add(ref.id)
        else:
            images[image.id] = image
    return images, unusable_ids


def read_image(entry: Any, place: int) -> ImageEntry:
    """Checks an entry of `images`. Raises `Unusable`."""
    kind = "bad image entry"
    if not isinstance(entry, dict):
        raise Unusable(kind, f"it is {shown(entry)}; it must be an object.")
    # Batches are filled with images below 0, so that a real one would vanish.
    require_ids(kind, entry, "id", least=0)
    height, width = check_size(kind, entry)
    file_name = read_file_name(kind, entry)
    return ImageEntry(entry["id"], file_name, width, height, place)


def check_size(kind: str, entry: dict) -> tuple[int, int]:
    """Height and width, if an image can have that size. Raises `Unusable`."""
    require_ids(kind, entry, "width", "height")
    width, height = entry["width"], entry["height"]
    if min(width, height) < 1 or width * height >= _MOST_PIXELS:
        raise Unusable(
            kind,
            f"the size is {width}x{height}; both must be positive, and the image must "
            "have less than 2^31 pixels.",
        )
    return height, width


def read_file_name(kind: str, entry: dict, key: str = "file_name") -> str:
    """Checks that `file_name`, or another key, can name a file. Raises `Unusable`."""
    name = entry.get(key)
    if not isinstance(name, str) or not can_be_path(name):
        received = shown_at(key, entry)
        raise Unusable(
            kind, f"{key} is {received}; it must be a text that can name a file."
        )
    return name


def read_annotated_image(
    image: ImageEntry, image_dir: str, rules: ImageRules = DEFAULT_RULES
) -> bytes:
    """The bytes of a file that decodes to the annotated size. Raises `Unusable`."""
    identity = f" (image {image.id})"
    path = path_below(image_dir, image.file_name, rules.allow_outside)
    encoded, height, width = read_image_file(path, identity, rules)
    if (height, width) != (image.height, image.width):
        raise Unusable(
            "wrong image size",
            f"{path}{identity} is {width}x{height} pixels, but its "
            f"annotations say {image.width}x{image.height} (width x height, with "
            f"--exif={rules.exif or 'ignore'}).",
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
    require_ids(kind, entry, "id", "image_id", "category_id")
    image = images.get(entry["image_id"])
    if image is None:
        raise Unusable(
            "unknown image id", f"image_id {entry['image_id']} is not in 'images'."
        )
    bbox = read_bbox(entry)
    check_bbox(bbox, image)
    return image, bbox, read_iscrowd(kind, entry)


def read_iscrowd(kind: str, entry: dict) -> bool:
    """Whether an annotation surrounds a crowd. Raises `Unusable` if that is unclear."""
    iscrowd = entry.get("iscrowd", 0)
    if iscrowd not in (0, 1):
        raise Unusable(kind, f"iscrowd is {shown(iscrowd)}; it must be 0 or 1.")
    return bool(iscrowd)


def read_bbox(entry: dict[str, Any]) -> list[float]:
    """Checks that `bbox` is four finite numbers. Raises `Unusable`."""
    bbox: Any = entry.get("bbox")
    if not is_number_list(bbox) or len(bbox) != 4:
        raise Unusable(
            "bad box",
            f"bbox is {shown_at('bbox', entry)}; it must be four finite numbers, x, y, "
            "width and height.",
        )
    return bbox


def check_bbox(bbox: list[float], image: ImageEntry | None) -> None:
    """Refuses a box without an extent, or off its image. Raises `Unusable`.

    `image` is None if its size is not known.
    """
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        raise Unusable(
            "bad box", f"bbox is {bbox}; its width and height must be positive."
        )
    if image is None:
        return
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        raise Unusable(
            "box outside the image",
            f"bbox is {bbox} (x, y, width, height), wholly outside the "
            f"{image.width}x{image.height} image.",
        )


def clip(bbox: Sequence[float], image: ImageEntry) -> list[float]:
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


def read_area(
    entry: dict,
    bbox: Sequence[float],
    image: ImageEntry,
    area_from: str | None,
    default: str | None = None,
) -> tuple[float, bool]:
    """Reads `area`, in pixels, or measures it; returns it and whether it was measured.

    `area_from`, "box" or "segmentation", says where an area comes from that is missing
    or 0; `default` where one comes from that is missing. "crowdpose" takes 0.53 of the
    box in any case. Raises `Unusable`.
    """
    if area_from == "crowdpose":
        return _CROWDPOSE_SHARE * bbox[2] * bbox[3], True
    area: Any = entry.get("area")
    is_number = is_number_list([area])
    source = (area_from or default) if area is None else area_from
    if source and (area is None or (is_number and area == 0)):
        if source == "box":
            _, _, width, height = clip(bbox, image)
            return width * height, True
        mask = read_mask(entry, image.height, image.width, _NO_MASKS)
        return float(coco_mask.area(mask)), True
    if not is_number or area < 0:
        raise Unusable(
            "bad area",
            f"area is {shown_at('area', entry)}; it must be a number of pixels >= 0.",
        )
    return area, False


def require_ids(kind: str, entry: dict, *keys: str, least: int = -(2**63)) -> None:
    """Refuses an entry in which one of the keys is not a whole number of 64 bits."""
    for key in keys:
        value = entry.get(key)
        number = as_id(value)
        if number is None or number < least:
            is_int = isinstance(value, int) and not isinstance(value, bool)
            bounds = f" from {least} to {LARGEST_ID}" if is_int else ""
            received = shown_at(key, entry)
            raise Unusable(
                kind, f"{key} is {received}; it must be a whole number{bounds}."
            )


def id_list(chosen: int | Sequence[int] | None) -> list[int]:
    """A choice of ids by configuration; empty if there is none."""
    return [chosen] if isinstance(chosen, int) else list(chosen or [])


def as_id(value: Any) -> int | None:
    """The value if it is a whole number that a TFRecord can hold, else None."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return value if is_int and -(2**63) <= value <= LARGEST_ID else None
