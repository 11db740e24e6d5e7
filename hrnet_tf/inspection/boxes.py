"""Boxes: sizes, shapes, and those that look wrong."""

import numpy as np

from hrnet_tf.inspection.findings import Finding, Findings, Place
from hrnet_tf.inspection.report import Distribution, Section
from hrnet_tf.ops.box_overlaps import MEDIUM_AREA, SMALL_AREA, box_overlaps

NEAR_DUPLICATE = "two annotations with nearly the same box"
AREA_BEYOND_BOX = "area larger than the box"
BEYOND_IMAGE = "box of which more than half is beyond the image"

_NEAR_DUPLICATE_IOU = 0.95
# COCO rounds boxes to hundredths of a pixel, and its areas are those of polygons.
_ROUNDING = 0.01
_MOST_AREA = 1.1
_MOST_BEYOND = 0.5


class BoxStatistics:
    """Counts boxes and areas of the annotations of images."""

    def __init__(self) -> None:
        """Starts without boxes."""
        self._outside = 0
        self._sizes = {"small": 0, "medium": 0, "large": 0}
        names = ("width", "height", "width / height", "% of the image", "area")
        self._spreads = {name: Distribution() for name in names}

    def add(self, boxes: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> None:
        """Takes boxes [N, 4] and areas [N] of an image of a height and width."""
        height, width = size
        x, y, w, h = boxes.T
        self._outside += int(
            np.count_nonzero(
                (np.minimum(x, y) < -_ROUNDING)
                | (x + w > width + _ROUNDING)
                | (y + h > height + _ROUNDING)
            )
        )
        small, large = areas < SMALL_AREA, areas >= MEDIUM_AREA
        self._sizes["small"] += int(np.count_nonzero(small))
        self._sizes["medium"] += int(np.count_nonzero(~small & ~large))
        self._sizes["large"] += int(np.count_nonzero(large))
        share = 100.0 * w * h / (width * height)
        ratio = w / np.maximum(h, 1e-9)
        measures = w, h, ratio, share, areas
        for spread, values in zip(self._spreads.values(), measures, strict=True):
            spread.add(values)

    def section(self) -> Section:
        """What there is to say at the end."""
        return Section(
            "boxes",
            {
                "partly outside the image, where training clips them": self._outside,
                "small: area below 32 x 32 pixels": self._sizes["small"],
                "medium": self._sizes["medium"],
                "large: area of 96 x 96 pixels or more": self._sizes["large"],
            },
            self._spreads,
        )


def find_doubtful_boxes(
    findings: Findings,
    place: Place,
    size: tuple[int, int],
    boxes: np.ndarray,
    areas: np.ndarray,
    groups: np.ndarray,
    numbers: list[int | None],
) -> None:
    """Adds boxes [N, 4] that nearly are another's, too small or beyond the image.

    The image has a height and width; too small are boxes smaller than their area [N].
    Only boxes of equal `groups` [N] are compared; a negative one is left alone.
    `numbers` are the annotations' ids.
    """
    overlaps = np.triu(box_overlaps(boxes, boxes), k=1)
    overlaps[(groups[:, None] != groups) | (groups < 0)] = 0
    for one, other in np.argwhere(overlaps > _NEAR_DUPLICATE_IOU):
        overlap = overlaps[one, other]
        findings.add(
            NEAR_DUPLICATE,
            Finding(
                f"{place}: annotations {numbers[one]} and {numbers[other]} have boxes "
                f"whose intersection is {overlap:.3f} of their union.",
                place,
                numbers[other],
                f"box as of {numbers[one]}",
                float(overlap),
            ),
        )
    is_smaller = areas > _MOST_AREA * boxes[:, 2] * boxes[:, 3]
    for index in np.flatnonzero(is_smaller & (groups >= 0)):
        width, height = boxes[index, 2:]
        findings.add(
            AREA_BEYOND_BOX,
            Finding(
                f"{place}: annotation {numbers[index]} has the area "
                f"{areas[index]:.0f} and a box of {width:.0f}x{height:.0f} pixels.",
                place,
                numbers[index],
                "area > box",
            ),
        )
    shares = _shares_beyond(boxes, size)
    for index in np.flatnonzero((shares > _MOST_BEYOND) & (groups >= 0)):
        x, y, width, height = boxes[index]
        findings.add(
            BEYOND_IMAGE,
            Finding(
                f"{place}: annotation {numbers[index]} has a box of {width:.0f}x"
                f"{height:.0f} pixels at {x:.0f}, {y:.0f} of {size[1]}x{size[0]}.",
                place,
                numbers[index],
                "box beyond image",
                float(shares[index]),
            ),
        )


def _shares_beyond(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which part of each box lies beyond an image of a height and width."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    inside = np.minimum(high, size[::-1]) - np.maximum(low, 0)
    areas = np.maximum(np.prod(boxes[:, 2:], axis=-1), 1e-9)
    return 1 - np.prod(np.maximum(inside, 0), axis=-1) / areas
