"""What our segmentation task needs."""

from collections.abc import Iterator
from typing import Any

from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.configs import segmentation
from hrnet_tf.data.vocabularies.label_sets import (
    LabelSet,
    LabelSetError,
    load_label_set,
)
from hrnet_tf.evaluation.segmentation import METRICS
from hrnet_tf.training.validation.choices import (
    choice_mistakes,
    share_mistakes,
    unset_type_mistakes,
)
from hrnet_tf.training.validation.inputs import (
    pattern_mistakes,
    reading_mistakes,
    role_mistakes,
)

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
    yield from _model_mistakes(task, label_set)
    yield from _resizing_mistakes(task)
    yield from _loss_mistakes(task.losses, label_set)
    yield from _evaluation_mistakes(task.evaluation)
    yield from role_mistakes(task, trains, evaluates)
    for name, is_needed in (("train_data", trains), ("validation_data", evaluates)):
        if is_needed:
            yield from _data_mistakes(f"task.{name}", getattr(task, name))
    if trains:
        yield from _training_mistakes(task)
    if evaluates and task.validation_data.drop_remainder:
        yield (
            "task.validation_data.drop_remainder is true; it must be false, or the "
            "images of the last batch are not evaluated."
        )
    yield from _scoring_mistakes(params, label_set, evaluates)


def _model_mistakes(
    task: segmentation.SegmentationTask, label_set: LabelSet | None
) -> Iterator[str]:
    model = task.model
    yield from unset_type_mistakes("task.model.decoder", model.decoder)
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
            "sizes are those of task.resizing and task.train_data.crop_size."
        )
    hrnet = model.backbone.type == "hrnet" and model.backbone.hrnet
    if not hrnet:
        return
    if not hrnet.multi_scale_output and "hrnetv2" in str(model.decoder.type):
        yield (
            "task.model.backbone.hrnet.multi_scale_output is false; it must be true "
            f"with the decoder {model.decoder.type}, which joins all branches."
        )
    if hrnet.fuse_upsampling == "nearest":
        yield (
            "task.model.backbone.hrnet.fuse_upsampling is 'nearest'; it must be "
            "bilinear or bilinear_align_corners for segmentation, whose images are of "
            "any size."
        )


def _resizing_mistakes(task: segmentation.SegmentationTask) -> Iterator[str]:
    resizing = task.resizing
    path = "task.resizing"
    yield from choice_mistakes(
        f"{path}.method", resizing.method, segmentation.RESIZING_METHODS
    )
    if resizing.method == "long_side" and resizing.long_side < 1:
        yield f"{path}.long_side is {resizing.long_side}; it must be above 0."
    if resizing.method == "fixed":
        yield from _size_mistakes(f"{path}.size", resizing.size)


def _size_mistakes(path: str, size: Any) -> Iterator[str]:
    if len(size) != 2 or None in size or min(size) < 1:
        yield f"{path} is {size}; it must be [height, width] in pixels."


def _loss_mistakes(
    losses: segmentation.Losses, label_set: LabelSet | None
) -> Iterator[str]:
    path = "task.losses"
    count = len(losses.class_weights)
    if label_set and count not in (0, label_set.num_classes):
        yield (
            f"{path}.class_weights has {count} numbers; it must have "
            f"{label_set.num_classes}, one per class, or none."
        )
    yield from share_mistakes(f"{path}.ohem_threshold", losses.ohem_threshold)
    if losses.ohem_min_kept < 1:
        yield f"{path}.ohem_min_kept is {losses.ohem_min_kept}; it must be above 0."
    if losses.ohem and losses.top_k_percent_pixels < 1:
        yield (
            f"{path}.top_k_percent_pixels is {losses.top_k_percent_pixels}; it must be "
            "1 with ohem, which chooses the pixels itself."
        )
    for name in ("use_binary_cross_entropy", "gt_is_matting_map"):
        if getattr(losses, name):
            yield f"{path}.{name} is true; it must be false: a pixel has one class."
    least = label_set.num_classes if label_set else 0
    if not least <= losses.ignore_label <= 255:
        yield (
            f"{path}.ignore_label is {losses.ignore_label}; it must be in {least} to "
            "255, a number that is no class."
        )


def _evaluation_mistakes(evaluation: segmentation.Evaluation) -> Iterator[str]:
    path = "task.evaluation"
    yield from choice_mistakes(
        f"{path}.combine", evaluation.combine, segmentation.COMBINATIONS
    )
    if not evaluation.scales or min(evaluation.scales) <= 0:
        yield (
            f"{path}.scales is {evaluation.scales}; it must be a list of numbers "
            "above 0."
        )
    if evaluation.window:
        yield from _size_mistakes(f"{path}.window", evaluation.window)
    if not 0 <= evaluation.window_overlap < 1:
        yield (
            f"{path}.window_overlap is {evaluation.window_overlap}; it must be in "
            "[0, 1)."
        )


def _data_mistakes(path: str, data: segmentation.SegmentationData) -> Iterator[str]:
    if isinstance(data.input_path, hyperparams.Config):
        yield f"{path}.input_path has keys; it must be a pattern or a list of them."
        return
    if not data.input_path:
        yield f"{path}.input_path is empty; {_ADVICE}."
    yield from pattern_mistakes(f"{path}.input_path", data.input_path, _ADVICE)
    yield from reading_mistakes(path, data)


def _training_mistakes(task: segmentation.SegmentationTask) -> Iterator[str]:
    data = task.train_data
    path = "task.train_data"
    yield from _size_mistakes(f"{path}.crop_size", data.crop_size)
    augmentation = data.augmentation
    yield from share_mistakes(
        f"{path}.augmentation.flip_probability", augmentation.flip_probability
    )
    low, high = augmentation.scale_min, augmentation.scale_max
    if not 0 < low <= high:
        yield (
            f"{path}.augmentation.scale_min and scale_max are {low} and {high}; they "
            "must be above 0, and scale_min the smaller."
        )
    if data.cache:
        yield (
            f"{path}.cache is true; it must be false, since it would keep one "
            "augmentation of every image for the whole training."
        )


def _scoring_mistakes(
    params: cfg.ExperimentConfig, label_set: LabelSet | None, evaluates: bool
) -> Iterator[str]:
    """What mIoU needs: a metric that exists, and all images in one place."""
    trainer, data = params.trainer, params.task.validation_data
    if trainer.best_checkpoint_export_subdir:
        classes = label_set.classes if label_set else ()
        yield from choice_mistakes(
            "trainer.best_checkpoint_eval_metric",
            trainer.best_checkpoint_eval_metric,
            [*METRICS, "validation_loss", *(f"iou/{name}" for name in classes)],
        )
    if (
        params.runtime.distribution_strategy.lower() == "multi_worker_mirrored"
        and evaluates
        and data.sharding
    ):
        yield (
            "task.validation_data.sharding is true; it must be false with "
            "multi_worker_mirrored, or every worker scores its own share of the images."
        )
