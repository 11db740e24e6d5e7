"""Finds the record at fault once an input pipeline has failed.

The errors of tf.data name a byte or an operation, but neither the file nor the record.
So the files are read again, one by one and in order.
"""

import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from hrnet_tf.data.records.shards import RecordError, damaged, read_serialized
from hrnet_tf.messages import one_line


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
        return _as_read(path) or damaged(path, number, one_line(error.message))
    # The dataset takes less than the beginning of a record for the end of the file.
    return _as_read(path) if open_files is tf.data.TFRecordDataset else None


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
    message = re.sub(r"^(\{\{.*?\}\} *)+", "", one_line(error.message))
    if assertion := re.match(r"assertion failed: \[(.*?)\]", message):
        return RecordError(f"{path}: record {number}: {assertion.group(1)}")
    reason = re.split(r" \[\[|\[Op:| Error in |, while ", message)[0]
    return damaged(path, number, reason.strip(" .;"), is_readable=True)
