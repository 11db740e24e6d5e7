"""What is told of one record."""

import tensorflow as tf

from hrnet_tf.data.records import culprits


def test_records_of_another_kind_are_not_called_damaged(tmp_path):
    file = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(file) as writer:
        writer.write(tf.train.Example().SerializeToString())
    features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}

    def read(serialized):
        return tf.io.parse_single_example(serialized, features)

    error = culprits.find([file], read, tf.data.TFRecordDataset)
    assert f"{file}: record 1: it has no image/encoded, as records" in error.message
    assert "damaged" not in error.message and "of this kind." in error.message
