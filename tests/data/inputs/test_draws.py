"""Random numbers follow the order of images, not that of the threads."""

import time

import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.data.inputs.draws import SEED, Draws, with_seeds


@pytest.fixture(autouse=True)
def seeded():
    """Later tests draw as they would have without these."""
    yield
    tf.random.set_seed(None)


def draws(*seed):
    return Draws(tf.constant(seed, tf.int64))


def test_a_seed_gives_the_same_numbers_and_each_call_others():
    first, again, other = draws(1, 2), draws(1, 2), draws(2, 2)
    numbers = [d.uniform([2000], -2.0, 5.0).numpy() for d in (first, again, other)]
    np.testing.assert_array_equal(numbers[0], numbers[1])
    more = [first.uniform([2000], -2.0, 5.0).numpy(), numbers[0], numbers[2]]
    assert np.abs(np.corrcoef(more) - np.eye(3)).max() < 0.1
    for drawn in more:
        assert -2 <= drawn.min() < -1.9 and 4.9 < drawn.max() < 5


def test_numbers_are_of_the_kinds_asked_for():
    normal = draws(3, 4).normal([20000]).numpy()
    assert normal.mean() == pytest.approx(0, abs=0.03)
    assert normal.std() == pytest.approx(1, abs=0.03)
    whole = draws(3, 4).uniform([1000], 0, 3, tf.int32).numpy()
    assert whole.dtype == np.int32 and set(whole) == {0, 1, 2}
    seeds = draws(3, 4).seeds(tf.constant(50)).numpy()
    assert seeds.shape == (50, 2) and seeds.dtype == np.int64
    assert len({*seeds.ravel()}) == 100


def of_threads(seed, slow):
    """What images draw of which one is late, and so asks after those behind it."""

    def wait(place):
        time.sleep(0.05 if place == slow else 0)
        return place

    def draw(image):
        place = tf.py_function(wait, [image["place"]], tf.int64)
        with tf.control_dependencies([place]):
            return Draws(image[SEED]).uniform([])

    tf.random.set_seed(seed)
    images = with_seeds(tf.data.Dataset.range(8).map(lambda place: {"place": place}))
    return list(images.map(draw, num_parallel_calls=4).as_numpy_iterator())


def test_the_order_of_images_decides_and_not_that_of_threads():
    first = of_threads(1, slow=0)
    assert len({*first}) == 8
    assert of_threads(1, slow=5) == first
    assert not {*of_threads(2, slow=0)} & {*first}


def test_without_a_seed_each_time_is_another():
    assert not {*of_threads(None, slow=0)} & {*of_threads(None, slow=0)}
