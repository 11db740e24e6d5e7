"""The Garden's TFRecords of images with objects, as its detectors read them.

The Garden reads whatever it finds. Records of another kind have no objects, and a
detector would train on them as if the images were empty.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import input_reader

from hrnet_tf.data.records.checks import Check, Conditions, is_within
from hrnet_tf.data.records.examples import (
    IMAGE_ENCODED,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    list_of,
)
from hrnet_tf.data.records.shards import check_first_record, read_examples
from hrnet_tf.ops.images import decode_image

# What official/vision/dataloaders/tf_example_decoder.py reads.
IMAGE_ID = "image/source_id"
BOXES = "image/object/bbox/xmin"
COORDINATES = [f"image/object/bbox/{name}" for name in ("xmin", "xmax", "ymin", "ymax")]
CLASSES = "image/object/class/label"
CLASS_NAMES = "image/object/class/text"
AREAS = "image/object/area"
CROWDS = "image/object/is_crowd"
MASKS = "image/object/mask"
SIDES = IMAGE_HEIGHT, IMAGE_WIDTH

# How far boxes of other converters reach beyond the image, of which it is 1 wide.
_MARGIN = 0.1

_ROUNDING = 1e-3

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
    encoded = {IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_single_example(serialized, encoded | _features(with_masks=True))


def _features(with_masks: bool) -> dict[str, Any]:
    """What is read of a record but for the image itself."""
    return {
        IMAGE_ID: tf.io.FixedLenFeature([], tf.string, ""),
        **{key: tf.io.FixedLenFeature([], tf.int64, -1) for key in SIDES},
        **{key: list_of(tf.float32) for key in (*COORDINATES, AREAS)},
        **{key: list_of(tf.int64) for key in (CLASSES, CROWDS)},
        **({MASKS: list_of(tf.string)} if with_masks else {}),
    }


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


def consistency(num_classes: int | None, with_masks: bool, with_numbers: bool) -> Check:
    """The check of what a detector would learn wrongly, without a word.

    Areas and crowds may be missing, as the Garden allows, and sizes of images. Classes
    are looked at if `num_classes` is given, and ids if they must be numbers.
    """

    def check(serialized: tf.Tensor) -> Conditions:
        record = tf.io.parse_single_example(serialized, _features(with_masks))
        conditions = {**_one_length(record, num_classes, with_masks), **_boxes(record)}
        if with_masks:
            conditions |= _mask_sizes(record)
        if num_classes is not None:
            fault = (
                f"{CLASSES} is not from 1 to {num_classes - 1}, as "
                "task.model.num_classes says"
            )
            conditions[fault] = is_within(record[CLASSES], 1, num_classes - 1)
        if with_numbers:
            is_number = tf.strings.regex_full_match(record[IMAGE_ID], "[0-9]{1,18}")
            conditions[f"{IMAGE_ID} is no number"] = is_number
        return conditions

    return check


def _one_length(
    record: dict[str, tf.Tensor], num_classes: int | None, with_masks: bool
) -> Conditions:
    count = tf.size(record[BOXES])
    needed = [*COORDINATES, *([CLASSES] if num_classes else [])]
    conditions = {}
    for key in [*needed, AREAS, CROWDS, *([MASKS] if with_masks else [])]:
        found = tf.size(record[key])
        may_miss = (found == 0) & (key in (AREAS, CROWDS))
        fault = f"{key} is not of as many objects as {BOXES}"
        conditions[fault] = (found == count) | may_miss
    return conditions


def _boxes(record: dict[str, tf.Tensor]) -> Conditions:
    conditions = {}
    for key in COORDINATES:
        is_near = is_within(record[key], -_MARGIN, 1 + _MARGIN)
        conditions[f"{key} is not from 0 to 1"] = is_near
    for least, most in (COORDINATES[:2], COORDINATES[2:]):
        same = tf.minimum(tf.size(record[least]), tf.size(record[most]))
        is_ordered = record[least][:same] <= record[most][:same]
        conditions[f"{most} is below {least}"] = is_ordered
    is_area = is_within(record[AREAS], 0, tf.float32.max)
    conditions[f"{AREAS} is negative or no number"] = is_area
    conditions[f"{CROWDS} is neither 0 nor 1"] = is_within(record[CROWDS], 0, 1)
    for key in SIDES:
        conditions[f"{key} is below 1"] = (record[key] >= 1) | (record[key] == -1)
    return conditions


def _mask_sizes(record: dict[str, tf.Tensor]) -> Conditions:
    """Masks may be smaller than the image, but not of another shape."""
    # The header of a PNG file; what is shorter cannot be decoded anyway.
    header = tf.strings.substr(tf.strings.join([record[MASKS], "\0" * 24]), 0, 24)
    numbers = tf.io.decode_raw(header, tf.int32, little_endian=False)
    sizes = tf.cast(tf.reshape(numbers, [-1, 6])[:, 4:], tf.int64)
    height, width = (record[key] for key in SIDES)
    difference = tf.abs(sizes[:, 0] * height - sizes[:, 1] * width)
    is_png = tf.strings.substr(header, 1, 3) == "PNG"
    is_unknown = (height < 1) | (width < 1) | ~is_png
    is_like_the_image = is_unknown | (difference <= height + width)
    return {f"{MASKS} has another shape than the image": is_like_the_image}


def mask_values(masks: tf.Tensor) -> Conditions:
    """No decoded mask, or share of its pixels, is above 1."""
    return {f"{MASKS} holds other numbers than 0 and 1": masks <= 1 + _ROUNDING}


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
        return {
            "image": decode_image(record[IMAGE_ENCODED]),
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
