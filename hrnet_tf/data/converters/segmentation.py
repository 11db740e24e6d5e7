"""From pairs of images and label images to segmentation TFRecords.

The converters of Cityscapes, PASCAL-Context, LIP and of plain folders each find the
pairs of their data set and say how its labels are read; what they share is here.
Everything is checked first: images decode completely, labels have their size and no
value that is no class.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import flags
from PIL import Image

from hrnet_tf import command_line
from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Faults,
    Unusable,
    count_shards,
    read_ahead,
    read_file,
    read_image_file,
)
from hrnet_tf.data.files.media import MediaError
from hrnet_tf.data.records.segmentation import encode_image_record
from hrnet_tf.data.records.shards import OutputError, RecordShards, check_output_prefix
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet, LabelSetError
from hrnet_tf.progress import Progress

# Names in a message about many of them.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file and what tells its classes.

    Attributes:
        image: Path of the image.
        labels: Path of its label image, or another name of it that the reader of
            labels knows.
    """

    image: str
    labels: str


# Reads class numbers, uint8 [H, W], of a pair; raises `Unusable`.
LabelReader = Callable[[Pair], np.ndarray]


@dataclasses.dataclass
class Summary:
    """What `convert` did."""

    label_set: LabelSet
    images: int = 0
    pixels: np.ndarray | None = None  # by class; the last is without one
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        total = max(int(self.pixels.sum()), 1)
        width = max(len(name) for name in (*self.label_set.classes, "(ignored)"))
        shares = [
            f"  {name:<{width}} {100 * count / total:7.3f} % of pixels"
            for name, count in zip(
                (*self.label_set.classes, "(ignored)"), self.pixels, strict=True
            )
        ]
        lines = [f"{self.images} images", *shares]
        lines += [f"{n} skipped: {kind}" for kind, n in sorted(self.skipped.items())]
        last = os.path.basename(self.files[-1])
        files = self.files[0] + (f" ... {last}" if len(self.files) > 1 else "")
        return "\n".join([*lines, f"{len(self.files)} files written: {files}"])


def convert(
    pairs: Sequence[Pair],
    read_labels: LabelReader,
    label_set: LabelSet,
    output_prefix: str,
    *,
    num_shards: int | None = None,
    on_error: str = "fail",
    overwrite: bool = False,
) -> Summary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all of them or none.

    Args:
        pairs: What to write, in order.
        read_labels: Reads the classes of a pair.
        label_set: The classes.
        output_prefix: Folder and beginning of the names of the files to write.
        num_shards: Number of files; see `conversion.count_shards`.
        on_error: 'fail' raises at the first fault; 'skip' leaves faulty images out.
        overwrite: Whether to replace earlier files of the same prefix.

    Raises:
        ConversionError: Input that cannot be used.
        OutputError: Files of this prefix exist already, or it names none.
    """
    check_output_prefix(output_prefix, overwrite)
    faults = Faults(on_error)
    read = functools.partial(_read_pair, read_labels=read_labels, label_set=label_set)
    pixels = np.zeros(label_set.num_classes + 1, np.int64)
    with (
        RecordShards(output_prefix, count_shards(len(pairs), num_shards)) as shards,
        Progress(len(pairs), "Converting") as progress,
    ):
        for pair, future in read_ahead(pairs, read):
            try:
                encoded, labels = future.result()
            except Unusable as fault:
                faults.report(fault)
                progress.advance(skipped=faults.counts.total())
                continue
            name = os.path.basename(pair.image)
            shards.write(
                encode_image_record(encoded, name, labels, label_set.num_classes)
            )
            counts = np.bincount(labels.ravel(), minlength=256)
            pixels[:-1] += counts[: label_set.num_classes]
            pixels[-1] += counts[IGNORE]
            progress.advance()
        if not shards.written:
            raise ConversionError(
                f"All {len(pairs)} images were skipped, so nothing is written; the "
                f"first fault: {faults.sentences[0]}"
            )
        written = shards.written
    return Summary(
        label_set,
        images=written,
        pixels=pixels,
        skipped=dict(faults.counts),
        faults=faults.sentences,
        files=shards.files,
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
            f"{IGNORE} for none.",
        )
    return encoded, labels


def read_label_image(path: str) -> np.ndarray:
    """Reads a label image as it is stored.

    Returns:
        [H, W] of whole numbers: grey values, or the indices of a palette image; of a
        coloured image uint8 [H, W, 3], RGB.

    Raises:
        Unusable: If it is no image, or has transparency or fractions.
    """
    encoded = read_file(path, "labels")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode == "1":
                image = image.convert("L").point(lambda value: value // 255)
            elif image.mode == "RGBA":
                image = image.convert("RGB")
            elif image.format == "JPEG":
                raise Unusable(
                    "labels as JPEG",
                    f"{path} is a JPEG file, which does not keep labels exactly; "
                    "use PNG.",
                )
            array = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable(
            "corrupt labels", f"{path} is damaged or no image: {error}."
        ) from None
    is_colored = array.shape[2:] == (3,)
    if not np.issubdtype(array.dtype, np.integer) or not (
        array.ndim == 2 or is_colored
    ):
        raise Unusable(
            "unreadable labels",
            f"{path} is an image of the mode {image.mode}; labels must be a grey, a "
            "palette or an RGB image.",
        )
    return array


def map_values(
    values: np.ndarray, mapping: np.ndarray, path: str, data_set: str
) -> np.ndarray:
    """Turns stored values into class numbers, uint8 of the same shape.

    Args:
        values: Whole numbers.
        mapping: int64 [N], the class number of each value, -1 for values that must not
            occur.
        path: Where they are from, for messages.
        data_set: What the values are of, for messages: "Cityscapes".

    Raises:
        Unusable: If there is a value that must not occur.
    """
    inside = (values >= 0) & (values < len(mapping))
    mapped = np.where(inside, mapping[np.where(inside, values, 0)], -1)
    if (mapped < 0).any():
        wrong = np.unique(values[mapped < 0])
        raise Unusable(
            "unknown label",
            f"{path} holds the value {wrong[0]}, which is none of {data_set}.",
        )
    return mapped.astype(np.uint8)


def check_folder(path: str, data_set: str, expected: str) -> None:
    """Refuses a layout that misses a folder.

    Raises:
        ConversionError: If `path` is no folder; says what was expected and found.
    """
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


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def read_lines(path: str) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        ConversionError: If there is no such file.
    """
    try:
        with tf.io.gfile.GFile(path) as file:
            return [line.strip() for line in file if line.strip()]
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path} cannot be read: {error}") from None


# ---- commands ----


def convert_as_flags_say(
    values: flags.FlagValues,
    pairs: Sequence[Pair],
    read_labels: LabelReader,
    label_set: LabelSet,
) -> None:
    """Converts; prints what was faulty and a summary."""
    summary = convert(
        pairs,
        read_labels,
        label_set,
        values.output_prefix,
        num_shards=values.num_shards,
        on_error=values.on_error,
        overwrite=values.overwrite,
    )
    for sentence in summary.faults:
        print(sentence, file=sys.stderr)
    print(summary)


def run(
    convert_files: Callable[[flags.FlagValues], None],
    values: flags.FlagValues,
    argv: Sequence[str],
) -> int:
    """Runs a converter; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(
        convert_files,
        values,
        argv,
        failures=(
            ConversionError,
            MediaError,
            OutputError,
            LabelSetError,
            OSError,
            tf.errors.OpError,
        ),
    )


def label_set_flag(name: str, load: Callable[[str], LabelSet]) -> LabelSet:
    """Loads the label set that --label_set names; a wrong one is bad usage."""
    try:
        return load(name)
    except LabelSetError as error:
        raise command_line.UsageError(f"--label_set: {error}") from error
