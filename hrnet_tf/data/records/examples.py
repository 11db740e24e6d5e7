"""From features to the bytes of a record, the same in every process."""

from collections.abc import Mapping

import tensorflow as tf


def serialize(feature: Mapping[str, tf.train.Feature]) -> bytes:
    """The serialised `tf.train.Example` of features by name."""
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    # The order of the names is that of a hash table otherwise.
    return example.SerializeToString(deterministic=True)
