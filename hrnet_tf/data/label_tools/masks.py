"""Masks of label tools as COCO's run lengths."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.input_files import MAX_PIXELS


def run_lengths(mask: np.ndarray, left: int, top: int, size: tuple[int, int]) -> dict:
    """COCO's compressed run lengths of a mask, bool [h, w], placed on an image.

    `size` is the image's width and height. What lies beyond its border is cut off.
    Raises `Unusable` for images of more pixels than any camera takes.
    """
    width, height = size
    check_pixels(width, height)
    whole = np.zeros((height, width), np.uint8, order="F")
    part = mask[_inside(top, height), _inside(left, width)]
    top, left = max(top, 0), max(left, 0)
    if part.size:
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    encoded: dict[str, Any] = coco_mask.encode(whole)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _inside(first: int, length: int) -> slice:
    """Which rows (or columns) of a mask that begins at `first` are on the image."""
    return slice(max(-first, 0), max(length - first, 0))


def check_pixels(width: int, height: int) -> None:
    """Refuses a mask that a few numbers make larger than memory. Raises `Unusable`."""
    if width * height > MAX_PIXELS:
        raise Unusable(
            "bad mask",
            f"the mask is of {width}x{height} pixels; at most {MAX_PIXELS} are read.",
        )


def from_runs(runs: list[int], width: int, height: int) -> np.ndarray:
    """A mask, bool [height, width], from lengths of runs along the rows.

    The first run is of background. Raises `Unusable`.
    """
    check_pixels(width, height)
    if sum(runs) != width * height:
        raise Unusable(
            "bad mask",
            f"the runs of the mask do not add up to {width}x{height} pixels.",
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)
