"""Cityscapes: its layout, and its label ids as classes."""

import os

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.label_images import read_grey_labels
from hrnet_tf.data.converters.segmentation import Labels, Pair, check_folder
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.files.media import is_hidden
from hrnet_tf.data.vocabularies.label_sets import IGNORE

_LAYOUT = (
    "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and "
    "gtFine/SPLIT/CITY/*_gtFine_labelIds.png"
)
_IMAGE_SUFFIX, _LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelIds.png"

# The label ids of the 19 classes, in their order; ids go from 0 to 33.
_CLASS_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LAST_ID = 33


def find_pairs(data_dir: str, split: str) -> list[Pair]:
    """Lists the images of a split (`train`, `val` or `trainval`) with their labels.

    Raises `ConversionError` if the folders or files are not as expected.
    """
    pairs = []
    for part in ("train", "val") if split == "trainval" else (split,):
        image_dir = os.path.join(data_dir, "leftImg8bit", part)
        label_dir = os.path.join(data_dir, "gtFine", part)
        for folder in (image_dir, label_dir):
            check_folder(folder, "Cityscapes", _LAYOUT)
        images = [
            path
            for path in sorted(tf.io.gfile.glob(f"{image_dir}/*/*{_IMAGE_SUFFIX}"))
            if not is_hidden(os.path.basename(path))
        ]
        if not images:
            raise ConversionError(
                f"Cityscapes is expected as {_LAYOUT}, but no file matches "
                f"{image_dir}/*/*{_IMAGE_SUFFIX}."
            )
        for image in images:
            stem = os.path.relpath(image, image_dir).removesuffix(_IMAGE_SUFFIX)
            pairs.append(Pair(image, os.path.join(label_dir, stem + _LABEL_SUFFIX)))
    return pairs


def read_labels(pair: Pair, max_pixels: int) -> Labels:
    """Reads label ids as class numbers. Raises `Unusable`."""
    mapping = np.full(_LAST_ID + 1, IGNORE)
    mapping[list(_CLASS_IDS)] = range(len(_CLASS_IDS))
    allowed = "Cityscapes' label ids 0 to 33"
    return Labels(read_grey_labels(pair.labels, max_pixels, mapping, allowed))
