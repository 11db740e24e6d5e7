"""One person's predicted keypoints beside the annotated ones, errors marked."""

from collections.abc import Iterable

import numpy as np

from hrnet_tf.visualization.canvas import (
    DARK,
    check_image,
    compared,
    draw_dot,
    draw_line,
    fit,
)
from hrnet_tf.visualization.skeletons import MOST_OF_BODY, Limbs, draw_skeletons

_WRONG = (255, 23, 68)
# How much of the surroundings is shown, in parts of the person's longer side.
_MARGIN = 0.15
# Keypoints that score lower are left out, unless they are what is wrong.
_LEAST_SCORE = 0.2


def draw_errors(
    image: np.ndarray,
    predicted: np.ndarray | None,
    annotated: np.ndarray | None,
    is_wrong: np.ndarray,
    skeleton: Limbs,
    cell_size: tuple[int, int],
    others: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a person twice, as predicted on the left and as annotated on the right.

    A red line leads from each wrong keypoint to where it should be.

    Args:
        image: uint8 [H, W, 3], RGB; what is around the person is shown of it.
        predicted: [K, 3], x, y and score in pixels of the image. None: nothing.
        annotated: [K, 3], x, y and v; unlabelled where v is 0. None: nothing.
        is_wrong: bool [K], which predicted keypoints are marked.
        skeleton: The keypoints and limbs.
        cell_size: Height and width in pixels of either side.
        others: [P, K, 3], people drawn on the right as well, as far as they are seen.

    Returns:
        uint8 RGB.
    """
    check_image(image, "image")
    people = [predicted, annotated]
    if predicted is not None:
        shown = (predicted[:, 2] > _LEAST_SCORE) | is_wrong
        people[0] = np.column_stack([predicted[:, :2], shown])
    low, high = _extent(people, image)
    crop = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    fitted, scale, offset = fit(crop, cell_size)

    def moved(person: np.ndarray) -> np.ndarray:
        points = (person[..., :2] - low + 0.5) * scale - 0.5 + offset
        return np.concatenate([points, person[..., 2:]], axis=-1)

    # Around the crop is no picture for others to be drawn on.
    width, height = np.round(np.array(crop.shape[1::-1]) * scale).astype(int)
    window = np.zeros((*cell_size, 1), bool)
    window[offset[1] : offset[1] + height, offset[0] : offset[0] + width] = True

    def drawn(*people: np.ndarray | None) -> np.ndarray:
        shown = [moved(person) for person in people if person is not None]
        if not shown:
            return fitted.copy()
        picture = draw_skeletons(fitted, np.array(shown), skeleton)
        return np.where(window, picture, fitted)

    left = drawn(people[0])
    right = drawn(people[1], *([] if others is None else others))
    if people[0] is not None and annotated is not None:
        is_marked = is_wrong & (annotated[:, 2] > 0)
        # Of a face's many landmarks, wide lines would leave nothing to be seen.
        line_width = 1.0 if skeleton.num_keypoints > MOST_OF_BODY else 2.0
        ends = (moved(people[0])[is_marked], moved(annotated)[is_marked])
        _mark(left, *ends, line_width)
    return compared(left, right)


def _mark(
    canvas: np.ndarray, wrong: np.ndarray, right: np.ndarray, width: float
) -> None:
    """Joins wrong points to right ones, [N, 2 or more]."""
    for color, times in ((DARK, 2), (_WRONG, 1)):
        for start, end in zip(wrong[:, :2], right[:, :2], strict=True):
            draw_line(canvas, start, end, color, times * width)
            draw_dot(canvas, start, color, times * width)


def _extent(
    people: Iterable[np.ndarray | None], image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The (x, y) corners of the part of the image that shows all points."""
    points = np.concatenate(
        [person[person[:, 2] > 0, :2] for person in people if person is not None]
    )
    limit = np.array(image.shape[1::-1])
    if not len(points):
        return np.zeros(2, int), limit
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * max(high - low) + 1
    low = np.clip(np.floor(low - margin), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(high + margin), low + 1, limit).astype(int)
    return low, high
