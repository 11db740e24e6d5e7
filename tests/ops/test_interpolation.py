"""Bilinear resizes that XLA compiles, and trains, are TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops import interpolation


def pulled(resize, images, pulls):
    """What a resize makes of images, and its gradient."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        resized = resize(images)
    return resized, tape.gradient(resized, images, pulls)


@pytest.mark.parametrize("aligns", [False, True])
@pytest.mark.parametrize(
    "before, after",
    # XLA's own resize of the second is wrong by 3, of numbers of 1.
    [((4, 5), (8, 10)), ((5, 3), (19, 10)), ((7, 9), (3, 5)), ((1, 2), (1, 7))],
)
def test_any_size_is_resized_and_trained(before, after, aligns):
    images = tf.random.stateless_normal([2, *before, 3], [0, 1])
    pulls = tf.random.stateless_normal([2, *after, 3], [1, 0])

    def resize(images):
        return interpolation.resize_bilinear(images, after, aligns)

    expected = pulled(resize, images, pulls)
    compiled = tf.function(pulled, jit_compile=True)
    for plain, received in zip(expected, compiled(resize, images, pulls), strict=True):
        assert received.shape == plain.shape
        np.testing.assert_allclose(received, plain, atol=1e-5)


def test_bfloat16_is_trained():
    """XLA's own gradient is a float32, which nothing else takes."""
    images = tf.cast(tf.random.stateless_normal([1, 3, 4, 2], [0, 1]), tf.bfloat16)
    pulls = tf.ones([1, 6, 8, 2], tf.bfloat16)

    def resize(images):
        return interpolation.resize_bilinear(tf.nn.relu(images), [6, 8])

    compiled = tf.function(pulled, jit_compile=True)
    for plain, received in zip(
        pulled(resize, images, pulls), compiled(resize, images, pulls), strict=True
    ):
        assert received.dtype == tf.bfloat16
        np.testing.assert_allclose(
            tf.cast(received, tf.float32), tf.cast(plain, tf.float32), atol=0.02
        )


@pytest.mark.parametrize("aligns", [False, True])
def test_part_of_a_canvas_is_resized_as_if_it_were_alone(aligns):
    images = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype(np.float32)
    images[:, 5:], images[:, :, 6:] = 1e6, 1e6
    alone = interpolation.resize_bilinear(
        tf.constant(images[:, :5, :6]), [7, 4], aligns
    )
    resize = tf.function(interpolation.resize_part, jit_compile=True)
    part, size = tf.constant([5, 6]), tf.constant([7, 4])
    found = resize(
        tf.constant(images), tf.unstack(part), tf.unstack(size), (8, 8), aligns
    )
    assert found.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(found[:, :7, :4], alone, atol=1e-5)


def test_sizes_that_are_not_known_are_tensorflows():
    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 1])])
    def resize(images):
        assert not interpolation.is_traced_for_xla()
        return interpolation.resize_bilinear(images, 2 * tf.shape(images)[1:3])

    assert resize(tf.ones([1, 2, 3, 1])).shape == (1, 4, 6, 1)

    any_image = tf.TensorSpec([1, None, None, 1])

    @tf.function(input_signature=[any_image], jit_compile=True)
    def resize_to_one_size(images):
        assert interpolation.is_traced_for_xla()
        return interpolation.resize_bilinear(images, [4, 6])

    np.testing.assert_array_equal(
        resize_to_one_size(tf.ones([1, 2, 3, 1])), tf.ones([1, 4, 6, 1])
    )
