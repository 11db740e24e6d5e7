"""Runs records through the random part of an input pipeline."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf


def in_sequence(
    records: Sequence[bytes],
    times: int,
    seed: int,
    read: Callable[[tf.data.Dataset], tf.data.Dataset],
) -> Iterator[Any]:
    """Yields what `read` makes of a dataset of records, each so many times in a row.

    The seed decides what comes out, if `read` draws as `hrnet_tf.data.inputs.draws`.
    """
    tf.random.set_seed(seed)
    dataset = tf.data.Dataset.from_tensor_slices([*records])
    dataset = dataset.flat_map(
        lambda record: tf.data.Dataset.from_tensors(record).repeat(times)
    )
    yield from read(dataset).as_numpy_iterator()
