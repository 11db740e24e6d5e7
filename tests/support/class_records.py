"""Records of image classification, whose images nothing looks at."""

import tensorflow as tf


def write_class_records(path, labels, key="image/class/label", compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for label in labels:
            example = tf.train.Example()
            feature = example.features.feature
            feature["image/encoded"].bytes_list.value.append(b"image")
            feature[key].int64_list.value.append(label)
            writer.write(example.SerializeToString())
