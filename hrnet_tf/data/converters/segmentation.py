"""From pairs of images and label images to segmentation TFRecords.

The converters of Cityscapes, PASCAL-Context, LIP and plain folders each find the pairs
of their data set and know how to read its labels; what they share is here. Everything
is checked first: images decode completely, and labels have their size and hold no value
without a class.
"""

import dataclasses
import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.images import read_file, read_image_file
from hrnet_tf.data.records.segmentation import encode_image_record
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.messages import listed


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file, and its label image or another name that a `LabelReader` knows."""

    image: str
    labels: str


# Reads a pair's class numbers, uint8 [H, W]; raises `Unusable`.
LabelReader = Callable[[Pair], np.ndarray]


@dataclasses.dataclass(kw_only=True)
class SegmentationSummary(ConversionSummary):
    """What the conversion of labels did."""

    label_set: LabelSet
    pixels: np.ndarray  # by class; the last number counts those without one

    def __str__(self) -> str:
        total = max(int(self.pixels.sum()), 1)
        names = (*self.label_set.classes, "(ignored)")
        width = max(len(name) for name in names)
        shares = [
            f"  {name:<{width}} {100 * count / total:7.3f} % of pixels"
            for name, count in zip(names, self.pixels, strict=True)
        ]
        return "\n".join([*self.lines({}, always=()), *shares])


def convert(
    pairs: Sequence[Pair],
    read_labels: LabelReader,
    label_set: LabelSet,
    output_prefix: str,
    **options: Any,
) -> SegmentationSummary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all files or none.

    `options` are those of `RecordConversion`. Raises `ConversionError` if the input
    cannot be used, and `OutputError` if files of this prefix exist already, or it names
    none.
    """
    conversion = RecordConversion(output_prefix, **options)
    pixels: dict[Pair, np.ndarray] = {}

    def encode(pair: Pair) -> bytes:
        encoded, labels = _read_pair(pair, read_labels, label_set)
        counts = np.bincount(labels.ravel(), minlength=256)
        pixels[pair] = np.append(counts[: label_set.num_classes], counts[IGNORE])
        return encode_image_record(
            encoded, os.path.basename(pair.image), labels, label_set.num_classes
        )

    written = conversion.write_records(pairs, encode)
    return SegmentationSummary(
        **conversion.outcome(),
        label_set=label_set,
        pixels=np.sum([pixels[pair] for pair in written], axis=0),
    )


def _read_pair(
    pair: Pair, read_labels: LabelReader, label_set: LabelSet
) -> tuple[bytes, np.ndarray]:
    encoded, height, width = read_image_file(pair.image)
    labels = read_labels(pair)
    if labels.shape != (height, width):
        raise Unusable(
            "wrong size of labels",
            f"{pair.labels} is {labels.shape[1]}x{labels.shape[0]} pixels, but its "
            f"image {pair.image} is {width}x{height} (width x height, EXIF orientation "
            "ignored).",
        )
    wrong = np.unique(labels[(labels >= label_set.num_classes) & (labels != IGNORE)])
    if wrong.size:
        raise Unusable(
            "unknown class",
            f"{pair.labels} holds the label {wrong[0]}, but the label set "
            f"{label_set.name} has classes 0 to {label_set.num_classes - 1}, and "
            f"{IGNORE} for pixels without one.",
        )
    return encoded, labels


def read_label_image(path: str) -> np.ndarray:
    """Reads a label image as it is stored. Raises `Unusable`.

    Returns:
        Whole numbers [H, W]: grey values, or the indices of a palette image. For a
        coloured image uint8 [H, W, 3], RGB.
    """
    encoded = read_file(path, "labels")
    try:
        with Image.open(io.BytesIO(encoded)) as opened:
            image: Image.Image = opened
            if opened.mode == "1":
                image = opened.convert("L").point(lambda value: value // 255)
            elif opened.mode == "RGBA":
                image = opened.convert("RGB")
            elif opened.format == "JPEG":
                raise Unusable(
                    "labels as JPEG",
                    f"{path} is a JPEG file, which does not keep labels exactly; "
                    "use PNG.",
                )
            array = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable(
            "corrupt labels", f"{path} is damaged or not an image: {error}."
        ) from None
    is_colored = array.shape[2:] == (3,)
    if not np.issubdtype(array.dtype, np.integer) or not (
        array.ndim == 2 or is_colored
    ):
        raise Unusable(
            "unreadable labels",
            f"{path} is an image with the mode {image.mode}; labels must be a grey, a "
            "palette or an RGB image.",
        )
    return array


def read_grey_labels(path: str, mapping: np.ndarray, allowed: str) -> np.ndarray:
    """Reads a grey label image as uint8 [H, W]; see `map_values`. Raises `Unusable`."""
    stored = read_label_image(path)
    if stored.ndim != 2:
        raise Unusable(
            "coloured labels", f"{path} is an RGB image; labels must be grey."
        )
    return map_values(stored, mapping, path, allowed)


def map_values(
    values: np.ndarray, mapping: np.ndarray, path: str, allowed: str
) -> np.ndarray:
    """Turns stored values into class numbers, uint8 of the same shape.

    `mapping` int64 [N] has the class number of each value, or -1. Other values raise
    `Unusable`, whose message names the `path` and the `allowed` ones: "LIP's labels".
    """
    inside = (values >= 0) & (values < len(mapping))
    mapped = np.where(inside, mapping[np.where(inside, values, 0)], -1)
    if (mapped < 0).any():
        wrong = np.unique(values[mapped < 0])
        raise Unusable(
            "unknown label",
            f"{path} holds the value {wrong[0]}, which is not one of {allowed}.",
        )
    return mapped.astype(np.uint8)


def check_folder(path: str, data_set: str, expected: str) -> None:
    """Raises `ConversionError` with the `expected` layout if a folder is missing."""
    if tf.io.gfile.isdir(path):
        return
    parent = os.path.dirname(path.rstrip("/"))
    while parent and not tf.io.gfile.isdir(parent):
        parent = os.path.dirname(parent)
    found = sorted(name.rstrip("/") for name in tf.io.gfile.listdir(parent or "."))
    raise ConversionError(
        f"{data_set} is expected as {expected}, but there is no folder {path}; "
        f"{parent or '.'} holds {listed(found) or 'nothing'}."
    )


def read_lines(path: str) -> list[str]:
    """Reads a text file's lines, but for blank ones. Raises `ConversionError`."""
    try:
        with tf.io.gfile.GFile(path) as file:
            return [line.strip() for line in file if line.strip()]
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path} cannot be read: {error}") from None
