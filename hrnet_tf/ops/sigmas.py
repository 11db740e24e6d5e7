"""The sigmas of OKS from two annotations of the same people, in NumPy.

COCO says of its own, "sigma_i^2 = E[d_i^2 / s^2]", d_i being how far annotations of
keypoint i lie apart and s^2 the person's area, and doubles it in its formula:
OKS = exp(-d^2 / (2 s^2 (2 sigma)^2)). Here sigma is of one annotator: what an
annotation is off from where the keypoint is. Two annotators are off independently, so
that the squared distance between them is twice that, and half of it counts. Whoever
takes the distance between two for d_i has sigmas that are greater by sqrt(2).
"""

from typing import NamedTuple

import numpy as np

# A pair whose distance is so many times what sigma leads to expect is named.
_FAR = 5.0


class Estimate(NamedTuple):
    """Of K keypoints.

    Attributes:
        sigmas: float64 [K]; NaN for keypoints that nobody has labelled twice.
        counts: int64 [K], how many pairs each is from. Of errors that are normally
            distributed, its relative standard error is 1 / (2 sqrt(count)).
        far: int64 [F, 2], person and keypoint of pairs far apart: mistakes, perhaps.
    """

    sigmas: np.ndarray
    counts: np.ndarray
    far: np.ndarray


def estimate(first: np.ndarray, second: np.ndarray, areas: np.ndarray) -> Estimate:
    """Estimates sigmas from keypoints that both annotations have labelled.

    Args:
        first: [P, K, 3], x, y in pixels and v.
        second: [P, K, 3], of the same people.
        areas: [P], in square pixels.
    """
    both = (first[..., 2] > 0) & (second[..., 2] > 0)
    squares = np.square(first[..., :2] - second[..., :2]).sum(axis=-1)
    squares = np.where(both, squares / areas[:, np.newaxis], 0.0)
    counts = both.sum(axis=0)
    means = np.full(len(counts), np.nan)
    np.divide(squares.sum(axis=0), counts, out=means, where=counts > 0)
    # Comparisons with NaN are false.
    far = np.argwhere(squares > _FAR**2 * means)
    return Estimate(np.sqrt(means / 2), counts, far)
