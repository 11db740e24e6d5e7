"""How much the people of a frame are like those that are followed, from 0 to 1.

The mean of three measures: OKS of the keypoints, the overlap of boxes (intersection
over union) and how near the middles are for the time that has passed, which alone is
above 0 for somebody who was not seen for long, or whose motion is not known yet.
"""

import numpy as np

from hrnet_tf.ops import oks

# How far people are from where they are expected, as shares of their size: at once, and
# more in each second.
_AT_ONCE, _IN_A_SECOND = 0.3, 0.5


def pose_similarities(
    keypoints: np.ndarray,
    boxes: np.ndarray,
    others: np.ndarray,
    other_boxes: np.ndarray,
    sigmas: np.ndarray,
    least_score: float,
) -> np.ndarray:
    """OKS of people with others, by the areas of their boxes [A, 4] and [B, 4].

    See `ops.oks.pose_similarities`. Boxes are x, y, width and height in pixels.
    """
    areas, other_areas = (table[:, 2:].prod(axis=1) for table in (boxes, other_boxes))
    return oks.pose_similarities(
        *(keypoints, areas, others, other_areas), sigmas, least_score
    )


def nearness(boxes: np.ndarray, others: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    """How near the middles of A boxes are to those of B others, and how alike in size.

    Args:
        boxes: [A, 4], where people are expected: x, y, width and height in pixels.
        others: [B, 4], where people are.
        elapsed: [A], seconds since they were seen.

    Returns:
        float64 [A, B]: a Gaussian of the distance, which is wider the more time has
        passed, times the ratio of the sizes.
    """
    first, second = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    sizes, other_sizes = (
        np.sqrt(np.maximum(table[:, 2] * table[:, 3], 1)) for table in (first, second)
    )
    middles, other_middles = (
        table[:, :2] + table[:, 2:] / 2 for table in (first, second)
    )
    offsets = middles[:, np.newaxis] - other_middles[np.newaxis]
    reach = sizes * (_AT_ONCE + _IN_A_SECOND * np.asarray(elapsed))
    squares = np.square(offsets).sum(axis=-1) / np.square(reach)[:, np.newaxis]
    ratios = sizes[:, np.newaxis] / other_sizes[np.newaxis]
    return np.exp(-squares / 2) * np.minimum(ratios, 1 / ratios)
