"""What records of all tasks share: the image's features, and how bytes are made."""

from collections.abc import Mapping

import tensorflow as tf

from hrnet_tf.ops.images import decode_image

# The Garden's names.
IMAGE_ENCODED = "image/encoded"  # bytes: the image file as it is
IMAGE_FILENAME = "image/filename"  # bytes: the image's name in its data set
IMAGE_HEIGHT = "image/height"  # int64, pixels as stored: EXIF orientation ignored
IMAGE_WIDTH = "image/width"  # int64


def list_of(dtype: tf.DType) -> tf.io.FixedLenSequenceFeature:
    """Reads a list of any length, which is empty where the feature is missing."""
    return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)


def read_image(key: str, serialized: tf.Tensor) -> tf.Tensor:
    """Decodes the image that a record holds under a key: uint8 [H, W, 3]."""
    features = {key: tf.io.FixedLenFeature([], tf.string)}
    record = tf.io.parse_single_example(serialized, features)
    return decode_image(record[key])


def serialize(feature: Mapping[str, tf.train.Feature]) -> bytes:
    """The serialised `tf.train.Example` of features, the same in every process."""
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    # The order of the names is that of a hash table otherwise.
    return example.SerializeToString(deterministic=True)
