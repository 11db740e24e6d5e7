"""Batches for every replica; an evaluation's last ones are filled up."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
from official.core import config_definitions as cfg

# The id of the rows that fill the last batches of an evaluation.
PADDING_ID = -1


def batch_per_replica(
    dataset: tf.data.Dataset,
    data: cfg.DataConfig,
    input_context: tf.distribute.InputContext | None,
    fillings: Mapping[str, int],
    padded_size: Sequence[int] = (),
) -> tf.data.Dataset:
    """Batches (image, labels) per replica.

    An evaluation ends with a full batch for every replica. A replica without a batch
    would end the evaluation for all, and the others' last examples would be lost. Also,
    TPUs need not compile twice if all batches have one size.

    Images [H, W, C] and labels whose sizes differ become as large as the largest of
    their batch, or as `padded_size`, filled below and at the right. `fillings` are the
    values that fill labels, by name; 0 fills everything else.
    """
    batch_size, num_replicas = replica_batches(data.global_batch_size, input_context)
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
    shapes = tf.nest.map_structure(
        lambda spec: _padded(spec.shape, padded_size), dataset.element_spec
    )
    dataset = dataset.padded_batch(step_size, shapes, padding_values=values)
    return fill_last_batches(dataset, batch_size, num_replicas, fillings)


def _padded(shape: tf.TensorShape, size: Sequence[int]) -> tf.TensorShape:
    """The shape of an example once it is filled; unknown sides are the batch's."""
    is_of_image = shape.rank == 3 and None in shape[:2]
    return tf.TensorShape([*size, shape[2]]) if size and is_of_image else shape


def replica_batches(
    global_batch_size: int, input_context: tf.distribute.InputContext | None
) -> tuple[int, int]:
    """The size of a replica's batch, and how many replicas an input pipeline feeds."""
    if not input_context:
        return global_batch_size, 1
    num_replicas = (
        input_context.num_replicas_in_sync // input_context.num_input_pipelines
    )
    return (
        input_context.get_per_replica_batch_size(global_batch_size),
        max(num_replicas, 1),
    )


def fill_last_batches(
    dataset: tf.data.Dataset,
    batch_size: int,
    num_replicas: int,
    fillings: Mapping[str, int],
) -> tf.data.Dataset:
    """Fills up the last batches, so that all replicas get equally many full ones.

    `dataset` has pairs of images and a dict of labels, which may hold dicts itself, in
    batches of `batch_size` * `num_replicas`, the last one smaller. `fillings` are as in
    `batch_per_replica`.
    """
    step_size = num_replicas * batch_size
    dataset = dataset.map(
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

    def fill_labels(labels):
        return {
            name: fill_labels(value)
            if isinstance(value, Mapping)
            else fill(value, fillings.get(name, 0))
            for name, value in labels.items()
        }

    return fill(images), fill_labels(labels)
