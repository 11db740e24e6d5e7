r"""Converts PASCAL-Context to segmentation TFRecords of 60 classes.

  python -m hrnet_tf.data.pascal_context --data_dir=VOCdevkit/VOC2010 \
      --annotations=VOCdevkit/VOC2010/trainval_merged.json --split=train \
      --output_prefix=pascal_context/records/train

--data_dir is that of PASCAL VOC 2010, with JPEGImages/. --annotations is one of

    trainval_merged.json   of "PASCAL in Detail", which knows the splits
    a folder of .mat       the original trainval.tar.gz: LabelMap of 459 labels
    a folder of .png       class numbers, 0 for the background and 1 to 59

With a folder, the images are those of ImageSets/SegmentationContext/SPLIT.txt, or of
ImageSets/Main/SPLIT.txt, or of --image_list.

The records hold 60 classes, the background first. To learn 59, set
`task.drop_background`: the background is then ignored.
"""

from __future__ import annotations

import collections
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from pycocotools import mask as coco_mask
from scipy import io as scipy_io

from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Unusable,
    define_common_flags,
)
from hrnet_tf.data.converters.segmentation import (
    Pair,
    check_folder,
    convert_as_flags_say,
    listed,
    map_values,
    read_label_image,
    read_lines,
    run,
)
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN

SPLITS = ("train", "val")

# The numbers of the 59 classes among the 459 labels, in their order.
_LABEL_IDS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98),
    *(104, 105, 113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260),
    *(284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416),
    *(420, 424, 427, 440, 445, 454, 458),
)
_NUM_LABELS = 459

# Class numbers by label: labels that are none of the classes are background.
_CLASSES_OF_LABELS = np.zeros(_NUM_LABELS + 1, np.int64)
_CLASSES_OF_LABELS[list(_LABEL_IDS)] = range(1, len(_LABEL_IDS) + 1)

LabelReader = Callable[[Pair], np.ndarray]


def find_pairs(
    data_dir: str, annotations: str, split: str, image_list: str | None = None
) -> tuple[list[Pair], LabelReader]:
    """Lists the images of a split, and how to read their classes.

    Args:
        data_dir: The folder VOC2010.
        annotations: See the top of this file.
        split: `train` or `val`.
        image_list: File with the images' names; looked for if None. Not for a JSON.

    Raises:
        ConversionError: If something is not as expected.
    """
    image_dir = os.path.join(data_dir, "JPEGImages")
    check_folder(image_dir, "PASCAL VOC 2010", "VOC2010/JPEGImages/*.jpg")
    if not os.path.isdir(annotations):
        return _find_in_json(image_dir, annotations, split)
    names = os.listdir(annotations)
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
    stems = read_lines(image_list or _image_list(data_dir, split))
    pairs = [
        Pair(
            os.path.join(image_dir, f"{stem}.jpg"),
            os.path.join(annotations, stem + suffix),
        )
        for stem in stems
    ]
    if not pairs:
        raise ConversionError(f"The list of images of the split {split} is empty.")
    return pairs, readers[suffix]


def _image_list(data_dir: str, split: str) -> str:
    places = [
        os.path.join(data_dir, "ImageSets", folder, f"{split}.txt")
        for folder in ("SegmentationContext", "Main")
    ]
    for path in places:
        if os.path.exists(path):
            return path
    raise ConversionError(
        f"The images of the split {split} are expected in {' or '.join(places)}; name "
        "their list with --image_list."
    )


def _find_in_json(
    image_dir: str, path: str, split: str
) -> tuple[list[Pair], LabelReader]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        images = [entry for entry in content["images"] if entry["phase"] == split]
        regions: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
        for region in content["annos_segmentation"]:
            regions[region["image_id"]].append(region)
        by_name = {
            entry["file_name"]: (entry["height"], entry["width"], entry["image_id"])
            for entry in images
        }
    except OSError as error:
        raise ConversionError(
            f"--annotations={path} cannot be read: {error.strerror}; give "
            "trainval_merged.json, or a folder of .mat or .png files."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"--annotations={path} is not as trainval_merged.json of PASCAL in Detail: "
            "it must hold images (file_name, image_id, phase, height, width) and "
            f"annos_segmentation (image_id, category_id, segmentation); {error!r}."
        ) from None
    if not by_name:
        raise ConversionError(f"{path} has no images whose phase is {split}.")
    pairs = [Pair(os.path.join(image_dir, name), name) for name in by_name]
    read = functools.partial(_read_regions, by_name=by_name, regions=regions)
    return pairs, read


def _read_regions(
    pair: Pair,
    by_name: dict[str, tuple[int, int, Any]],
    regions: dict[Any, list[dict[str, Any]]],
) -> np.ndarray:
    """Draws an image's regions over each other, in the order of the file."""
    height, width, image_id = by_name[pair.labels]
    labels = np.zeros((height, width), np.int64)
    for region in regions.get(image_id, []):
        try:
            inside = coco_mask.decode(region["segmentation"]).astype(bool)
            labels[inside] = region["category_id"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Unusable(
                "damaged region",
                f"A region of {pair.labels} (image_id {image_id}) cannot be drawn: "
                f"{error!r}.",
            ) from None
    source = f"The regions of {pair.labels}"
    return map_values(labels, _CLASSES_OF_LABELS, source, "PASCAL-Context's 459 labels")


def _read_mat(pair: Pair) -> np.ndarray:
    try:
        labels = scipy_io.loadmat(pair.labels)["LabelMap"]
    except FileNotFoundError:
        raise Unusable("missing labels", f"{pair.labels} does not exist.") from None
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise Unusable(
            "corrupt labels", f"{pair.labels} holds no LabelMap: {error!r}."
        ) from None
    return map_values(
        labels, _CLASSES_OF_LABELS, pair.labels, "PASCAL-Context's 459 labels"
    )


def _read_png(pair: Pair) -> np.ndarray:
    stored = read_label_image(pair.labels)
    if stored.ndim != 2:
        raise Unusable(
            "coloured labels", f"{pair.labels} is an RGB image; it must be grey."
        )
    mapping = np.arange(len(_LABEL_IDS) + 1)
    return map_values(stored, mapping, pair.labels, "the class numbers 0 to 59")


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, help_text in (
        ("data_dir", "The folder VOC2010 of PASCAL VOC 2010."),
        ("annotations", "trainval_merged.json, or a folder of .mat or .png files."),
    ):
        flags.DEFINE_string(name, None, help_text, flag_values=values)
    flags.DEFINE_enum("split", None, SPLITS, "What to convert.", flag_values=values)
    flags.mark_flags_as_required(
        ["data_dir", "annotations", "split"], flag_values=values
    )
    flags.DEFINE_string(
        "image_list",
        None,
        "With a folder of annotations: file with the images' names without .jpg, one a "
        "line.",
        flag_values=values,
    )
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say."""
    pairs, read_labels = find_pairs(
        values.data_dir, values.annotations, values.split, values.image_list
    )
    label_set = BUILT_IN["pascal_context_60"]
    convert_as_flags_say(values, pairs, read_labels, label_set)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return run(convert_files, _define_flags(), argv)


if __name__ == "__main__":
    # Decoding needs no accelerator: leave its memory to a run that does.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main(sys.argv))
