"""Convex coloured polygons: all that the synthetic data set draws.

Points are (x, y) with y down. In an image they are pixels, and the centre of the
top left pixel is (0, 0).
"""

import colorsys
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

Color = tuple[int, int, int]  # red, green, blue in [0, 255]

_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
# Points [20, 2] of the circle of radius 1 around the origin.
UNIT_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 8)
# OpenCV takes fixed-point coordinates with this many fractional bits.
_SUBPIXEL_BITS = 4


class Shape(NamedTuple):
    """A convex polygon [N, 2] and its colour.

    `part` is the number of the body part that it outlines, or None for a decoration
    inside a part.
    """

    polygon: np.ndarray
    color: Color
    part: int | None = None


def capsule(
    start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float
) -> np.ndarray:
    """A stick with round ends as a polygon [16, 2]; `start` and `end` are (x, y)."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    angles = np.concatenate([along + _HALF_TURN, along + np.pi + _HALF_TURN])
    turns = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    count = len(_HALF_TURN)
    turns[:count] = end + end_radius * turns[:count]
    turns[count:] = start + start_radius * turns[count:]
    return turns


def circle(center: np.ndarray, radius: float) -> np.ndarray:
    """A circle around (x, y) as a polygon [20, 2]."""
    return center + radius * UNIT_CIRCLE


def hsv(hue_degrees: float, saturation: float, value: float) -> Color:
    """An RGB colour from its hue in degrees and two numbers in [0, 1]."""
    rgb = colorsys.hsv_to_rgb(hue_degrees % 360 / 360, saturation, min(value, 1.0))
    return _color(255 * channel for channel in rgb)


def shade(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter, channels kept in [0, 255]."""
    return _color(min(factor * channel, 255) for channel in color)


def pale(color: Color, amount: float) -> Color:
    """The colour mixed with white; `amount` in [0, 1] is the share of white."""
    return _color(channel + amount * (255 - channel) for channel in color)


def _color(channels: Iterable[float]) -> Color:
    red, green, blue = (round(channel) for channel in channels)
    return red, green, blue


def draw_shapes(image: np.ndarray, shapes: list[Shape]) -> None:
    """Paints shapes into an RGB uint8 image, anti-aliased."""
    for shape in shapes:
        points = _fixed_point(shape.polygon)
        cv2.fillConvexPoly(image, points, shape.color, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_labels(labels: np.ndarray, shapes: list[Shape], owner: int) -> None:
    """Paints (owner, part) into uint8 labels [height, width, 2], without blending."""
    for shape in shapes:
        if shape.part is not None:
            points = _fixed_point(shape.polygon)
            value = (owner, shape.part)
            cv2.fillConvexPoly(labels, points, value, cv2.LINE_8, _SUBPIXEL_BITS)


def _fixed_point(polygon: np.ndarray) -> np.ndarray:
    return np.rint(polygon * 2**_SUBPIXEL_BITS).astype(np.int32)
