"""Batches for every replica, the last ones of an evaluation filled up."""

from collections.abc import Mapping

import tensorflow as tf
from official.core import config_definitions as cfg


def batch_per_replica(
    dataset: tf.data.Dataset,
    data: cfg.DataConfig,
    input_context: tf.distribute.InputContext | None,
    fillings: Mapping[str, int],
) -> tf.data.Dataset:
    """Batches (image, labels) per replica.

    An evaluation ends with a full batch for every replica. A replica without a batch
    would end the evaluation of all, and the others' last examples would be lost. And
    with batches of one size TPUs need not compile twice.

    Images and labels whose sizes differ become as large as the largest of their batch,
    filled below and at the right.

    Args:
        dataset: Of pairs of an image [H, W, C] and a dict of labels.
        data: Its configuration.
        input_context: Where it is to be read.
        fillings: What labels are filled with, by name; everything else with 0.
    """
    batch_size, num_replicas = data.global_batch_size, 1
    if input_context:
        batch_size = input_context.get_per_replica_batch_size(batch_size)
        num_replicas = max(
            input_context.num_replicas_in_sync // input_context.num_input_pipelines, 1
        )
    if data.is_training or data.drop_remainder:
        return dataset.batch(batch_size, drop_remainder=data.drop_remainder)
    image_spec, label_specs = dataset.element_spec
    values = (
        tf.zeros([], image_spec.dtype),
        {
            name: tf.cast(fillings.get(name, 0), spec.dtype)
            for name, spec in label_specs.items()
        },
    )
    step_size = num_replicas * batch_size
    dataset = dataset.padded_batch(step_size, padding_values=values).map(
        lambda images, labels: _fill_batch(images, labels, step_size, fillings),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return dataset.rebatch(batch_size, drop_remainder=True)


def _fill_batch(
    images: tf.Tensor,
    labels: dict[str, tf.Tensor],
    batch_size: int,
    fillings: Mapping[str, int],
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    missing = batch_size - tf.shape(images)[0]

    def fill(tensor, value=0):
        paddings = [[0, missing]] + [[0, 0]] * (tensor.shape.rank - 1)
        value = tf.cast(value, tensor.dtype)
        filled = tf.pad(tensor, paddings, constant_values=value)
        return tf.ensure_shape(filled, [batch_size, *tensor.shape[1:]])

    return fill(images), {
        name: fill(tensor, fillings.get(name, 0)) for name, tensor in labels.items()
    }
