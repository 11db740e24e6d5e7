"""The Garden's TFRecords of images with objects, as its detectors read them.

The Garden reads whatever it finds. Records of another kind have no objects, and a
detector would train on them as if the images were empty.
"""

import itertools
from collections.abc import Sequence

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import input_reader

from hrnet_tf.data.records.shards import check_first_record, read_examples

# What official/vision/dataloaders/tf_example_decoder.py reads.
IMAGE_ENCODED = "image/encoded"
IMAGE_ID = "image/source_id"
BOXES = "image/object/bbox/xmin"
CLASSES = "image/object/class/label"
CLASS_NAMES = "image/object/class/text"
MASKS = "image/object/mask"
IMAGE_HEIGHT, IMAGE_WIDTH = "image/height", "image/width"
SIDES = tuple(f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax"))
AREAS, CROWDS = "image/object/area", "image/object/is_crowd"

# In so many images, all but rare categories occur.
_NAMING_RECORDS = 2000

_ADVICE = "write records with python -m hrnet_tf.data.coco_instances"


def parse_image_record(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads one record, in graph, as the Garden's decoder does but for the masks.

    Raises `tf.errors.InvalidArgumentError`, when this runs, where that decoder does.

    Returns:
        Scalars and lists by the names of their features; what is missing is -1 or
        empty.
    """
    number = tf.io.FixedLenFeature([], tf.int64, -1)

    def numbers(dtype: tf.DType) -> tf.io.FixedLenSequenceFeature:
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)

    return tf.io.parse_single_example(
        serialized,
        {
            IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string),
            IMAGE_ID: tf.io.FixedLenFeature([], tf.string, ""),
            IMAGE_HEIGHT: number,
            IMAGE_WIDTH: number,
            CLASSES: numbers(tf.int64),
            AREAS: numbers(tf.float32),
            CROWDS: numbers(tf.int64),
            MASKS: numbers(tf.string),
            **{side: numbers(tf.float32) for side in SIDES},
        },
    )


def check_records(files: Sequence[str], with_masks: bool) -> None:
    """Raises `RecordError` if the first record is of another kind or lacks masks."""

    def parse(serialized: tf.Tensor) -> None:
        tf.io.parse_single_example(
            serialized, {IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string)}
        )
        features = tf.train.Example.FromString(serialized.numpy()).features.feature
        if IMAGE_ID not in features:
            _refuse(f"its first record has no {IMAGE_ID}; {_ADVICE}.")
        if with_masks and BOXES in features and MASKS not in features:
            _refuse(f"its objects have no masks; {_ADVICE} and --include_masks.")

    check_first_record(files, parse, _ADVICE)


def read_images(data: cfg.DataConfig) -> tf.data.Dataset:
    """Reads images as stored, in the order of the files.

    Returns:
        Dicts of image, uint8 [H, W, 3], and image_id, int64.
    """
    features = {
        IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string),
        IMAGE_ID: tf.io.FixedLenFeature([], tf.string),
    }

    def read(serialized):
        record = tf.io.parse_single_example(serialized, features)
        image = tf.io.decode_image(
            record[IMAGE_ENCODED], channels=3, expand_animations=False
        )
        return {
            "image": tf.ensure_shape(image, [None, None, 3]),
            "image_id": tf.strings.to_number(record[IMAGE_ID], tf.int64),
        }

    files = input_reader.match_files(data.input_path)
    dataset = tf.data.TFRecordDataset(files)
    return dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def read_categories(data: cfg.DataConfig) -> dict[int, str]:
    """Names of the categories by id, as far as the first records have objects of them.

    Returns nothing if there are no records, or they are not ours to read.
    """
    if data.tfds_name or not isinstance(data.input_path, (str, list, tuple)):
        return {}
    categories: dict[int, str] = {}
    try:
        examples = read_examples(input_reader.match_files(data.input_path))
        for example in itertools.islice(examples, _NAMING_RECORDS):
            feature = example.features.feature
            numbers = feature[CLASSES].int64_list.value
            names = feature[CLASS_NAMES].bytes_list.value
            categories |= {
                number: name.decode("utf-8", "replace")
                for number, name in zip(numbers, names, strict=False)
            }
    except (ValueError, tf.errors.OpError):
        return {}
    return dict(sorted(categories.items()))


def _refuse(sentence: str) -> None:
    raise tf.errors.InvalidArgumentError(None, None, sentence)
