"""The segmentation TFRecord: one `tf.train.Example` per image, with its labels.

The keys are the Garden's, so that its stock segmentation tasks read these records, and
ours read the Garden's. An image is stored as the bytes of its file, its labels as an
8-bit grey PNG of the same size: class numbers from 0, and `label_sets.IGNORE`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import tensorflow as tf
from official.vision.data.tfrecord_lib import convert_to_feature

from hrnet_tf.data.records.checks import require
from hrnet_tf.data.records.examples import (
    IMAGE_ENCODED,
    IMAGE_FILENAME,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    serialize,
)
from hrnet_tf.data.records.shards import (
    RecordError,
    check_first_record,
    read_examples,
)
from hrnet_tf.data.vocabularies.label_sets import IGNORE

LABELS_ENCODED = "image/segmentation/class/encoded"
# Our own addition: how many classes the labels count, so that another label set's
# records are noticed.
NUM_CLASSES = "image/segmentation/class/count"
# And this: how many pixels each class has in the image, and how many have none.
PIXELS = "image/segmentation/class/pixels"


def encode_image_record(
    encoded: bytes, filename: str, labels: np.ndarray, num_classes: int
) -> bytes:
    """The serialised `tf.train.Example` of one image with labels uint8 [H, W]."""
    _, png = cv2.imencode(".png", labels)
    feature = {
        IMAGE_ENCODED: convert_to_feature(encoded),
        IMAGE_FILENAME: convert_to_feature(filename.encode()),
        IMAGE_HEIGHT: convert_to_feature(labels.shape[0]),
        IMAGE_WIDTH: convert_to_feature(labels.shape[1]),
        LABELS_ENCODED: convert_to_feature(png.tobytes()),
        NUM_CLASSES: convert_to_feature(num_classes),
        PIXELS: convert_to_feature(count_pixels(labels, num_classes).tolist()),
    }
    return serialize(feature)


def count_pixels(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts pixels by class, int64 [C + 1]; the last number, those without one."""
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)
    return np.append(counts[:num_classes], counts[IGNORE])


def parse_image_record(serialized: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """Reads one record, in graph; nothing is decoded yet.

    Records that do not say how many classes they have, such as the Garden's, are
    trusted. Others raise `tf.errors.InvalidArgumentError` if they have another number.

    Returns:
        `encoded` and `labels_encoded`, scalar strings.
    """
    text = tf.io.FixedLenFeature([], tf.string, default_value="")
    record = tf.io.parse_single_example(
        serialized,
        {
            IMAGE_ENCODED: text,
            LABELS_ENCODED: text,
            NUM_CLASSES: tf.io.FixedLenFeature([], tf.int64, default_value=0),
        },
    )
    count = record[NUM_CLASSES]
    other_classes = (
        f"The records do not hold labels of {num_classes} classes, as task.label_set "
        "(one more with task.drop_background) does: convert the data with the same "
        "label set, or configure the one that they were converted with."
    )
    no_labels = (
        f"The records hold no labels ({LABELS_ENCODED}): convert the data with "
        "python -m hrnet_tf.data.segmentation_folder or one of its siblings."
    )
    conditions = {
        other_classes: (count == 0) | (count == num_classes),
        no_labels: tf.strings.length(record[LABELS_ENCODED]) > 0,
    }
    with tf.control_dependencies([require(conditions)]):
        return {
            "encoded": tf.identity(record[IMAGE_ENCODED]),
            "labels_encoded": tf.identity(record[LABELS_ENCODED]),
        }


def check_records(files: Sequence[str], num_classes: int) -> None:
    """Raises `RecordError` if the first record does not count `num_classes` classes."""
    check_first_record(
        files,
        lambda serialized: parse_image_record(serialized, num_classes),
        "convert the data again",
    )


def missing_classes(files: Sequence[str], num_classes: int) -> list[int]:
    """Numbers of the classes without a pixel in all records.

    Reads until all classes have been seen. Of records that do not count pixels, or that
    cannot be read, nothing is known: no class is missing.
    """
    missing = set(range(num_classes))
    try:
        for example in read_examples(files):
            counts = example.features.feature[PIXELS].int64_list.value
            if len(counts) != num_classes + 1:
                return []
            missing -= set(np.flatnonzero(counts[:-1]).tolist())
            if not missing:
                break
    except RecordError:
        return []
    return sorted(missing)
