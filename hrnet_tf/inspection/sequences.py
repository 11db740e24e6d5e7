"""Runs the random part of an input pipeline so that a seed decides what comes out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf


def in_sequence(
    records: Sequence[bytes],
    times: int,
    seed: int,
    read: Callable[[tf.data.Dataset], tf.data.Dataset],
) -> Iterator[Any]:
    """Yields what `read` makes of a dataset of records, each so many times in a row."""
    tf.random.set_seed(seed)
    dataset = tf.data.Dataset.from_tensor_slices([*records])
    dataset = dataset.flat_map(
        lambda record: tf.data.Dataset.from_tensors(record).repeat(times)
    )
    yield from one_after_the_other(read(dataset)).as_numpy_iterator()


def one_after_the_other(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same without parallel work, which would draw random numbers in any order."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    return dataset.with_options(options)
