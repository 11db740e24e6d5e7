"""Random numbers of augmentation, which do not depend on what runs at the same time.

TensorFlow's own, from one stream for all, go to whichever image of a parallel map asks
first. Here each image is given a seed in the order of the data, and what is drawn for
it follows from that.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# What an image's dict calls its seed.
SEED = "seed"
_ALL_SEEDS = {"minval": 0, "maxval": tf.int64.max, "dtype": tf.int64}


def with_seeds(
    dataset: tf.data.Dataset, input_context: tf.distribute.InputContext | None = None
) -> tf.data.Dataset:
    """Adds a seed, int64 [2], to each image's dict.

    TensorFlow's own decides it together with the host's number: hosts share the former,
    and their images would else be turned and coloured alike, one place after the other.
    """
    host = input_context.input_pipeline_id if input_context else 0

    def with_seed(image: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seed = tf.random.uniform([2], **_ALL_SEEDS)
        return {**image, SEED: seed + tf.constant([host, 0], tf.int64)}

    # The map is not parallel: that is what keeps the order.
    return dataset.map(with_seed)


class Draws:
    """The random numbers that a seed gives: each call draws others."""

    def __init__(self, seed: tf.Tensor):
        """Draws nothing yet.

        `seed`, int64 [2], is counted up at its end: two that lie close together there
        have numbers in common. Those of `with_seeds` and `seeds` lie far apart.
        """
        self._seed = seed
        self._calls = 0

    def uniform(
        self,
        shape: tf.Tensor | Sequence[int],
        low: Any = 0.0,
        high: Any = 1.0,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Numbers of a shape from [low, high)."""
        return tf.random.stateless_uniform(shape, self._next(), low, high, dtype)

    def normal(self, shape: tf.Tensor | Sequence[int]) -> tf.Tensor:
        """Standard normal variables, float32, of a shape."""
        return tf.random.stateless_normal(shape, self._next())

    def seeds(self, number: tf.Tensor) -> tf.Tensor:
        """Seeds, int64 [number, 2], for as many other `Draws`."""
        return tf.random.stateless_uniform([number, 2], self._next(), **_ALL_SEEDS)

    def _next(self) -> tf.Tensor:
        self._calls += 1
        return self._seed + tf.constant([0, self._calls], tf.int64)
