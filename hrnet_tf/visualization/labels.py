"""Classes of pixels laid over images, with a legend."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from hrnet_tf.visualization.canvas import (
    BACKGROUND,
    CAPITAL_HEIGHT,
    FONT,
    Color,
    check_image,
    check_shape,
    compared,
    draw_text,
)


class ColoredClasses(Protocol):
    """Classes with a name and a colour each."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""

    @property
    def colors(self) -> Sequence[Color]:
        """An RGB triple per class."""


def draw_labels(
    image: np.ndarray,
    labels: np.ndarray,
    label_set: ColoredClasses,
    opacity: float = 0.6,
    legend: Sequence[int] | None = None,
) -> np.ndarray:
    """Lays classes over an image in their colours.

    Args:
        image: uint8 [H, W, 3], RGB.
        labels: [H, W], class numbers; pixels with any other number stay as they are.
        label_set: Names and colours of the classes.
        opacity: How strongly to colour, from 0 to 1.
        legend: Class numbers to name, in a bar at the right.

    Returns:
        uint8 [H, W, 3], RGB; wider with a legend.

    Raises:
        ValueError: If an array has a wrong shape or dtype.
    """
    check_image(image, "image")
    labels = check_shape(labels, "labels", image.shape[:2]).astype(np.int64)
    colors = np.array(label_set.colors, np.float64)
    known = (labels >= 0) & (labels < len(colors))
    picture = image.astype(np.float64)
    picture[known] += opacity * (colors[labels[known]] - picture[known])
    colored = (picture + 0.5).astype(np.uint8)
    if legend is None:
        return colored
    bar = _legend(label_set, legend, *image.shape[:2])
    return np.concatenate([colored, bar], axis=1)


def _legend(
    label_set: ColoredClasses, classes: Sequence[int], height: int, image_width: int
) -> np.ndarray:
    """Colours and names [height, width, 3], in as many columns as they need."""
    text_height = max(6.0, min(0.02 * max(height, image_width), height / 30))
    scale = text_height / CAPITAL_HEIGHT
    line_height = 1.9 * text_height
    lines = max(int((height - 0.7 * text_height) / line_height), 1)
    names = [label_set.classes[index] for index in classes]
    text_width = max(
        (cv2.getTextSize(name, FONT, scale, 1)[0][0] for name in names), default=0
    )
    column_width = text_width + 4 * text_height
    num_columns = max(-(-len(names) // lines), 1)
    shape = height, round(num_columns * column_width), 3
    bar = np.full(shape, BACKGROUND, np.uint8)
    for place, (index, name) in enumerate(zip(classes, names, strict=True)):
        column, line = divmod(place, lines)
        left = column * column_width + 0.7 * text_height
        top = 0.7 * text_height + line * line_height
        upper_left = round(left), round(top)
        lower_right = round(left + 1.2 * text_height), round(top + text_height)
        cv2.rectangle(bar, upper_left, lower_right, label_set.colors[index], cv2.FILLED)
        draw_text(bar, name, (left + 1.9 * text_height, top), text_height)
    return bar


def compare_labels(
    image: np.ndarray,
    predicted: np.ndarray,
    ground_truth: np.ndarray,
    label_set: ColoredClasses,
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draws predicted classes on the left and labelled ones on the right."""
    left = draw_labels(image, predicted, label_set)
    right = draw_labels(image, ground_truth, label_set)
    return compared(left, right, cell_size)
