"""LIP (Look Into Person): its layout, and its labels."""

import os

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.label_images import read_grey_labels
from hrnet_tf.data.converters.segmentation import Labels, Pair, check_folder, read_lines
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.files.images import is_plain_name
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN

_IMAGES, _LABELS = "TrainVal_images", "TrainVal_parsing_annotations"
_LAYOUT = (
    f"{_IMAGES}/SPLIT_images/ID.jpg, {_LABELS}/SPLIT_segmentations/ID.png and "
    "SPLIT_id.txt"
)


def find_pairs(data_dir: str, split: str, id_list: str | None = None) -> list[Pair]:
    """Lists the images of a split (`train` or `val`) with their labels.

    `id_list` is the file with the IDs; looked for if None. Raises `ConversionError` if
    the folders or the list are not as expected.
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
                f"LIP's list of images is expected as {' or '.join(places)}; name "
                "another with --id_list."
            )
    ids = read_lines(id_list)
    if not ids:
        raise ConversionError(f"{id_list} lists no images.")
    if malformed := [
        line for line in ids if len(line.split()) != 1 or not is_plain_name(line)
    ]:
        raise ConversionError(
            f"{id_list} must hold one ID per line; got {malformed[0]!r}."
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
    """The folder `name` of an archive, perhaps inside a folder of the same name."""
    folder = os.path.join(data_dir, archive, name)
    nested = os.path.join(data_dir, archive, archive, name)
    if not tf.io.gfile.isdir(folder) and tf.io.gfile.isdir(nested):
        return nested
    check_folder(folder, "LIP", _LAYOUT)
    return folder


def read_labels(pair: Pair, max_pixels: int) -> Labels:
    """Reads class numbers. Raises `Unusable`."""
    mapping = np.arange(BUILT_IN["lip"].num_classes)
    allowed = "LIP's labels 0 to 19"
    return Labels(read_grey_labels(pair.labels, max_pixels, mapping, allowed))
