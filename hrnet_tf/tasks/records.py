"""Names the file and the record at fault when what a task reads cannot be read."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from official.common import dataset_fn
from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf.data.records import culprits, names
from hrnet_tf.data.records.examples import IMAGE_ENCODED, read_image
from hrnet_tf.tasks.classification import ClassificationTask
from hrnet_tf.tasks.evaluation import EvaluatedTask
from hrnet_tf.tasks.garden import get_task

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
    files = [names.files_of(data) for data in sources]
    try:
        yield
    except _ERRORS as error:
        # The operation that hands over what a pipeline made.
        if isinstance(error, tf.errors.OpError) and "Iterator" not in str(error):
            raise
        _log.info("The input pipeline failed; looking for the record at fault.")
        task = get_task(config)
        for data, paths in zip(sources, files, strict=True):
            if culprit := culprits.find(paths, *_reading(task, data)):
                raise culprit from error
        raise


def _reading(
    task: base_task.Task, data: cfg.DataConfig
) -> tuple[Callable[[tf.Tensor], Any], Any]:
    """How a task reads one record, and opens files."""
    open_files = dataset_fn.pick_dataset_fn(getattr(data, "file_type", "tfrecord"))
    if isinstance(task, (EvaluatedTask, ClassificationTask)):
        return functools.partial(task.read_record, data), open_files
    key = getattr(data, "image_field_key", IMAGE_ENCODED)
    return functools.partial(read_image, key), open_files
