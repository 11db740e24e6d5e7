r"""Converts a folder of images and one of label images to segmentation TFRecords.

  python -m hrnet_tf.data.segmentation_folder --image_dir=my/images/train \
      --label_dir=my/labels/train --label_set=my/classes.yaml \
      --output_prefix=my/records/train

Every image under --image_dir goes with the label image of the same name, but for the
suffix, at the same place under --label_dir; label images may have a name ending of
their own, --label_suffix=_mask.png. The file of --label_set lists the classes:

    classes: [background, road, car]
    values: [0, 7, 26]              # optional: pixel values, 0, 1, 2 ... if left out
    colors: [[0, 0, 0], [128, 64, 128], [0, 0, 142]]      # optional

Label images are PNG files: grey or palette images with a class's value in every pixel,
or RGB images in the label set's colours. The value 255 is no class: such pixels are
neither learned nor scored.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Unusable,
    define_common_flags,
)
from hrnet_tf.data.converters.segmentation import (
    Pair,
    convert_as_flags_say,
    label_set_flag,
    listed,
    map_values,
    read_label_image,
    run,
)
from hrnet_tf.data.files.media import find_images
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet, load_label_set


def find_pairs(
    image_dir: str, label_dir: str, label_suffix: str = ".png"
) -> list[Pair]:
    """Pairs images with label images by their names.

    Args:
        image_dir: The folder of images; subfolders are looked into.
        label_dir: The folder of label images, with the same subfolders.
        label_suffix: What replaces an image's suffix in its label image's name.

    Raises:
        ConversionError: If there is no image, or one without labels.
    """
    for folder in (image_dir, label_dir):
        if not os.path.isdir(folder):
            raise ConversionError(f"The folder {folder} does not exist.")
    images = find_images(image_dir)
    pairs = []
    for image in images:
        stem = os.path.splitext(os.path.relpath(image, image_dir))[0]
        pairs.append(Pair(image, os.path.join(label_dir, stem + label_suffix)))
    missing = [pair.labels for pair in pairs if not os.path.exists(pair.labels)]
    if len(missing) == len(pairs):
        found = sorted(os.listdir(label_dir))
        raise ConversionError(
            f"No image of {image_dir} has labels: {missing[0]} is expected for "
            f"{images[0]}, for example, but {label_dir} holds "
            f"{listed(found) or 'nothing'}. --label_suffix says how names of label "
            "images end."
        )
    return pairs


def read_labels(pair: Pair, label_set: LabelSet) -> np.ndarray:
    """Reads the class numbers of a label image, uint8 [H, W].

    Raises:
        Unusable: If it cannot be read, or holds what is no class.
    """
    stored = read_label_image(pair.labels)
    if stored.ndim == 3:
        return _from_colors(stored, pair.labels, label_set)
    values = label_set.values or range(label_set.num_classes)
    mapping = np.full(max(*values, IGNORE) + 1, -1)
    # Where 255 is a class's own value, nothing is left out.
    mapping[IGNORE] = IGNORE
    mapping[list(values)] = range(label_set.num_classes)
    return map_values(stored, mapping, pair.labels, f"the label set {label_set.name}")


def _from_colors(image: np.ndarray, path: str, label_set: LabelSet) -> np.ndarray:
    if not label_set.has_own_colors:
        raise Unusable(
            "coloured labels",
            f"{path} is an RGB image, but the label set {label_set.name} gives no "
            "colors to read it by.",
        )
    codes = _code(image)
    known = _code(np.array(label_set.colors))
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], codes), len(order) - 1)
    is_known = known[order][places] == codes
    if not is_known.all():
        row, column = np.argwhere(~is_known)[0]
        raise Unusable(
            "unknown colour",
            f"{path} has the colour {image[row, column].tolist()} at row {row}, column "
            f"{column}, which is no class of the label set {label_set.name}.",
        )
    return order[places].astype(np.uint8)


def _code(colors: np.ndarray) -> np.ndarray:
    """One number for each RGB triple [..., 3]."""
    return colors.astype(np.int64) @ np.array([65536, 256, 1])


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, help_text in (
        ("image_dir", "Folder of images, with or without subfolders."),
        ("label_dir", "Folder of label images, with the same subfolders."),
        ("label_set", "Its classes: a YAML file, see above, or a built-in label set."),
    ):
        flags.DEFINE_string(name, None, help_text, flag_values=values)
        flags.mark_flag_as_required(name, flag_values=values)
    flags.DEFINE_string(
        "label_suffix",
        ".png",
        "What replaces an image's suffix in the name of its label image.",
        flag_values=values,
    )
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say."""
    label_set = label_set_flag(values.label_set, load_label_set)
    pairs = find_pairs(values.image_dir, values.label_dir, values.label_suffix)
    read = functools.partial(read_labels, label_set=label_set)
    convert_as_flags_say(values, pairs, read, label_set)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return run(convert_files, _define_flags(), argv)


if __name__ == "__main__":
    # Decoding needs no accelerator: leave its memory to a run that does.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main(sys.argv))
