"""Which images records hold, to compare them with other files before a run."""

import dataclasses
import itertools
from typing import Any

import tensorflow as tf
from official.core import input_reader

from hrnet_tf.data.records.shards import RecordError, read_examples

# All of COCO's validation images; more would keep a run waiting.
_MOST_RECORDS = 5000


@dataclasses.dataclass(frozen=True)
class ImageIds:
    """Ids of images in records; those of the first records unless `is_complete`."""

    ids: frozenset[int] = frozenset()
    is_complete: bool = False


def read_image_ids(input_path: Any, key: str) -> ImageIds:
    """Reads the feature `key`, a number or a number's text, of the first records.

    Returns no id if there are no records, or they are not ours to read. Raises
    `RecordError` if one is damaged.
    """
    if not input_path or not isinstance(input_path, (str, list, tuple)):
        return ImageIds()
    try:
        examples = read_examples(input_reader.match_files(input_path))
        # One more tells whether there are more.
        first = itertools.islice(examples, _MOST_RECORDS + 1)
        ids = [_id_of(example.features.feature[key]) for example in first]
    except RecordError:
        raise
    except (ValueError, tf.errors.OpError):
        return ImageIds()
    return ImageIds(frozenset(ids[:_MOST_RECORDS]), len(ids) <= _MOST_RECORDS)


def _id_of(feature: tf.train.Feature) -> int:
    """The id in a feature; raises `ValueError` if it holds none."""
    (value,) = feature.int64_list.value or feature.bytes_list.value
    return int(value)
