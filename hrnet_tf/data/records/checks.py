"""Checks of what records hold, beside the Garden's tasks that read them.

The Garden trains on whatever it finds: a label that no class has, or a box without a
label, costs accuracy without a word, or ends a run with an error that names no record.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf
from official.common import dataset_fn
from official.core import config_definitions as cfg

from hrnet_tf.data.records import names
from hrnet_tf.data.records.examples import list_of
from hrnet_tf.data.records.shards import AGAIN

# So many records are checked before the first batch, in a second or so.
_AT_ONCE = 1000

# What must be true of a record, by what is wrong with it if not; see `require`.
Conditions = Mapping[str, tf.Tensor]
Check = Callable[[tf.Tensor], Conditions]


def checked_beside(
    dataset: tf.data.Dataset,
    data: cfg.DataConfig,
    check: Check,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """The batches of a task of the Garden, made of records that pass a check.

    The Garden has no room for a check between its files and what decodes them, and
    then drops or clips what is wrong. So all records are read a second time: the first
    ones before the first batch, and as many before each further one, until a round is
    complete. Of several input pipelines, each checks its share.
    """
    files = names.files_of(data)
    if not files:
        return dataset
    records = dataset_fn.pick_dataset_fn(data.file_type)(files)
    if input_context:
        records = records.shard(
            input_context.num_input_pipelines, input_context.input_pipeline_id
        )

    def passes(serialized: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([require(check(serialized))]):
            return tf.constant(True)

    passed = records.map(passes, tf.data.AUTOTUNE)
    passed = passed.batch(max(_AT_ONCE, data.global_batch_size)).prefetch(1)
    afterwards = tf.data.Dataset.from_tensors([True]).repeat()
    beside = tf.data.Dataset.zip((dataset, passed.concatenate(afterwards)))
    return beside.map(lambda batch, _: batch)


def checked(serialized: tf.Tensor, check: Check) -> tf.Tensor:
    """A record that has passed a check."""
    with tf.control_dependencies([require(check(serialized))]):
        return tf.identity(serialized)


def require(conditions: Conditions) -> tf.Operation:
    """Fails with the first fault whose condition is not true everywhere.

    One operation tells them all: of TensorFlow's assertions, each is a branch with two
    functions, which take longer to build and to run than what they look at.

    Args:
        conditions: Boolean tensors of any shape. A fault that is not a whole sentence
            gets the advice to convert the data again.

    Raises:
        tf.errors.InvalidArgumentError: When it runs; the sentence stands in brackets
            after "assertion failed: ".
    """
    sentences = [
        fault if fault.endswith(".") else f"{fault}; {AGAIN}." for fault in conditions
    ]
    hold = tf.stack([tf.reduce_all(is_right) for is_right in conditions.values()])
    first = tf.argmin(tf.cast(hold, tf.int32))
    return tf.raw_ops.Assert(
        condition=tf.reduce_all(hold), data=[tf.gather(sentences, first)]
    )


def is_within(values: tf.Tensor, least: float, most: float) -> tf.Tensor:
    """Where values are from `least` to `most`; NaN is nowhere."""
    return (values >= tf.cast(least, values.dtype)) & (
        values <= tf.cast(most, values.dtype)
    )


def class_labels(key: str, num_classes: int, is_multilabel: bool = False) -> Check:
    """The check of an image's class, or classes, which are numbered from 0."""

    def check(serialized: tf.Tensor) -> Conditions:
        labels = tf.io.parse_single_example(serialized, {key: list_of(tf.int64)})[key]
        out_of_range = (
            f"{key} is not from 0 to {num_classes - 1}, as task.model.num_classes says"
        )
        return {
            f"{key} does not hold one number": is_multilabel | (tf.size(labels) == 1),
            out_of_range: is_within(labels, 0, num_classes - 1),
        }

    return check
