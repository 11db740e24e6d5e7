"""A folder of images and one of label images, in a label set's values or colours."""

import os
from collections.abc import Sequence

import numpy as np

from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.converters.label_images import (
    LabelImage,
    map_values,
    read_label_image,
)
from hrnet_tf.data.converters.segmentation import Pair
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.media import find_images, is_hidden
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
        found = sorted(n for n in os.listdir(label_dir) if not is_hidden(n))
        raise ConversionError(
            f"No image of {image_dir} has labels: {missing[0]} is expected for "
            f"{images[0]}, for example, but {label_dir} holds "
            f"{listed(found) or 'nothing'}. --label_suffix says how names of label "
            "images end."
        )
    return pairs


def read_labels(pair: Pair, label_set: LabelSet) -> np.ndarray:
    """Reads one label image by itself: see `FolderLabels`."""
    return FolderLabels(label_set).read(pair)


class FolderLabels:
    """Reads class numbers by a label set's values and colours.

    Grey images are read by their values. Palette images are read by their colours if
    the label set has colours, and else by their indices.
    """

    def __init__(self, label_set: LabelSet):
        self._label_set = label_set
        self._undeclared: dict[Pair, int] = {}
        # By palette index: its colour, and the file that used it first.
        self._palette: dict[int, tuple[list[int], str]] = {}
        values = label_set.values or range(label_set.num_classes)
        self._mapping = np.full(max(*values, *label_set.ignored_values, IGNORE) + 1, -1)
        # If 255 is a class's own value, that class takes it.
        self._mapping[[IGNORE, *label_set.ignored_values]] = IGNORE
        self._mapping[list(values)] = range(label_set.num_classes)
        self._is_undeclared = IGNORE not in (*values, *label_set.ignored_values)

    def read(self, pair: Pair) -> np.ndarray:
        """Reads the class numbers of a label image, uint8 [H, W]. Raises `Unusable`.

        Raises `ConversionError` if its palette contradicts that of another.
        """
        image = read_label_image(pair.labels)
        if image.values.ndim == 3:
            return self._from_colors(image)
        if image.palette is not None and self._label_set.has_own_colors:
            labels = self._from_palette(image, image.palette)
            if labels is not None:
                return labels
        elif image.palette is not None:
            self._compare_palettes(image, image.palette)
        return self._from_values(pair, image)

    def count_undeclared(self, pair: Pair) -> int:
        """How many pixels have the value 255, of which the label set says nothing."""
        return self._undeclared.get(pair, 0)

    def _from_values(self, pair: Pair, image: LabelImage) -> np.ndarray:
        # Black and white of 1 bit are 0 and 1 to who counts classes, and 0 and 255 to
        # who looks at them.
        values, own = image.values, self._label_set.values
        if own and (IGNORE in own if image.bits == 1 else not _is_among(values, own)):
            values = image.shown
        if self._is_undeclared:
            self._undeclared[pair] = np.count_nonzero(values == IGNORE)
        allowed = f"the label set {self._label_set.name}; its `ignore` may name it"
        return map_values(values, self._mapping, image.path, allowed)

    def _from_palette(
        self, image: LabelImage, palette: np.ndarray
    ) -> np.ndarray | None:
        """Reads by colour; None if the palette does not tell classes apart.

        Such a palette has shades of grey equal to their indices, or one colour only.
        """
        counts = np.bincount(image.values.ravel(), minlength=256)
        used = np.flatnonzero(counts)
        classes = np.full(256, IGNORE)
        classes[used] = self._classes_of(palette[used, :3])
        # The index 255 marks pixels without a class in palette images, too.
        unknown = [index for index in used if classes[index] < 0 and index != IGNORE]
        if not unknown:
            see_through = used[palette[used, 3] != 255]
            if see_through.size:
                raise Unusable(
                    "transparent labels",
                    f"{image.path} has a palette with transparent colours, such as "
                    f"that of index {see_through[0]}; save it without transparency.",
                )
            classes[classes < 0] = IGNORE
            return classes[image.values].astype(np.uint8)
        colors = palette[used, :3]
        is_single = len(used) > 1 and (colors == colors[0]).all()
        if is_single or (colors == used[:, np.newaxis]).all():
            return None
        color = palette[unknown[0], :3]
        place = f"as palette index {unknown[0]}"
        raise self._unknown_color(image.path, color, counts[unknown[0]], place)

    def _compare_palettes(self, image: LabelImage, palette: np.ndarray) -> None:
        for index in np.unique(image.values).tolist():
            color = palette[index, :3].tolist()
            known, path = self._palette.setdefault(index, (color, image.path))
            if known != color:
                raise ConversionError(
                    f"The palettes of label images contradict each other: index "
                    f"{index} is the colour {known} in {path}, but {color} in "
                    f"{image.path}. Give the classes' colours in the label set "
                    "(colors: ...) to read by colour, or save label images as grey."
                )

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
            f"add ignore: [{name}] to the label set. Palette images are read by their "
            "indices if the label set has no colors.",
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


def _is_among(values: np.ndarray, allowed: Sequence[int]) -> bool:
    return set(np.unique(values).tolist()) <= set(allowed)


def _code(colors: np.ndarray) -> np.ndarray:
    """One number for each RGB triple [..., 3]."""
    return colors.astype(np.int64) @ np.array([65536, 256, 1])
