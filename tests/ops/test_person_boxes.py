"""Crops made without TensorFlow are those that its graphs make."""

import numpy as np
import pytest

from hrnet_tf.ops import affine, person_boxes

# Within the image, across each of its borders, larger than it, and beside it.
BOXES = np.float32(
    [
        [20.3, 10.7, 30.2, 50.1],
        [-12, -9, 30, 40.4],
        [80, 60, 60, 30],
        [-30, -30, 200, 180],
        [300, 20, 40, 40],
    ]
)
PADDING = 1.25


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("crop_size", [(64, 48), (24, 64)])
def test_crops_are_those_of_graphs(crop_size, udp):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    matrices = person_boxes.crop_to_image_matrices(BOXES, crop_size, PADDING, udp)
    center, size = affine.box_to_center_size(
        BOXES, crop_size[1] / crop_size[0], PADDING
    )
    expected = affine.crop_to_image_matrix(center, size, 0.0, crop_size, udp)
    assert matrices.dtype == np.float32
    np.testing.assert_allclose(matrices, expected, rtol=1e-5, atol=1e-4)
    crops = person_boxes.warp_crops(image, matrices, crop_size)
    graphs = affine.warp_aligned_crops(image, expected, crop_size).numpy()
    assert crops.dtype == np.uint8
    differences = np.abs(crops.astype(int) - graphs)
    assert (differences <= 2).mean() > 0.99 and differences.max() <= 16
    assert not crops[-1].any()


def test_nobody_has_no_crops():
    matrices = person_boxes.crop_to_image_matrices(BOXES[:0], (64, 48), PADDING)
    image = np.zeros([9, 9, 3], np.uint8)
    assert person_boxes.warp_crops(image, matrices, (64, 48)).shape == (0, 64, 48, 3)
