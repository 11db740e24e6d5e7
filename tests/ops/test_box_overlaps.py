"""Overlaps of boxes."""

import numpy as np

from hrnet_tf.ops.box_overlaps import box_overlaps


def test_overlaps():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [40, 40, 1, 1]], float)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(box_overlaps(boxes), expected)
