"""From pairs of images and label images to segmentation TFRecords.

The converters of Cityscapes, PASCAL-Context, LIP and plain folders each find the pairs
of their data set and know how to read its labels; what they share is here. Everything
is checked first: images decode completely, and labels have their size and hold no value
without a class.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.converters.encoder import Encoded, RecordEncoder, Tally
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.images import ImageRules, read_image_file
from hrnet_tf.data.records.segmentation import count_pixels, encode_image_record
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.input_files import InputFileError, names_in, read_text
from hrnet_tf.messages import listed

_LARGEST_LIST = 100_000_000  # bytes


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file, and its label image or another name that a `LabelReader` knows."""

    image: str
    labels: str


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of an image.

    Attributes:
        classes: Class numbers, uint8 [H, W].
        undeclared: How many pixels are ignored for the value 255, without a word about
            it in the label set.
        palette: The colours of the palette indices that stand for classes by
            themselves, which must be the same in all label images.
    """

    classes: np.ndarray
    undeclared: int = 0
    palette: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)


# Reads a pair's labels, of at most so many pixels, in any process; raises `Unusable`.
LabelReader = Callable[[Pair, int], Labels]


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


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What is counted of a pair: as in `Labels`, and pixels by class."""

    pixels: np.ndarray
    undeclared: int
    palette: Mapping[int, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class _PairEncoder(RecordEncoder[Pair]):
    read_labels: LabelReader
    label_set: LabelSet
    rules: ImageRules

    def paths_of(self, item: Pair) -> Sequence[str]:
        return item.image, item.labels

    def encode(self, item: Pair) -> Encoded:
        encoded, labels = _read_pair(item, self.read_labels, self.label_set, self.rules)
        num_classes = self.label_set.num_classes
        name = os.path.basename(item.image)
        record = encode_image_record(encoded, name, labels.classes, num_classes)
        pixels = count_pixels(labels.classes, num_classes)
        return Encoded(record, _Facts(pixels, labels.undeclared, labels.palette))


class _PixelTally(Tally[Pair]):
    """Pixels by class in all label images, and what these do not agree on.

    Attributes:
        pixels: int64 [C + 1]; the last number counts those without a class.
    """

    def __init__(self, label_set: LabelSet):
        self.pixels = np.zeros(label_set.num_classes + 1, np.int64)
        self._label_set = label_set
        self._num_images = 0
        self._undeclared: list[int] = []
        # By palette index: its colour, and the file that used it first.
        self._palette: dict[int, tuple[tuple[int, ...], str]] = {}

    def add(self, item: Pair, facts: _Facts) -> None:
        """Raises `ConversionError` if palettes contradict each other."""
        for index, color in facts.palette.items():
            known, path = self._palette.setdefault(index, (color, item.labels))
            if known != color:
                raise ConversionError(
                    f"The palettes of label images contradict each other: index "
                    f"{index} is the colour {[*known]} in {path}, but {[*color]} in "
                    f"{item.labels}. Give the classes' colours in the label set "
                    "(colors: ...) to read by colour, or save label images as grey."
                )
        self.pixels += facts.pixels
        self._num_images += 1
        if facts.undeclared:
            self._undeclared.append(facts.undeclared)

    def missing_classes(self) -> list[str]:
        """Names of the classes without a pixel."""
        counted = zip(self._label_set.classes, self.pixels[:-1], strict=True)
        return [name for name, count in counted if not count]

    def check(self) -> None:
        missing = self.missing_classes()
        if missing and self._undeclared:
            raise ConversionError(
                f"None of {self._num_images} label images has a pixel of the class "
                f"{listed(missing)}, while {len(self._undeclared)} of them hold the "
                f"value {IGNORE} ({sum(self._undeclared)} pixels), which means no "
                "class unless the label set says otherwise. If "
                f"{IGNORE} is the value of a class, list the values of all classes in "
                "the label set, such as values: [0, 255]; if it is a colour in a "
                "palette, give that colour to a class. If these pixels have no class, "
                f"say ignore: [{IGNORE}] in the label set, or "
                f"--ignore_value={IGNORE}. Nothing was written."
            )


def convert(
    pairs: Sequence[Pair],
    read_labels: LabelReader,
    label_set: LabelSet,
    output_prefix: str,
    **options: Any,
) -> SegmentationSummary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all files or none.

    `read_labels` can be pickled; `options` are those of `RecordConversion`. Raises
    `ConversionError` if the input cannot be used, and `OutputError` if files of this
    prefix exist already, or it names none.
    """
    conversion = RecordConversion(output_prefix, **options)
    encoder = _PairEncoder(read_labels, label_set, conversion.rules)
    tally = _PixelTally(label_set)
    conversion.write_records(pairs, encoder, tally)
    missing = tally.missing_classes()
    warnings = [f"No pixel has the class {listed(missing)}."] if missing else []
    return SegmentationSummary(
        **conversion.outcome(),
        label_set=label_set,
        pixels=tally.pixels,
        warnings=warnings,
    )


def _read_pair(
    pair: Pair, read_labels: LabelReader, label_set: LabelSet, rules: ImageRules
) -> tuple[bytes, Labels]:
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
    labels = read_labels(pair, rules.max_pixels)
    if header and rules.exif == "apply":
        turned = pictures.turned(labels.classes, header.orientation)
        labels = dataclasses.replace(labels, classes=turned)
    classes = labels.classes
    check_size(classes.shape[::-1], (width, height))
    wrong = np.unique(classes[(classes >= label_set.num_classes) & (classes != IGNORE)])
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
        lines = read_text(path, _LARGEST_LIST).splitlines()
    except InputFileError as error:
        raise ConversionError(str(error)) from None
    return [line.strip() for line in lines if line.strip()]
