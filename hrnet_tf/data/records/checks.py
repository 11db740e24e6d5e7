"""Checks of what records hold, while the Garden's tasks read them.

The Garden trains on whatever it finds: a label that no class has, or a box without a
label, costs accuracy without a word, or ends a run with an error that names no record.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import tensorflow as tf
from official.common import dataset_fn

from hrnet_tf.data.records.shards import AGAIN

# Makes operations that fail if a record is not as it must be.
Check = Callable[[tf.Tensor], Sequence[tf.Operation]]


@contextlib.contextmanager
def checking(check: Check) -> Iterator[None]:
    """Checks every record of the datasets that the Garden's tasks build within.

    They decode records in one piece; only what opens their files comes before.
    """
    pick = dataset_fn.pick_dataset_fn

    def pick_checked(file_type: str) -> Callable[[tf.Tensor], tf.data.Dataset]:
        open_files = pick(file_type)
        return lambda files: open_files(files).map(lambda one: checked(one, check))

    with mock.patch.object(dataset_fn, "pick_dataset_fn", pick_checked):
        yield


def checked(serialized: tf.Tensor, check: Check) -> tf.Tensor:
    """A record that has passed a check."""
    with tf.control_dependencies(check(serialized)):
        return tf.identity(serialized)


def require(is_right: tf.Tensor, fault: str) -> tf.Operation:
    """Fails with a sentence unless all of a tensor is true."""
    return tf.debugging.assert_equal(
        tf.reduce_all(is_right), True, message=f"{fault}; {AGAIN}."
    )


def is_within(values: tf.Tensor, least: float, most: float) -> tf.Tensor:
    """Where values are from `least` to `most`; NaN is nowhere."""
    return (values >= tf.cast(least, values.dtype)) & (
        values <= tf.cast(most, values.dtype)
    )


def class_labels(key: str, num_classes: int, is_multilabel: bool = False) -> Check:
    """The check of an image's class, or classes, which are numbered from 0."""

    def check(serialized: tf.Tensor) -> list[tf.Operation]:
        several = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
        labels = tf.io.parse_single_example(serialized, {key: several})[key]
        return [
            require(
                tf.constant(is_multilabel) | (tf.size(labels) == 1),
                f"{key} does not hold one number",
            ),
            require(
                is_within(labels, 0, num_classes - 1),
                f"{key} is not from 0 to {num_classes - 1}, as task.model.num_classes "
                "says",
            ),
        ]

    return check
