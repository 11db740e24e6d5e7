"""Masks of label tools as COCO's run lengths."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.files.faults import Unusable


def run_lengths(mask: np.ndarray, left: int, top: int, size: tuple[int, int]) -> dict:
    """COCO's compressed run lengths of a mask, bool [h, w], placed on an image.

    `size` is the image's width and height. What lies beyond its border is cut off.
    """
    width, height = size
    whole = np.zeros((height, width), np.uint8, order="F")
    rows = slice(max(top, 0), max(min(top + mask.shape[0], height), 0))
    columns = slice(max(left, 0), max(min(left + mask.shape[1], width), 0))
    part = mask[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    whole[rows, columns] = part
    encoded: dict[str, Any] = coco_mask.encode(whole)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def from_runs(runs: list[int], width: int, height: int) -> np.ndarray:
    """A mask, bool [height, width], from lengths of runs along the rows.

    The first run is of background. Raises `Unusable`.
    """
    if sum(runs) != width * height:
        raise Unusable(
            "bad mask",
            f"the runs of the mask do not add up to {width}x{height} pixels.",
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)
