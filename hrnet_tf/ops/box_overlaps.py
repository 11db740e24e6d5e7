"""How much boxes overlap, in NumPy, and which COCO calls small."""

import numpy as np

# COCO's limits of small and medium areas, in square pixels.
SMALL_AREA, MEDIUM_AREA = 32**2, 96**2


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [A, 4] with others [B, 4], float64 [A, B].

    Boxes are x, y, width and height in pixels. Two without an area do not overlap.
    """
    first = np.asarray(boxes, np.float64)[:, np.newaxis]
    second = np.asarray(others, np.float64)[np.newaxis]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(
        first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:]
    )
    common = np.maximum(high - low, 0).prod(axis=-1)
    union = first[..., 2:].prod(axis=-1) + second[..., 2:].prod(axis=-1) - common
    return common / np.maximum(union, np.spacing(1))
