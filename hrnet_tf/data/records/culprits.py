"""Finds the record at fault once an input pipeline has failed.

The errors of tf.data name a byte or an operation, but neither the file nor the record.
So the files are read again, one by one and in order.
"""

import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from hrnet_tf.data.records.shards import (
    AGAIN,
    ASSERTION,
    RecordError,
    damaged,
    read_serialized,
)
from hrnet_tf.messages import one_line

# What TensorFlow adds to sentences: where they come from, and what was compared.
_HEAD = re.compile(
    r"^(\{\{.*?\}\} *|Error in user-defined function passed to \S+ transformation with "
    r"iterator: \S+ *)+"
)
_MISSING = re.compile(r"Feature: (.*) \(data type: \w+\) is required but")
_OPERATIONS = re.compile(r" \[\[|\[Op:| Error in (?!user-defined)|, while ")


def find(
    files: Sequence[str],
    read: Callable[[tf.Tensor], object],
    open_files: Callable[[Sequence[str]], tf.data.Dataset],
) -> RecordError | None:
    """The error about the first record that cannot be read, or file that is missing.

    `read` reads one record, in graph, as the input pipeline does; `open_files` makes a
    dataset of files, such as `tf.data.TFRecordDataset`.
    """
    for path in files:
        if error := _find_in(path, read, open_files):
            return error
    return None


def _find_in(
    path: str,
    read: Callable[[tf.Tensor], object],
    open_files: Callable[[Sequence[str]], tf.data.Dataset],
) -> RecordError | None:
    # At some lengths, tf.data would end the process.
    is_compressed = open_files is not tf.data.TFRecordDataset
    if not is_compressed and (fault := _as_read(path)):
        return fault
    number = 1
    dataset = open_files([path]).map(
        read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    try:
        for _ in dataset:
            number += 1
    except UnicodeDecodeError:
        return damaged(path, number, "it is no tf.train.Example", is_readable=True)
    except tf.errors.InvalidArgumentError as error:
        return _about(path, number, error)
    except tf.errors.OpError as error:
        return damaged(path, number, one_line(error.message))
    return None


def _as_read(path: str) -> RecordError | None:
    """What is wrong with the file whatever its records hold."""
    try:
        for _ in read_serialized(path):
            pass
    except RecordError as error:
        return error
    return None


def _about(path: str, number: int, error: tf.errors.OpError) -> RecordError:
    """The error about what a record holds; assertions bring their own advice."""
    message = one_line(error.message)
    assertion = ASSERTION.search(message)
    if assertion and assertion.group(1).endswith("."):
        return RecordError(f"{path}: record {number}: {assertion.group(1)}")
    reason = assertion.group(1) if assertion else _OPERATIONS.split(message)[0]
    reason = _HEAD.sub("", reason).strip(" .;")
    if missing := _MISSING.match(reason):
        return RecordError(
            f"{path}: record {number}: it has no {missing.group(1)}, as records of "
            f"another kind; {AGAIN}, or take records of this kind."
        )
    return damaged(path, number, reason, is_readable=True)
