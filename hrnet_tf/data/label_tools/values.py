"""Values of label files, checked: numbers, texts, points. All raise `Unusable`."""

import math
import re
from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files.coco_annotations import check_size
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.vocabularies.vocabulary import is_name
from hrnet_tf.messages import shown

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 100  # characters
_LONGEST_WORD = 60


def number(value: Any, what: str) -> float:
    """A number of JSON."""
    if not is_number_list([value]):
        raise Unusable(
            "bad number",
            f"{what} is {shown(value)}; it must be a number between -1e9 and 1e9.",
        )
    return value


def whole(value: Any, what: str, least: int = 0) -> int:
    """A whole number of JSON, which may be written 3.0."""
    if number(value, what) != int(value) or value < least:
        raise Unusable(
            "bad number",
            f"{what} is {shown(value)}; it must be a whole number from {least} on.",
        )
    return int(value)


def parse_number(text: str, what: str) -> float:
    """A number that a text holds."""
    is_number = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text.strip())
    return number(float(text) if is_number else text, what)


def parse_whole(text: str, what: str, least: int = 0) -> int:
    """A whole number that a text holds."""
    return whole(parse_number(text, what), what, least)


def size(width: Any, height: Any) -> tuple[int, int]:
    """The width and height of an image."""
    entry = {"width": whole(width, "the width", 1)}
    entry["height"] = whole(height, "the height", 1)
    check_size("bad image size", entry)
    return entry["width"], entry["height"]


def name(value: Any, what: str) -> str:
    """A text that can be a name."""
    if not is_name(value):
        raise Unusable(
            "bad name", f"{what} is {shown(value)}; it must be a text on one line."
        )
    return str(value)


def word(value: Any) -> str:
    """A mark of the file as messages and summaries tell it: plainly, if it is short."""
    is_plain = is_name(value) and len(value) <= _LONGEST_WORD
    return str(value) if is_plain or type(value) is int else shown(value)


def entry(value: Any, what: str) -> dict[str, Any]:
    """An object of JSON."""
    if not isinstance(value, dict):
        raise Unusable("bad entry", f"{what} is {shown(value)}; it must be an object.")
    return value


def entries(value: Any, what: str) -> list[Any]:
    """A list of JSON."""
    if not isinstance(value, list):
        raise Unusable("bad entry", f"{what} is {shown(value)}; it must be a list.")
    return value


def point(value: Any, what: str) -> tuple[float, float]:
    """Two numbers of JSON."""
    if not is_number_list(value) or len(value) != 2:
        raise Unusable(
            "bad point",
            f"{what} is {shown(value)}; it must be two numbers, x and y, between "
            "-1e9 and 1e9.",
        )
    return value[0], value[1]


def box_of(points: Sequence[tuple[float, float]]) -> list[float]:
    """The box x, y, width, height around points."""
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def flat(points: Sequence[tuple[float, float]]) -> list[float]:
    """Points as COCO writes a polygon."""
    return [coordinate for point in points for coordinate in point]


def turned_corners(
    left: float,
    top: float,
    size: tuple[float, float],
    degrees: float,
    about: tuple[float, float],
) -> list[tuple[float, float]]:
    """The corners of a box that is turned clockwise about a point."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = size
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    return [
        (
            about[0] + (left + x - about[0]) * cosine - (top + y - about[1]) * sine,
            about[1] + (left + x - about[0]) * sine + (top + y - about[1]) * cosine,
        )
        for x, y in corners
    ]
