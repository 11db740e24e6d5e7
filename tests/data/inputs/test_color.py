"""Random changes of colours: what they do, and that they are off by default."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.configs import pose, segmentation
from hrnet_tf.configs.color import Color
from hrnet_tf.data.inputs import color
from hrnet_tf.data.inputs.draws import Draws


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(30, 200, (8, 6, 3), np.uint8)


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn next, and in which range."""
    ranges = []

    def draw(value):
        def uniform(self, shape, low, high):
            assert shape == []
            ranges.append((low, high))
            return tf.constant(value)

        monkeypatch.setattr(Draws, "uniform", uniform)
        return ranges

    return draw


def change(image, seed=0, **extents):
    draws = Draws(tf.constant([seed, 0], tf.int64))
    return np.array(color.change_colors(tf.constant(image), Color(**extents), draws))


def test_nothing_is_changed_or_drawn_by_default(image, drawn):
    ranges = drawn(9.0)
    for augmentation in (pose.Augmentation(), segmentation.Augmentation()):
        same = change(image, **augmentation.color.as_dict())
        assert same.dtype == tf.uint8
        np.testing.assert_array_equal(same, image)
    assert not ranges


def test_brightness_multiplies(image, drawn):
    ranges = drawn(1.25)
    changed = change(image, brightness=0.4)
    assert changed.dtype == np.uint8
    np.testing.assert_allclose(changed, np.minimum(image * 1.25, 255), atol=0.501)
    np.testing.assert_allclose(ranges, [(0.6, 1.4)])


def test_contrast_multiplies_differences_from_the_mean(image, drawn):
    ranges = drawn(0.5)
    mean = image.mean(axis=(0, 1))
    expected = mean + 0.5 * (image - mean)
    np.testing.assert_allclose(change(image, contrast=0.5), expected, atol=0.501)
    np.testing.assert_allclose(ranges, [(0.5, 1.5)])


@pytest.mark.parametrize("extents, value", [("saturation", 0.5), ("hue", 0.25)])
def test_saturation_and_hue_are_those_of_hsv(image, drawn, extents, value):
    ranges = drawn(value)
    changed = change(image, **{extents: 0.5})
    expected = np.empty(image.shape)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, brightness = colorsys.rgb_to_hsv(*image[place] / 255)
        if extents == "hue":
            hue = (hue + value) % 1
        else:
            saturation *= value
        expected[place] = colorsys.hsv_to_rgb(hue, saturation, brightness)
    np.testing.assert_allclose(changed, expected * 255, atol=0.51)
    assert ranges == ([(-0.5, 0.5)] if extents == "hue" else [(0.5, 1.5)])


def test_all_together_stay_colours_and_differ_with_the_seed(image):
    extents = {"brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5}
    first, second = (change(image, seed, **extents).astype(int) for seed in (1, 2))
    assert first.shape == image.shape and np.abs(first - second).max() > 1
