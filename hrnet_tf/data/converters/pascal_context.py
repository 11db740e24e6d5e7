"""PASCAL-Context: its layouts, and its 459 labels as 60 classes."""

import collections
import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask

from hrnet_tf.data.converters.label_images import map_values, read_grey_labels
from hrnet_tf.data.converters.segmentation import (
    LabelReader,
    Labels,
    Pair,
    check_folder,
    read_lines,
)
from hrnet_tf.data.files.coco_annotations import check_size, read_file_name
from hrnet_tf.data.files.coco_masks import compress
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.images import is_plain_name, read_file
from hrnet_tf.data.files.matlab import read_arrays
from hrnet_tf.data.files.media import is_hidden
from hrnet_tf.input_files import MAX_PIXELS, InputFileError, names_in, read_json
from hrnet_tf.messages import listed, shown_at

# The numbers of the 59 classes among the 459 labels, in their order.
_LABEL_IDS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98),
    *(104, 105, 113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260),
    *(284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416),
    *(420, 424, 427, 440, 445, 454, 458),
)
_NUM_LABELS = 459

# Class numbers by label; all other labels are background.
_CLASSES_OF_LABELS = np.zeros(_NUM_LABELS + 1, np.int64)
_CLASSES_OF_LABELS[list(_LABEL_IDS)] = range(1, len(_LABEL_IDS) + 1)


def find_pairs(
    data_dir: str, annotations: str, split: str, image_list: str | None = None
) -> tuple[list[Pair], LabelReader]:
    """Lists the images of a split, and how to read their classes.

    The flags of `hrnet_tf.data.pascal_context` describe the arguments. Raises
    `ConversionError` if something is not as expected.
    """
    image_dir = os.path.join(data_dir, "JPEGImages")
    check_folder(image_dir, "PASCAL VOC 2010", "VOC2010/JPEGImages/*.jpg")
    if not tf.io.gfile.isdir(annotations):
        return _find_in_json(image_dir, annotations, split)
    names = [name for name in names_in(annotations) if not is_hidden(name)]
    readers = {".mat": _read_mat, ".png": _read_png}
    suffixes = [
        suffix for suffix in readers if any(name.endswith(suffix) for name in names)
    ]
    if not suffixes:
        raise ConversionError(
            f"--annotations={annotations} holds neither .mat nor .png files; it holds "
            f"{listed(sorted(names)) or 'nothing'}."
        )
    suffix = suffixes[0]
    image_list = image_list or _image_list(data_dir, split)
    stems = read_lines(image_list)
    if outside := [stem for stem in stems if not is_plain_name(stem)]:
        raise ConversionError(
            f"{image_list} must hold names of images below {image_dir}; got "
            f"{outside[0]!r}."
        )
    pairs = [
        Pair(
            os.path.join(image_dir, f"{stem}.jpg"),
            os.path.join(annotations, stem + suffix),
        )
        for stem in stems
    ]
    if not pairs:
        raise ConversionError(f"The list of images for the split {split} is empty.")
    return pairs, readers[suffix]


def _image_list(data_dir: str, split: str) -> str:
    places = [
        os.path.join(data_dir, "ImageSets", folder, f"{split}.txt")
        for folder in ("SegmentationContext", "Main")
    ]
    for path in places:
        if tf.io.gfile.exists(path):
            return path
    raise ConversionError(
        f"The images of the split {split} are expected in {' or '.join(places)}; name "
        "their list with --image_list."
    )


def _find_in_json(
    image_dir: str, path: str, split: str
) -> tuple[list[Pair], LabelReader]:
    try:
        content = read_json(path)
        images = [entry for entry in content["images"] if entry["phase"] == split]
        regions: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
        for region in content["annos_segmentation"]:
            regions[region["image_id"]].append(region)
        by_name = dict(map(_read_image, images))
    except Unusable as fault:
        raise ConversionError(f"--annotations={path}: {fault.sentence}") from None
    except InputFileError as error:
        raise ConversionError(
            f"--annotations={error} Give trainval_merged.json, or a folder of .mat or "
            ".png files."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"--annotations={path} is unlike PASCAL in Detail's trainval_merged.json: "
            "it must hold images (file_name, image_id, phase, height, width) and "
            f"annos_segmentation (image_id, category_id, segmentation); {error!r}."
        ) from None
    if not by_name:
        raise ConversionError(f"{path} has no images whose phase is {split}.")
    # No file has the path of such labels, which might be looked at.
    pairs: list[Pair] = [
        _RegionPair(
            os.path.join(image_dir, name),
            os.path.join(path, name),
            *by_name[name],
            regions.get(by_name[name][-1], []),
        )
        for name in by_name
    ]
    return pairs, _read_regions


@dataclasses.dataclass(frozen=True)
class _RegionPair(Pair):
    """An image with its entries of the JSON file."""

    height: int
    width: int
    image_id: Any
    regions: list[dict[str, Any]]


def _read_image(entry: dict[str, Any]) -> tuple[str, tuple[int, int, Any]]:
    """The name, height, width and id of an image. Raises `Unusable`."""
    name = read_file_name("", entry)
    if not is_plain_name(name):
        raise Unusable("", f"file_name is {name!r}, which leads out of JPEGImages.")
    image_id = entry["image_id"]
    hash(image_id)  # A list or an object is no id: `TypeError`.
    height, width = check_size("", entry)
    return name, (height, width, image_id)


def _read_regions(pair: Pair, max_pixels: int) -> Labels:
    """Draws an image's regions over each other, in the order of the file."""
    assert isinstance(pair, _RegionPair)
    if pair.height * pair.width > max_pixels:
        where = f"{pair.labels} (image_id {pair.image_id})"
        raise _too_large(where, pair.width, pair.height, max_pixels)
    labels = np.zeros((pair.height, pair.width), np.int64)
    for region in pair.regions:
        where = (
            f"A region of {pair.labels} (image_id {pair.image_id}) cannot be drawn: "
        )
        try:
            mask = compress(region, pair.height, pair.width)
            label = region.get("category_id")
            if type(label) is not int or not 0 <= label <= _NUM_LABELS:
                raise Unusable(
                    "",
                    f"category_id is {shown_at('category_id', region)}; it must be one "
                    f"of the labels 0 to {_NUM_LABELS}.",
                )
        except Unusable as fault:
            raise Unusable("damaged region", f"{where}{fault.sentence}") from None
        labels[coco_mask.decode(mask).astype(bool)] = label
    source = f"The regions of {pair.labels}"
    return _classes_of(labels, source)


def _read_mat(pair: Pair, max_pixels: int) -> Labels:
    content = read_file(pair.labels, "labels")
    # float64 LabelMaps, or as much as there may be beside small ones.
    most = 8 * max(max_pixels, MAX_PIXELS) + 1000
    try:
        labels = read_arrays(content, ["LabelMap"], most).get("LabelMap")
        if labels is None:
            raise ValueError("it has none")
        if labels.ndim == 2 and labels.size > max_pixels:
            height, width = labels.shape
            raise _too_large(pair.labels, width, height, max_pixels)
        with np.errstate(invalid="ignore"):
            numbers = labels.astype(np.int64)
        if labels.ndim != 2 or (numbers != labels).any():
            raise ValueError(f"it is {labels.dtype} {list(labels.shape)}")
    except ValueError as error:
        raise Unusable(
            "corrupt labels",
            f"{pair.labels} holds no LabelMap of whole numbers: {error}.",
        ) from None
    return _classes_of(numbers, pair.labels)


def _too_large(where: str, width: int, height: int, max_pixels: int) -> Unusable:
    return Unusable(
        "labels too large",
        f"{where} has {width}x{height} pixels, and at most {max_pixels} are read; make "
        "image and labels smaller, or allow more with --max_pixels.",
    )


def _classes_of(numbers: np.ndarray, source: str) -> Labels:
    return Labels(
        map_values(numbers, _CLASSES_OF_LABELS, source, "PASCAL-Context's 459 labels")
    )


def _read_png(pair: Pair, max_pixels: int) -> Labels:
    mapping = np.arange(len(_LABEL_IDS) + 1)
    allowed = "the class numbers 0 to 59"
    return Labels(read_grey_labels(pair.labels, max_pixels, mapping, allowed))
