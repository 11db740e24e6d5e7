r"""Converts Cityscapes to segmentation TFRecords.

  python -m hrnet_tf.data.cityscapes --data_dir=cityscapes --split=train \
      --output_prefix=cityscapes/records/train

--data_dir holds leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip unpacked:

    leftImg8bit/{train,val}/CITY/*_leftImg8bit.png
    gtFine/{train,val}/CITY/*_gtFine_labelIds.png

Of the 34 label ids, 19 become the classes of the benchmark and the others are ignored.
"""

from __future__ import annotations

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
    check_folder,
    convert_as_flags_say,
    map_values,
    read_label_image,
    run,
)
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN, IGNORE

SPLITS = ("train", "val", "trainval")

_LAYOUT = (
    "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and "
    "gtFine/SPLIT/CITY/*_gtFine_labelIds.png"
)
_IMAGE_SUFFIX, _LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelIds.png"

# The label ids of the 19 classes, in their order; ids go from 0 to 33.
_CLASS_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LAST_ID = 33


def find_pairs(data_dir: str, split: str) -> list[Pair]:
    """Lists the images of `train`, `val` or both (`trainval`) with their labels.

    Raises:
        ConversionError: If the folders are not as the top of this file says.
    """
    pairs = []
    for part in ("train", "val") if split == "trainval" else (split,):
        image_dir = os.path.join(data_dir, "leftImg8bit", part)
        label_dir = os.path.join(data_dir, "gtFine", part)
        for folder in (image_dir, label_dir):
            check_folder(folder, "Cityscapes", _LAYOUT)
        images = sorted(tf.io.gfile.glob(f"{image_dir}/*/*{_IMAGE_SUFFIX}"))
        if not images:
            raise ConversionError(
                f"Cityscapes is expected as {_LAYOUT}, but no file matches "
                f"{image_dir}/*/*{_IMAGE_SUFFIX}."
            )
        for image in images:
            stem = os.path.relpath(image, image_dir).removesuffix(_IMAGE_SUFFIX)
            pairs.append(Pair(image, os.path.join(label_dir, stem + _LABEL_SUFFIX)))
    return pairs


def read_labels(pair: Pair) -> np.ndarray:
    """Reads label ids as class numbers, uint8 [H, W].

    Raises:
        Unusable: If there are no such labels.
    """
    stored = read_label_image(pair.labels)
    if stored.ndim != 2:
        raise Unusable(
            "coloured labels",
            f"{pair.labels} is an RGB image; *{_LABEL_SUFFIX} files are grey.",
        )
    mapping = np.full(_LAST_ID + 1, IGNORE)
    mapping[list(_CLASS_IDS)] = range(len(_CLASS_IDS))
    return map_values(stored, mapping, pair.labels, "Cityscapes' label ids 0 to 33")


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string(
        "data_dir", None, "Where Cityscapes was unpacked to.", flag_values=values
    )
    flags.DEFINE_enum("split", None, SPLITS, "What to convert.", flag_values=values)
    flags.mark_flags_as_required(["data_dir", "split"], flag_values=values)
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say."""
    pairs = find_pairs(values.data_dir, values.split)
    convert_as_flags_say(values, pairs, read_labels, BUILT_IN["cityscapes"])


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return run(convert_files, _define_flags(), argv)


if __name__ == "__main__":
    # Decoding needs no accelerator: leave its memory to a run that does.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main(sys.argv))
