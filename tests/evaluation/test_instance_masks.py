"""Masks of objects within their boxes, as masks of whole images."""

import numpy as np
import pytest

from hrnet_tf.evaluation.instance_masks import encode_masks, paste

SIZE = (60, 80)


@pytest.mark.parametrize("box", [[10, 5, 20, 30], [-4, 50, 20, 30], [70, -9, 30, 20]])
def test_a_full_mask_fills_its_box(box):
    pasted = paste(np.ones((28, 28)), np.array(box), np.array(SIZE))
    assert pasted.shape == SIZE and pasted.dtype == np.uint8
    x, y, w, h = box
    inside = np.zeros(SIZE, bool)
    inside[max(y, 0) : y + h, max(x, 0) : x + w] = True
    # Borders of the mask are soft: a pixel may be missing.
    assert not pasted[~inside].any()
    assert pasted[inside].sum() >= 0.85 * inside.sum()


def test_masks_of_nothing_are_empty():
    (rle,) = encode_masks(np.ones((1, 28, 28)), np.zeros((1, 4)), np.array(SIZE))
    assert rle["size"] == list(SIZE)
    assert not paste(np.ones((28, 28)), np.zeros(4), np.array(SIZE)).any()
