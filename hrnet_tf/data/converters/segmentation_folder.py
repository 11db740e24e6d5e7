"""A folder of images and one of label images, in a label set's values or colours."""

import os

import numpy as np

from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.converters.segmentation import Pair, map_values, read_label_image
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.media import find_images
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.messages import listed


def find_pairs(
    image_dir: str, label_dir: str, label_suffix: str = ".png"
) -> list[Pair]:
    """Pairs images with label images by their names.

    The flags of `hrnet_tf.data.segmentation_folder` describe the arguments. Raises
    `ConversionError` if there is no such folder, or no image has labels, and
    `MediaError` if there is no image.
    """
    for folder in (image_dir, label_dir):
        require_folder(folder)
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
    """Reads the class numbers of a label image, uint8 [H, W]. Raises `Unusable`."""
    stored = read_label_image(pair.labels)
    if stored.ndim == 3:
        return _from_colors(stored, pair.labels, label_set)
    values = label_set.values or range(label_set.num_classes)
    mapping = np.full(max(*values, IGNORE) + 1, -1)
    # If 255 is a class's own value, that class takes it.
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
            f"{column}, which is not a colour of the label set {label_set.name}.",
        )
    return order[places].astype(np.uint8)


def _code(colors: np.ndarray) -> np.ndarray:
    """One number for each RGB triple [..., 3]."""
    return colors.astype(np.int64) @ np.array([65536, 256, 1])
