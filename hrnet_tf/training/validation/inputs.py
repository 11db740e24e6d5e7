"""What a run reads: records or datasets, and the weights that it starts from."""

from collections.abc import Generator, Iterator
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.data.records import names, sets
from hrnet_tf.data.records.image_ids import ImageIds, read_image_ids
from hrnet_tf.data.records.shards import RecordError, is_compressed
from hrnet_tf.evaluation.coco_files import AnnotationFileError, Truth, check_images
from hrnet_tf.messages import one_line, shown
from hrnet_tf.training.validation import choices
from hrnet_tf.weights import whole_checkpoints

# What the Garden calls the usual files of records, which it can read compressed, too.
_TFRECORD, _COMPRESSED = "tfrecord", "tfrecord_compressed"


def data_mistakes(task: cfg.TaskConfig, trains: bool, evaluates: bool) -> Iterator[str]:
    """Checks the data of a task that reads it with the Garden's input reader."""
    for name, is_needed in (("train_data", trains), ("validation_data", evaluates)):
        if is_needed:
            path, data = f"task.{name}", getattr(task, name)
            yield from source_mistakes(path, data)
            yield from reading_mistakes(path, data)
    yield from role_mistakes(task, trains, evaluates)


def source_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    """Checks where the Garden's input reader takes data from."""
    if data.input_path and data.tfds_name:
        yield (
            f"{path}.input_path and {path}.tfds_name are both set; one of them must be "
            "empty."
        )
    elif data.tfds_name and not data.tfds_split:
        yield (
            f"{path}.tfds_split is empty; it must name a split of {data.tfds_name}, "
            "such as train."
        )
    elif not data.input_path and not data.tfds_name:
        yield (
            f"{path}.input_path is empty; it must name TFRecords, unless "
            f"{path}.tfds_name names a dataset of TensorFlow Datasets."
        )
    sources = {f"{path}.input_path": data.input_path}
    if isinstance(data.input_path, hyperparams.Config):
        yield from _mixture_mistakes(path, data)
        sources = {
            f"{path}.input_path.{key}": patterns
            for key, patterns in data.input_path.as_dict().items()
        }
    for key, patterns in sources.items():
        file_type = getattr(data, "file_type", _TFRECORD)
        yield from pattern_mistakes(key, patterns, "correct the path", file_type)


def _mixture_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    """Checks several sources of data: the Garden draws from them by their weights."""
    weights = getattr(data, "weights", None)
    given = weights.as_dict() if isinstance(weights, hyperparams.Config) else {}
    numbers = [w for w in given.values() if isinstance(w, (int, float)) and w >= 0]
    if set(given) != set(data.input_path.as_dict()) or len(numbers) != len(given):
        yield (
            f"{path}.weights is {shown(given)}; it must have a number, 0 or more, for "
            f"each key of {path}.input_path."
        )
    elif not 0 < sum(numbers) < float("inf"):
        yield f"{path}.weights is {shown(given)}; their sum must be above 0 and finite."


def pattern_mistakes(
    path: str, patterns: str | list[str], advice: str, file_type: str = _TFRECORD
) -> Iterator[str]:
    """Checks that every pattern of the key `path` matches whole records alone.

    `file_type` is that of the Garden's data.
    """
    found = []
    try:
        for pattern in names.patterns_of(patterns):
            files = names.match([pattern])
            if not files:
                found.append(f"no file matches {pattern!r}; {advice}.")
            # The converters write one beside the records.
            found += [
                f"{pattern!r} matches {file}, too, which holds no records; end the "
                "pattern with .tfrecord."
                for file in files
                if file.endswith(".json")
            ]
            found = found or list(_file_type_mistakes(files, file_type))
        found = found or list(sets.faults(patterns, file_type == _TFRECORD))
    except tf.errors.OpError as error:
        found.append(f"{patterns!r} cannot be looked up: {one_line(error.message)}.")
    yield from (f"{path}: {sentence}" for sentence in found)


def _file_type_mistakes(files: list[str], file_type: str) -> Iterator[str]:
    """Checks that the first file is compressed if, and only if, its type says so."""
    compressed = is_compressed(files[0])
    if compressed is not None and compressed != (file_type == _COMPRESSED):
        is_or_not, right = ("is", _COMPRESSED) if compressed else ("is not", _TFRECORD)
        yield (
            f"{files[0]} {is_or_not} compressed, but file_type is {file_type}; set it "
            f"to {right}."
        )


def records_mistakes(path: str, data: cfg.DataConfig, advice: str) -> Iterator[str]:
    """Checks data that can only come from records, under the key `path`."""
    if isinstance(data.input_path, hyperparams.Config):
        yield f"{path}.input_path has keys; it must be a pattern or a list of them."
        return
    if not data.input_path:
        yield f"{path}.input_path is empty; {advice}."
    if data.tfds_name:
        yield f"{path}.tfds_name is set; it must be '', since records are read."
    if getattr(data, "file_type", _TFRECORD) != _TFRECORD:
        yield (
            f"{path}.file_type is {data.file_type}; it must be {_TFRECORD}, since this "
            "task reads records that are not compressed."
        )
        return
    yield from pattern_mistakes(f"{path}.input_path", data.input_path, advice)
    yield from reading_mistakes(path, data)


def reading_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    """Checks how data is read, wherever it comes from."""
    yield from choices.above_0(path, data, "global_batch_size")
    yield from _decoder_mistakes(f"{path}.decoder", getattr(data, "decoder", None))
    if data.enable_tf_data_service and not data.tf_data_service_address:
        yield (
            f"{path}.enable_tf_data_service is true, but "
            f"{path}.tf_data_service_address is empty; name the service with "
            "--tf_data_service=grpc://HOST:PORT."
        )


def _decoder_mistakes(path: str, decoder: Any) -> Iterator[str]:
    """Checks how the Garden's tasks take records apart."""
    if decoder is None:
        return
    yield from choices.unset_type_mistakes(path, decoder)
    if decoder.type == "label_map_decoder":
        file = decoder.label_map_decoder.label_map
        if not file or not tf.io.gfile.exists(file):
            yield missing_file(f"{path}.label_map_decoder.label_map", file)


def role_mistakes(task: cfg.TaskConfig, trains: bool, evaluates: bool) -> Iterator[str]:
    """Checks that data is repeated, shuffled and augmented in training alone."""
    if trains and not task.train_data.is_training:
        yield "task.train_data.is_training is not true; it must be true."
    if evaluates and task.validation_data.is_training is not False:
        yield "task.validation_data.is_training is not false; it must be false."


def cache_mistakes(data: cfg.DataConfig, example: str) -> Iterator[str]:
    """Checks that every example ("person", "image") is augmented anew each time."""
    if data.cache:
        yield (
            "task.train_data.cache is true; it must be false, since it would keep one "
            f"augmentation of every {example} for the whole training."
        )


def completeness_mistakes(params: cfg.ExperimentConfig, examples: str) -> Iterator[str]:
    """Checks that an evaluation gets all its "people" or "images" in one place.

    Scores like AP and mIoU of all examples are not the average of those of parts.
    """
    data = params.task.validation_data
    if data.drop_remainder:
        yield (
            "task.validation_data.drop_remainder is true; it must be false, or the "
            f"{examples} of the last batch are not evaluated."
        )
    strategy = params.runtime.distribution_strategy.lower()
    if strategy == "multi_worker_mirrored" and data.sharding:
        yield (
            "task.validation_data.sharding is true; it must be false with "
            "multi_worker_mirrored, or every worker scores its own share of the "
            f"{examples}."
        )


def image_ids(
    path: str, data: cfg.DataConfig, feature: str
) -> Generator[str, None, ImageIds]:
    """Reads which images the first records hold, under the key `path`."""
    try:
        return read_image_ids(data.input_path, feature)
    except RecordError as error:
        yield f"{path}.input_path: {error}"
        return ImageIds()


def image_mistakes(path: str, truth: Truth, records: ImageIds) -> Iterator[str]:
    """Checks that the annotation file under the key `path` lists the records' images.

    That of another split would end the first evaluation, after all the training.
    """
    known = {image.id for image in truth.content.images}
    try:
        check_images(truth.path, known, records.ids)
    except AnnotationFileError as error:
        yield f"{path}: {error}"


def missing_file(path: str, file: str) -> str:
    """Returns the sentence about a missing file that the key `path` names."""
    return f"{path} is {file!r}, but there is no such file."


def init_checkpoint_mistakes(task: cfg.TaskConfig) -> Iterator[str]:
    """Checks the weights to start from."""
    if hasattr(task, "init_checkpoint_modules"):
        yield from _module_mistakes(task)
    checkpoint = task.init_checkpoint
    if checkpoint and not (
        tf.io.gfile.exists(f"{checkpoint}.index")
        or whole_checkpoints.newest(checkpoint)
    ):
        yield (
            f"task.init_checkpoint is {checkpoint!r}; it must be a directory with "
            f"checkpoints or a checkpoint's prefix, but there is no {checkpoint}.index."
        )


def _module_mistakes(task: Any) -> Iterator[str]:
    """Checks the parts to load: all, one, or a list of those that the model has."""
    path, modules = "task.init_checkpoint_modules", task.init_checkpoint_modules
    parts = [name for name in ("backbone", "decoder") if hasattr(task.model, name)]
    if isinstance(modules, str):
        yield from choices.one_of(path, modules, ["all", *parts])
    elif not modules or not set(modules) <= set(parts):
        yield f"{path} is {modules}; a list must hold some of {', '.join(parts)}."
