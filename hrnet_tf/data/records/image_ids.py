"""Which images records hold, to compare them with other files before a run."""

import dataclasses
from typing import Any

import tensorflow as tf
from official.core import input_reader

# All of COCO's validation images; more would keep a run waiting.
_MOST_RECORDS = 5000


@dataclasses.dataclass(frozen=True)
class ImageIds:
    """Ids of images in records; those of the first records unless `is_complete`."""

    ids: frozenset[int] = frozenset()
    is_complete: bool = False


def read_image_ids(input_path: Any, key: str, dtype: tf.DType) -> ImageIds:
    """Reads the feature `key`, a number or a number's text, of the first records.

    Returns no id if there are no records, or they are not ours to read.
    """
    if not input_path or not isinstance(input_path, (str, list, tuple)):
        return ImageIds()
    features = {key: tf.io.FixedLenFeature([], dtype)}
    try:
        files = input_reader.match_files(input_path)
        # One more tells whether there are more.
        records = tf.data.TFRecordDataset(files).take(_MOST_RECORDS + 1)
        ids = [
            int(record[key])
            for record in records.map(
                lambda serialized: tf.io.parse_single_example(serialized, features)
            ).as_numpy_iterator()
        ]
    except (ValueError, tf.errors.OpError):
        return ImageIds()
    return ImageIds(frozenset(ids[:_MOST_RECORDS]), len(ids) <= _MOST_RECORDS)
