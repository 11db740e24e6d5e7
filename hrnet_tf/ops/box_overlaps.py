"""How much boxes overlap, in NumPy."""

import numpy as np


def box_overlaps(boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of all boxes [N, 4] with all, [N, N]."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    inner_low = np.maximum(low[:, None], low)
    inner = np.minimum(high[:, None], high) - inner_low
    intersection = np.prod(np.maximum(inner, 0), axis=-1)
    areas = np.prod(boxes[:, 2:], axis=-1)
    union = areas[:, None] + areas - intersection
    return intersection / np.maximum(union, 1e-9)
