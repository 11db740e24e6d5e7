r"""Converts LIP (Look Into Person, human parsing) to segmentation TFRecords.

  python -m hrnet_tf.data.lip --data_dir=LIP --split=train \
      --output_prefix=LIP/records/train

--data_dir holds the archives of the single-person track unpacked:

    TrainVal_images/{train,val}_images/ID.jpg
    TrainVal_parsing_annotations/{train,val}_segmentations/ID.png
    train_id.txt, val_id.txt      one ID a line; also found in TrainVal_images/

Archives unpacked into folders of their own name, twice, are found too.
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
    read_lines,
    run,
)
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN

SPLITS = ("train", "val")

_IMAGES, _LABELS = "TrainVal_images", "TrainVal_parsing_annotations"
_LAYOUT = (
    f"{_IMAGES}/SPLIT_images/ID.jpg, {_LABELS}/SPLIT_segmentations/ID.png and "
    "SPLIT_id.txt"
)


def find_pairs(data_dir: str, split: str, id_list: str | None = None) -> list[Pair]:
    """Lists the images of a split with their labels.

    Args:
        data_dir: See the top of this file.
        split: `train` or `val`.
        id_list: The file with the IDs; looked for if None.

    Raises:
        ConversionError: If the folders or the list are not as expected.
    """
    image_dir = _folder(data_dir, _IMAGES, f"{split}_images")
    label_dir = _folder(data_dir, _LABELS, f"{split}_segmentations")
    if id_list is None:
        places = [
            os.path.join(folder, f"{split}_id.txt")
            for folder in (data_dir, os.path.dirname(image_dir))
        ]
        id_list = next(filter(tf.io.gfile.exists, places), None)
        if id_list is None:
            raise ConversionError(
                f"LIP's list of images, {split}_id.txt, is neither {places[0]} nor "
                f"{places[1]}; name it with --id_list."
            )
    ids = read_lines(id_list)
    if not ids:
        raise ConversionError(f"{id_list} lists no images.")
    if malformed := [line for line in ids if len(line.split()) != 1]:
        raise ConversionError(
            f"{id_list} must hold one ID a line; got {malformed[0]!r}."
        )
    stems = [line.removesuffix(".jpg") for line in ids]
    return [
        Pair(
            os.path.join(image_dir, f"{stem}.jpg"),
            os.path.join(label_dir, f"{stem}.png"),
        )
        for stem in stems
    ]


def _folder(data_dir: str, archive: str, name: str) -> str:
    """The folder `name` of an archive, unpacked once or twice into its own name."""
    folder = os.path.join(data_dir, archive, name)
    nested = os.path.join(data_dir, archive, archive, name)
    if not tf.io.gfile.isdir(folder) and tf.io.gfile.isdir(nested):
        return nested
    check_folder(folder, "LIP", _LAYOUT)
    return folder


def read_labels(pair: Pair) -> np.ndarray:
    """Reads class numbers, uint8 [H, W].

    Raises:
        Unusable: If there are no such labels.
    """
    stored = read_label_image(pair.labels)
    if stored.ndim != 2:
        raise Unusable(
            "coloured labels", f"{pair.labels} is an RGB image; LIP's labels are grey."
        )
    mapping = np.arange(BUILT_IN["lip"].num_classes)
    return map_values(stored, mapping, pair.labels, "LIP's labels 0 to 19")


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string(
        "data_dir", None, "Where LIP was unpacked to.", flag_values=values
    )
    flags.DEFINE_enum("split", None, SPLITS, "What to convert.", flag_values=values)
    flags.mark_flags_as_required(["data_dir", "split"], flag_values=values)
    flags.DEFINE_string(
        "id_list",
        None,
        "File with the IDs of the images, one a line; SPLIT_id.txt if not given.",
        flag_values=values,
    )
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say."""
    pairs = find_pairs(values.data_dir, values.split, values.id_list)
    convert_as_flags_say(values, pairs, read_labels, BUILT_IN["lip"])


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return run(convert_files, _define_flags(), argv)


if __name__ == "__main__":
    # Decoding needs no accelerator: leave its memory to a run that does.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main(sys.argv))
