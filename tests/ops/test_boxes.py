"""Boxes on their way back to the image."""

import numpy as np

from hrnet_tf.ops.boxes import to_image_boxes


def test_boxes_go_back_to_the_image():
    # An image of 100 x 200 shown at half its size, cut off by (4, 6) pixels.
    info = np.array([[[100, 200], [64, 128], [0.5, 0.5], [4, 6]]], np.float32)
    boxes = np.array([[[10, 20, 30, 60]]], np.float32)
    found = to_image_boxes(boxes, info).numpy()
    np.testing.assert_allclose(found, [[[52, 28, 80, 40]]])


def test_what_fills_a_batch_gives_zeros():
    found = to_image_boxes(np.ones((1, 2, 4), np.float32), np.zeros((1, 4, 2)))
    assert not found.numpy().any()
