"""Overlaps of boxes."""

import numpy as np

from hrnet_tf.ops.box_overlaps import box_overlaps


def test_overlaps():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [40, 40, 1, 1]], float)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(box_overlaps(boxes, boxes), expected)


def test_overlaps_with_others_and_of_boxes_without_an_area():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 0, 10]], np.float32)
    others = np.array([[0, 0, 10, 20], [5, 0, 0, 10], [50, 0, 1, 1]], np.float32)
    np.testing.assert_allclose(box_overlaps(boxes, others), [[0.5, 0, 0], [0, 0, 0]])
    assert box_overlaps(boxes[:0], others).shape == (0, 3)
