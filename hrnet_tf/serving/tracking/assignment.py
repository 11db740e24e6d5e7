"""The best pairs of two groups: the Hungarian method, with a least similarity."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def best_pairs(similarities: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of a row and a column, each at most once, whose similarities sum to most.

    Args:
        similarities: [A, B].
        least: Pairs that are less similar are none.

    Returns:
        (row, column) of each pair, by rows.
    """
    if not similarities.size:
        return []
    useful = np.where(similarities >= least, similarities, 0.0)
    rows, columns = linear_sum_assignment(useful, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [pair for pair in pairs if similarities[pair] >= least]
