"""Names the file and the record at fault when what a task reads cannot be read."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from official.common import dataset_fn
from official.core import base_task, task_factory
from official.core import config_definitions as cfg
from official.modeling import hyperparams
from official.vision.configs.image_classification import ImageClassificationTask

from hrnet_tf.data.records import culprits, names
from hrnet_tf.data.records.checks import Check, checked, checking, class_labels
from hrnet_tf.tasks.evaluation import EvaluatedTask

_log = logging.getLogger(__name__)

# What tf.data raises about files, or about what they hold.
_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
    # TensorFlow fails to tell of bytes that it cannot parse.
    UnicodeDecodeError,
)


@contextlib.contextmanager
def naming_culprits(config: cfg.TaskConfig, *sources: cfg.DataConfig) -> Iterator[None]:
    """Turns errors of the input pipeline into one about the record at fault.

    Errors for which no record of the `sources` is to blame stay as they are. Raises
    `RecordError`.
    """
    # Later, patterns would not match what is gone.
    files = [files_of(data) for data in sources]
    check = _check_of(config)
    try:
        with checking(check) if check else contextlib.nullcontext():
            yield
    except _ERRORS as error:
        # The operation that hands over what a pipeline made.
        if isinstance(error, tf.errors.OpError) and "Iterator" not in str(error):
            raise
        _log.info("The input pipeline failed; looking for the record at fault.")
        task = task_factory.get_task(config)
        for data, paths in zip(sources, files, strict=True):
            if culprit := culprits.find(paths, *_reading(task, data)):
                raise culprit from error
        raise


def files_of(data: cfg.DataConfig) -> list[str]:
    """The files that some data is read from."""
    paths = data.input_path
    if isinstance(paths, hyperparams.Config):
        paths = [
            pattern
            for some in paths.as_dict().values()
            for pattern in names.patterns_of(some)
        ]
    files = []
    for pattern in names.patterns_of(paths):
        # A name whose file is gone is a culprit, too.
        is_name = not names.is_pattern(pattern)
        files += [pattern] if is_name else names.match([pattern])
    return files


def _check_of(config: cfg.TaskConfig) -> Check | None:
    """What the Garden's own task does not look at in records."""
    if not isinstance(config, ImageClassificationTask):
        return None
    data = config.train_data
    return class_labels(
        data.label_field_key, config.model.num_classes, data.is_multilabel
    )


def _reading(
    task: base_task.Task, data: cfg.DataConfig
) -> tuple[Callable[[tf.Tensor], Any], Any]:
    """How a task reads one record, and opens files."""
    open_files = dataset_fn.pick_dataset_fn(getattr(data, "file_type", "tfrecord"))
    if isinstance(task, EvaluatedTask):
        return functools.partial(task.read_record, data), open_files
    key = getattr(data, "image_field_key", "image/encoded")
    check = _check_of(task.task_config)
    return functools.partial(_read_image, key, check), open_files


def _read_image(key: str, check: Check | None, serialized: tf.Tensor) -> tf.Tensor:
    """What records of all tasks of the Garden hold."""
    if check:
        serialized = checked(serialized, check)
    features = {key: tf.io.FixedLenFeature([], tf.string)}
    record = tf.io.parse_single_example(serialized, features)
    return tf.io.decode_image(record[key], channels=3, expand_animations=False)
