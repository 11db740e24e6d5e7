"""What our segmentation task needs."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import input_reader
from official.modeling import hyperparams

from hrnet_tf.configs import segmentation
from hrnet_tf.data.records.segmentation import missing_classes
from hrnet_tf.data.vocabularies.label_sets import (
    LabelSet,
    LabelSetError,
    load_label_set,
)
from hrnet_tf.evaluation.segmentation import METRICS
from hrnet_tf.messages import listed
from hrnet_tf.tasks.evaluation import VALIDATION_LOSS
from hrnet_tf.training.validation import backbone, choices, inputs, trainer

_log = logging.getLogger(__name__)

_ADVICE = (
    "write records with python -m hrnet_tf.data.segmentation_folder or one of its "
    "siblings, or correct the path"
)


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of our segmentation task."""
    task = params.task
    label_set = None
    try:
        label_set = load_label_set(task.label_set)
    except LabelSetError as error:
        yield f"task.label_set: {error}"
    yield from backbone.mistakes(task)
    yield from _model_mistakes(task, label_set)
    yield from _resizing_mistakes(task)
    yield from _loss_mistakes(task, label_set)
    yield from _evaluation_mistakes(task.evaluation)
    yield from inputs.role_mistakes(task, trains, evaluates)
    if trains:
        yield from inputs.records_mistakes("task.train_data", task.train_data, _ADVICE)
        yield from _training_mistakes(task.train_data)
        if label_set:
            _tell_of_missing_classes(task, label_set)
    if evaluates:
        data = task.validation_data
        if data.padded_size:
            path = "task.validation_data.padded_size"
            yield from _size_mistakes(path, data.padded_size)
        yield from inputs.records_mistakes("task.validation_data", data, _ADVICE)
        yield from inputs.completeness_mistakes(params, "images")
    classes = label_set.classes if label_set else ()
    metrics = [*METRICS, VALIDATION_LOSS, *(f"iou/{name}" for name in classes)]
    yield from trainer.best_metric_mistakes(params.trainer, metrics)


def _tell_of_missing_classes(
    task: segmentation.SegmentationTask, label_set: LabelSet
) -> None:
    """Warns if no training image has a pixel of some class."""
    try:
        files = input_reader.match_files(task.train_data.input_path)
    except (ValueError, tf.errors.OpError):
        return  # `mistakes` tells of it.
    dropped = int(task.drop_background)
    numbers = missing_classes(files, label_set.num_classes + dropped)
    names = [label_set.classes[i - dropped] for i in numbers if i >= dropped]
    if names:
        _log.warning(
            "No pixel of task.train_data has the class %s of task.label_set, so that "
            "it cannot be learned. The converter's summary counts the pixels of all "
            "classes; values of label images that are not 0, 1, 2 ... belong into "
            "`values` of the label set.",
            listed(names),
        )


def _model_mistakes(
    task: segmentation.SegmentationTask, label_set: LabelSet | None
) -> Iterator[str]:
    model = task.model
    yield from backbone.decoder_mistakes(model)
    yield from _head_mistakes(model)
    if label_set and model.num_classes not in (0, label_set.num_classes):
        yield (
            f"task.model.num_classes is {model.num_classes}; it must be "
            f"{label_set.num_classes}, the number of classes of task.label_set "
            f"{task.label_set}, or 0 for as many."
        )
    if model.mask_scoring_head is not None:
        yield "task.model.mask_scoring_head is set; it must be null."
    if list(model.input_size) != [None, None, 3]:
        yield (
            f"task.model.input_size is {model.input_size}; it must be [null, null, 3]: "
            "task.resizing and task.train_data.crop_size set the sizes."
        )
    if model.backbone.type == "litehrnet":
        yield (
            "task.model.backbone.type is 'litehrnet'; it must be hrnet for "
            "segmentation, whose images are of any size: Lite-HRNet takes multiples of "
            "32 alone."
        )
    hrnet = model.backbone.type == "hrnet" and model.backbone.hrnet
    if hrnet and hrnet.fuse_upsampling == "nearest":
        yield (
            "task.model.backbone.hrnet.fuse_upsampling is 'nearest'; it must be "
            "bilinear or bilinear_align_corners for segmentation, whose images are of "
            "any size."
        )


def _head_mistakes(model: hyperparams.Config) -> Iterator[str]:
    """Checks that the head looks at levels that the decoder and backbone have."""
    path, head, decoder = "task.model.head", model.head, str(model.decoder.type)
    if decoder == "identity":
        yield (
            "task.model.decoder.type is 'identity', which is no decoder; take hrnetv2, "
            "or hrnetv1 for the highest-resolution branch alone."
        )
    if decoder == "aspp" and head.level != model.decoder.aspp.level:
        yield (
            f"{path}.level is {head.level}; it must be {model.decoder.aspp.level}, as "
            "task.model.decoder.aspp.level."
        )
    if "hrnet" not in decoder:
        return
    if head.level != 2:
        yield f"{path}.level is {head.level}; it must be 2, the level of {decoder}."
    fusion = head.feature_fusion
    if fusion not in (None, "deeplabv3plus"):
        yield (
            f"{path}.feature_fusion is {fusion!r}; with {decoder} it must be "
            "deeplabv3plus, or null."
        )
    if fusion and head.low_level not in range(2, 6):
        yield f"{path}.low_level is {head.low_level!r}; it must be in [2, 5]."


def _resizing_mistakes(task: segmentation.SegmentationTask) -> Iterator[str]:
    resizing = task.resizing
    path = "task.resizing"
    if resizing.method == "fixed":
        yield from _size_mistakes(f"{path}.size", resizing.size)


def _size_mistakes(path: str, size: Any) -> Iterator[str]:
    if len(size) != 2 or None in size or min(size) < 1:
        yield f"{path} is {size}; it must be [height, width] in pixels."


def _loss_mistakes(
    task: segmentation.SegmentationTask, label_set: LabelSet | None
) -> Iterator[str]:
    path, losses = "task.losses", task.losses
    count = len(losses.class_weights)
    if label_set and count not in (0, label_set.num_classes):
        yield (
            f"{path}.class_weights has {count} numbers; it must have "
            f"{label_set.num_classes}, one per class, or none."
        )
    if losses.ohem and losses.top_k_percent_pixels < 1:
        yield (
            f"{path}.top_k_percent_pixels is {losses.top_k_percent_pixels}; it must be "
            "1 with ohem, which chooses the pixels itself."
        )
    # The head has a sixteenth of a crop's pixels, unless it is enlarged.
    divisor = 1 if losses.use_groundtruth_dimension else 16
    size = task.train_data.crop_size
    pixels = math.prod(size) // divisor if len(size) == 2 else 0
    yield from choices.share_mistakes(
        f"{path}.top_k_percent_pixels", losses.top_k_percent_pixels, pixels, "pixels"
    )
    for name in ("use_binary_cross_entropy", "gt_is_matting_map"):
        if getattr(losses, name):
            yield f"{path}.{name} is true; it must be false: a pixel has one class."
    for name in ("train_input_partition_dims", "eval_input_partition_dims"):
        if getattr(task, name):
            yield f"task.{name} is set; it must be [], since images are not divided."
    least = label_set.num_classes if label_set else 0
    if not least <= losses.ignore_label <= 255:
        yield (
            f"{path}.ignore_label is {losses.ignore_label}; it must be in {least} to "
            "255, a number that no class has."
        )


def _evaluation_mistakes(evaluation: segmentation.Evaluation) -> Iterator[str]:
    path = "task.evaluation"
    if evaluation.window:
        yield from _size_mistakes(f"{path}.window", evaluation.window)


def _training_mistakes(data: segmentation.SegmentationData) -> Iterator[str]:
    path = "task.train_data"
    yield from _size_mistakes(f"{path}.crop_size", data.crop_size)
    augmentation = data.augmentation
    yield from choices.in_order(
        f"{path}.augmentation", augmentation, "scale_min", "scale_max"
    )
    yield from inputs.cache_mistakes(data, "image")
