"""A folder of images and one of label images, in a label set's values or colours."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.converters.label_images import (
    LabelImage,
    map_values,
    read_label_image,
)
from hrnet_tf.data.converters.segmentation import Labels, Pair
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.media import find_images, is_hidden
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.input_files import names_in
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
    missing = [pair.labels for pair in pairs if not tf.io.gfile.exists(pair.labels)]
    if len(missing) == len(pairs):
        found = sorted(n for n in names_in(label_dir) if not is_hidden(n))
        raise ConversionError(
            f"No image of {image_dir} has labels: {missing[0]} is expected for "
            f"{images[0]}, for example, but {label_dir} holds "
            f"{listed(found) or 'nothing'}. --label_suffix says how names of label "
            "images end."
        )
    return pairs


def read_labels(pair: Pair, max_pixels: int, label_set: LabelSet) -> Labels:
    """Reads one label image by itself: see `FolderLabels`."""
    return FolderLabels(label_set).read(pair, max_pixels)


class FolderLabels:
    """Reads class numbers by a label set's values and colours.

    Grey images are read by their values. Palette images are read by their colours if
    the label set has colours and the palette tells any, and else by their indices.
    """

    def __init__(self, label_set: LabelSet):
        self._label_set = label_set
        values = label_set.values or range(label_set.num_classes)
        self._mapping = np.full(max(*values, *label_set.ignored_values, IGNORE) + 1, -1)
        # If 255 is a class's own value, that class takes it.
        self._mapping[[IGNORE, *label_set.ignored_values]] = IGNORE
        self._mapping[list(values)] = range(label_set.num_classes)
        self._is_undeclared = IGNORE not in (*values, *label_set.ignored_values)

    def read(self, pair: Pair, max_pixels: int) -> Labels:
        """Reads the classes of a label image. Raises `Unusable`."""
        image = read_label_image(pair.labels, max_pixels)
        if image.values.ndim == 3:
            return Labels(self._from_colors(image))
        if image.palette is None:
            return self._from_values(image)
        if not self._label_set.has_own_colors:
            used = np.unique(image.values).tolist()
            palette = {index: tuple(image.palette[index].tolist()) for index in used}
            return dataclasses.replace(self._from_values(image), palette=palette)
        if self._has_colors(image.palette[: image.palette_size]):
            return self._from_palette(image, image.palette)
        return self._from_values(image)

    def _from_values(self, image: LabelImage) -> Labels:
        values = image.values
        if image.bits < 8 and self._label_set.values:
            values = self._of_few_bits(image)
        elif image.bits == 1 and self._label_set.has_own_colors:
            colors = self._classes_of(np.repeat([[0], [255]], 3, axis=-1))
            if (colors >= 0).all():
                return Labels(colors[values].astype(np.uint8))
            if ((colors >= 0) & (colors != self._mapping[:2])).any():
                raise Unusable(
                    "unknown colour",
                    f"{image.path} has 1 bit, but only one of black and white is a "
                    f"colour of the label set {self._label_set.name}. Give both a "
                    "class or `ignore` them, or list the classes' `values`.",
                )
        undeclared = 0
        if self._is_undeclared:
            undeclared = int(np.count_nonzero(values == IGNORE))
        allowed = (
            f"the label set {self._label_set.name}; --ignore_value or `ignore` in the "
            "label set may name it"
        )
        classes = map_values(values, self._mapping, image.path, allowed)
        return Labels(classes, undeclared)

    def _of_few_bits(self, image: LabelImage) -> np.ndarray:
        """Values as stored, or as shown if the label set knows these alone.

        Black and white of 1 bit are 0 and 1 to who counts classes, and 0 and 255 to
        who looks at them.
        """
        if image.bits == 1 and IGNORE in (self._label_set.values or ()):
            return image.shown
        if self._knows(image.values) or (image.bits == 1 and self._is_undeclared):
            return image.values
        return image.shown if self._knows(image.shown) else image.values

    def _knows(self, values: np.ndarray) -> bool:
        return bool((np.append(self._mapping, [-1] * 256)[values] >= 0).all())

    def _has_colors(self, palette: np.ndarray) -> bool:
        """Whether a palette tells classes apart.

        Lost palettes have one colour only, or shades of grey equal to their indices,
        which say something only of classes that are all grey.
        """
        if len(palette) < 2:
            return True
        is_single = (palette == palette[0]).all()
        is_ramp = (palette == np.arange(len(palette))[:, np.newaxis]).all()
        is_grey = all(len({*color}) == 1 for color in self._label_set.colors)
        return not is_single and (is_grey or not is_ramp)

    def _from_palette(self, image: LabelImage, palette: np.ndarray) -> Labels:
        counts = np.bincount(image.values.ravel(), minlength=256)
        used = np.flatnonzero(counts)
        classes = np.full(256, IGNORE)
        classes[used] = self._classes_of(palette[used])
        classes[[v for v in self._label_set.ignored_values if v < 256]] = IGNORE
        undeclared = 0
        if self._is_undeclared and classes[IGNORE] != IGNORE:
            # Entries that a palette does not need often have the colour of another.
            is_copy = (palette[:IGNORE] == palette[IGNORE]).all(-1).any()
            if classes[IGNORE] < 0 or is_copy:
                classes[IGNORE] = IGNORE
                undeclared = int(counts[IGNORE])
        unknown = np.flatnonzero(classes < 0)
        if unknown.size:
            index = unknown[0]
            place = f"as palette index {index}"
            raise self._unknown_color(image.path, palette[index], counts[index], place)
        return Labels(classes[image.values].astype(np.uint8), undeclared)

    def _from_colors(self, image: LabelImage) -> np.ndarray:
        if not self._label_set.has_own_colors:
            raise Unusable(
                "coloured labels",
                f"{image.path} is an RGB image, but the label set "
                f"{self._label_set.name} gives no colors to read it by.",
            )
        classes = self._classes_of(image.values)
        if (classes < 0).any():
            row, column = np.argwhere(classes < 0)[0]
            color = image.values[row, column]
            count = np.count_nonzero((image.values == color).all(-1))
            place = f"at row {row}, column {column}"
            raise self._unknown_color(image.path, color, count, place)
        return classes.astype(np.uint8)

    def _unknown_color(
        self, path: str, color: np.ndarray, count: int, place: str
    ) -> Unusable:
        name = color.tolist()
        return Unusable(
            "unknown colour",
            f"{path} has the colour {name} {place} ({count} pixels), which is not a "
            f"colour of the label set {self._label_set.name}. If it means no class, "
            f"add ignore: [{name}] to the label set's file; instead of a built-in "
            "label set, give a file with its classes and colors. Palette images are "
            "read by their indices if the label set has no colors.",
        )

    def _classes_of(self, colors: np.ndarray) -> np.ndarray:
        """The class of each RGB triple [..., 3], `IGNORE`, or -1 if it is unknown."""
        ignored = self._label_set.ignored_colors
        known = _code(np.array([*self._label_set.colors, *ignored]))
        classes = [*range(self._label_set.num_classes), *[IGNORE] * len(ignored)]
        order = np.argsort(known, kind="stable")
        codes = _code(colors)
        places = np.minimum(np.searchsorted(known[order], codes), len(order) - 1)
        is_known = known[order][places] == codes
        return np.where(is_known, np.array(classes)[order][places], -1)


def _code(colors: np.ndarray) -> np.ndarray:
    """One number for each RGB triple [..., 3]."""
    return colors.astype(np.int64) @ np.array([65536, 256, 1])
