"""Runs records through the random part of an input pipeline."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import tensorflow as tf

Result = TypeVar("Result")


def read_each(
    records: Sequence[bytes],
    times: int,
    seed: int,
    read: Callable[[tf.data.Dataset], tf.data.Dataset],
) -> list[list[Any]]:
    """What `read` makes of a dataset of records: a list for each, of so many.

    The seed decides what comes out, if `read` draws as `hrnet_tf.data.inputs.draws`.
    """
    tf.random.set_seed(seed)
    dataset = tf.data.Dataset.from_tensor_slices([*records])
    dataset = dataset.flat_map(
        lambda record: tf.data.Dataset.from_tensors(record).repeat(times)
    )
    return of_each(read(dataset).as_numpy_iterator(), times)


def of_each(results: Iterable[Result], times: int) -> list[list[Result]]:
    """What comes of records, so many of one before those of the next, by record."""
    found = [*results]
    return [found[start : start + times] for start in range(0, len(found), times)]
