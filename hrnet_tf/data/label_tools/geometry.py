"""Boxes and outlines of points, of turned boxes and of ellipses."""

import math
from collections.abc import Iterable, Sequence

from hrnet_tf.data.files.faults import Unusable

Point = tuple[float, float]

# So many make an area that is too small by a thousandth.
_ELLIPSE_CORNERS = 72


def box_of(points: Sequence[Point]) -> list[float]:
    """The box x, y, width, height around points."""
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def flat(points: Sequence[Point]) -> list[float]:
    """Points as COCO writes a polygon."""
    return [coordinate for point in points for coordinate in point]


def turned_corners(
    left: float, top: float, size: Point, degrees: float, about: Point
) -> list[Point]:
    """The corners of a box that is turned clockwise about a point."""
    width, height = size
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    return _turned(((left + x, top + y) for x, y in corners), degrees, about)


def ellipse_corners(center: Point, radii: Point, degrees: float = 0) -> list[Point]:
    """Corners of a polygon that is an ellipse, turned clockwise about its centre.

    Raises `Unusable` if it has no extent.
    """
    if min(radii) <= 0:
        raise Unusable(
            "bad shape",
            f"an ellipse has the radii {radii[0]:g} and {radii[1]:g}; both must be "
            "above 0.",
        )
    step = 2 * math.pi / _ELLIPSE_CORNERS
    corners = (
        (
            center[0] + radii[0] * math.cos(step * place),
            center[1] + radii[1] * math.sin(step * place),
        )
        for place in range(_ELLIPSE_CORNERS)
    )
    return _turned(corners, degrees, center)


def _turned(points: Iterable[Point], degrees: float, about: Point) -> list[Point]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        (
            about[0] + (x - about[0]) * cosine - (y - about[1]) * sine,
            about[1] + (x - about[0]) * sine + (y - about[1]) * cosine,
        )
        for x, y in points
    ]
