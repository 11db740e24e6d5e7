"""From pairs of images and label images to segmentation TFRecords.

The converters of Cityscapes, PASCAL-Context, LIP and plain folders each find the pairs
of their data set and know how to read its labels; what they share is here. Everything
is checked first: images decode completely, and labels have their size and hold no value
without a class.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.images import ImageRules, read_image_file
from hrnet_tf.data.records.segmentation import count_pixels, encode_image_record
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.input_files import InputFileError, names_in, read_bytes
from hrnet_tf.messages import listed

_LARGEST_LIST = 100_000_000  # bytes


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
    count_undeclared: Callable[[Pair], int] = lambda pair: 0,
    **options: Any,
) -> SegmentationSummary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all files or none.

    `count_undeclared` tells how many of a pair's pixels are ignored for the value 255
    without a word about it in the label set. `options` are those of `RecordConversion`.
    Raises `ConversionError` if the input cannot be used, and `OutputError` if files of
    this prefix exist already, or it names none.
    """
    conversion = RecordConversion(output_prefix, **options)
    pixels: dict[Pair, np.ndarray] = {}

    def encode(pair: Pair) -> bytes:
        encoded, labels = _read_pair(pair, read_labels, label_set, conversion.rules)
        pixels[pair] = count_pixels(labels, label_set.num_classes)
        return encode_image_record(
            encoded, os.path.basename(pair.image), labels, label_set.num_classes
        )

    def check(written: list[Pair]) -> None:
        total = np.sum([pixels[pair] for pair in written], axis=0)
        undeclared = [count for pair in written if (count := count_undeclared(pair))]
        missing = _missing_classes(label_set, total)
        if missing and undeclared:
            raise ConversionError(
                f"None of {len(written)} label images has a pixel of the class "
                f"{listed(missing)}, while {len(undeclared)} of them hold the value "
                f"{IGNORE} ({sum(undeclared)} pixels), which means no class unless the "
                f"label set says otherwise. If {IGNORE} is the value of a class, list "
                "the values of all classes in the label set, such as values: [0, 255]; "
                "if it is a colour in a palette, give that colour to a class. "
                f"If these pixels have no class, say ignore: [{IGNORE}] in the label "
                f"set, or --ignore_value={IGNORE}. Nothing was written."
            )

    written = conversion.write_records(
        pairs, encode, lambda pair: (pair.image, pair.labels), check
    )
    total = np.sum([pixels[pair] for pair in written], axis=0)
    missing = _missing_classes(label_set, total)
    warnings = [f"No pixel has the class {listed(missing)}."] if missing else []
    return SegmentationSummary(
        **conversion.outcome(), label_set=label_set, pixels=total, warnings=warnings
    )


def _missing_classes(label_set: LabelSet, pixels: np.ndarray) -> list[str]:
    return [
        name
        for name, count in zip(label_set.classes, pixels[:-1], strict=True)
        if not count
    ]


def _read_pair(
    pair: Pair, read_labels: LabelReader, label_set: LabelSet, rules: ImageRules
) -> tuple[bytes, np.ndarray]:
    encoded, height, width = read_image_file(pair.image, rules=rules)

    def check_size(of_labels: tuple[int, int], *allowed: tuple[int, int]) -> None:
        if of_labels not in allowed:
            raise Unusable(
                "wrong size of labels",
                f"{pair.labels} is {of_labels[0]}x{of_labels[1]} pixels, but its image "
                f"{pair.image} is {width}x{height} (width x height, with "
                f"--exif={rules.exif or 'ignore'}).",
            )

    # Before they are decoded: they may be larger than any image.
    header = pictures.look_at(pair.labels)
    if header:
        check_size((header.width, header.height), (width, height), (height, width))
    labels = read_labels(pair)
    if header and rules.exif == "apply":
        labels = pictures.turned(labels, header.orientation)
    check_size(labels.shape[::-1], (width, height))
    wrong = np.unique(labels[(labels >= label_set.num_classes) & (labels != IGNORE)])
    if wrong.size:
        raise Unusable(
            "unknown class",
            f"{pair.labels} holds the label {wrong[0]}, but the label set "
            f"{label_set.name} has classes 0 to {label_set.num_classes - 1}, and "
            f"{IGNORE} for pixels without one.",
        )
    return encoded, labels


def check_folder(path: str, data_set: str, expected: str) -> None:
    """Raises `ConversionError` with the `expected` layout if a folder is missing."""
    if tf.io.gfile.isdir(path):
        return
    parent = os.path.dirname(path.rstrip("/"))
    while parent and not tf.io.gfile.isdir(parent):
        parent = os.path.dirname(parent)
    found = sorted(names_in(parent))
    raise ConversionError(
        f"{data_set} is expected as {expected}, but there is no folder {path}; "
        f"{parent or '.'} holds {listed(found) or 'nothing'}."
    )


def read_lines(path: str) -> list[str]:
    """Reads a text file's lines, but for blank ones. Raises `ConversionError`."""
    try:
        lines = read_bytes(path, _LARGEST_LIST).decode("utf-8-sig").splitlines()
    except InputFileError as error:
        raise ConversionError(str(error)) from None
    except UnicodeDecodeError:
        raise ConversionError(f"{path} is not a text in UTF-8.") from None
    return [line.strip() for line in lines if line.strip()]
