"""Labels in the Garden's kinds of records: that they are there, and name a class.

The Garden takes a missing or unknown label for none, and would train on such records
without a word.
"""

import itertools
from collections.abc import Callable, Iterator

import tensorflow as tf
from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask

from hrnet_tf.data.records.instances import CLASSES
from hrnet_tf.data.records.names import files_of
from hrnet_tf.data.records.shards import RecordError, read_examples
from hrnet_tf.messages import listed, shown

# So many in all, the first ones of every file; more would keep a run waiting.
_MOST_RECORDS = 5000

_Check = Callable[[str, tf.train.Features], Iterator[str]]


def class_mistakes(task: ImageClassificationTask, name: str) -> Iterator[str]:
    """Checks the first records of `task.NAME`: an image each, and its class.

    The names of both fields are those of `task.train_data`, also for validation.
    """
    keys = task.train_data

    def check(record: str, features: tf.train.Features) -> Iterator[str]:
        if len(features.feature[keys.image_field_key].bytes_list.value) != 1:
            yield _absent(record, features, "image_field_key", keys.image_field_key)
        labels = features.feature[keys.label_field_key].int64_list.value
        if not labels if keys.is_multilabel else len(labels) != 1:
            yield _absent(record, features, "label_field_key", keys.label_field_key)
        yield from _unknown_labels(record, labels, 0, task.model.num_classes)

    yield from _first_mistake(f"task.{name}.input_path", getattr(task, name), check)


def object_mistakes(path: str, data: cfg.DataConfig, num_classes: int) -> Iterator[str]:
    """Checks the classes of objects in the first records; 0 is the background."""

    def check(record: str, features: tf.train.Features) -> Iterator[str]:
        labels = features.feature[CLASSES].int64_list.value
        yield from _unknown_labels(record, labels, 1, num_classes)

    yield from _first_mistake(f"{path}.input_path", data, check)


def _first_mistake(path: str, data: cfg.DataConfig, check: _Check) -> Iterator[str]:
    """What is wrong with the first record that fails a check."""
    files = files_of(data)
    is_compressed = getattr(data, "file_type", "") == "tfrecord_compressed"
    quota = max(1, _MOST_RECORDS // max(1, len(files)))
    try:
        for file in files[:_MOST_RECORDS]:
            examples = itertools.islice(read_examples([file], is_compressed), quota)
            for number, example in enumerate(examples, 1):
                found = list(check(f"{file}: record {number}", example.features))
                if found:
                    yield from (f"{path}: {sentence}" for sentence in found)
                    return
    except RecordError as error:
        yield f"{path}: {error}"


def _absent(record: str, features: tf.train.Features, name: str, key: str) -> str:
    kind = "one image" if name == "image_field_key" else "the number of a class"
    # Looking for a feature adds an empty one.
    present = [k for k, v in sorted(features.feature.items()) if v.WhichOneof("kind")]
    return (
        f"{record} does not hold {kind} in the field {shown(key)}, which "
        f"task.train_data.{name} names; its fields are "
        f"{listed(present, most=8) or 'none'}."
    )


def _unknown_labels(
    record: str, labels: "tf.train.Int64List", least: int, num_classes: int
) -> Iterator[str]:
    wrong = [label for label in labels if not least <= label < num_classes]
    if wrong and num_classes > least:
        yield (
            f"{record} has the label {wrong[0]}; task.model.num_classes is "
            f"{num_classes}, so that labels must be in [{least}, {num_classes - 1}]."
        )
