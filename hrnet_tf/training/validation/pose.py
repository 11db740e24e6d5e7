"""What the pose task needs."""

import logging
from collections.abc import Iterator

import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.configs import pose
from hrnet_tf.data.vocabularies.skeletons import SkeletonError, load_skeleton
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.ops.heatmaps import CODECS
from hrnet_tf.training.validation.backbone import input_size_mistakes
from hrnet_tf.training.validation.choices import (
    choice_mistakes,
    share_mistakes,
    unset_type_mistakes,
)
from hrnet_tf.training.validation.inputs import (
    missing_file,
    pattern_mistakes,
    reading_mistakes,
    role_mistakes,
)


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of the pose task."""
    task = params.task
    yield from _model_mistakes(task)
    yield from role_mistakes(task, trains, evaluates)
    if trains:
        yield from _training_data_mistakes(task.train_data)
    if evaluates:
        yield from _validation_data_mistakes(task)
    yield from _scoring_mistakes(params, evaluates)


def _model_mistakes(task: pose.PoseTask) -> Iterator[str]:
    model = task.model
    size = model.input_size
    if len(size) != 2 or None in size:
        yield f"task.model.input_size is {size}; it must be [height, width]."
    else:
        yield from input_size_mistakes(size)
    yield from unset_type_mistakes("task.model.decoder", model.decoder)
    yield from choice_mistakes("task.codec.name", task.codec.name, CODECS)
    if task.codec.sigma <= 0:
        yield f"task.codec.sigma is {task.codec.sigma}; it must be above 0."
    if model.head.kernel_size not in (1, 3):
        yield (
            f"task.model.head.kernel_size is {model.head.kernel_size}; it must be "
            "1 or 3."
        )
    try:
        load_skeleton(task.skeleton)
    except SkeletonError as error:
        yield f"task.skeleton: {error}"
    if task.weight_decay < 0:
        yield f"task.weight_decay is {task.weight_decay}; it must be 0 or more."
    if task.weight_decay > 0:
        logging.getLogger(__name__).warning(
            "task.weight_decay is %s: the paper's pose recipe has none, and users who "
            "added some report an AP of 12.",
            task.weight_decay,
        )


def _training_data_mistakes(data: pose.PoseData) -> Iterator[str]:
    yield from _records_mistakes("task.train_data", data)
    yield from _augmentation_mistakes(data.augmentation)
    if data.cache:
        yield (
            "task.train_data.cache is true; it must be false, since it would keep "
            "one augmentation of every person for the whole training."
        )


def _validation_data_mistakes(task: pose.PoseTask) -> Iterator[str]:
    data = task.validation_data
    yield from _records_mistakes("task.validation_data", data)
    if data.drop_remainder:
        yield (
            "task.validation_data.drop_remainder is true; it must be false, or the "
            "people of the last batch are not evaluated."
        )
    if data.detections_file and not tf.io.gfile.exists(data.detections_file):
        yield missing_file("task.validation_data.detections_file", data.detections_file)
    annotation_file = task.evaluation.annotation_file
    key = "task.evaluation.annotation_file"
    if not annotation_file:
        yield (
            f"{key} is empty; it must name the COCO keypoint JSON that the "
            "validation records were converted from."
        )
    elif not tf.io.gfile.exists(annotation_file):
        yield missing_file(key, annotation_file)
    for name in ("keypoint_score_threshold", "oks_nms_threshold"):
        yield from share_mistakes(
            f"task.evaluation.{name}", getattr(task.evaluation, name)
        )


def _records_mistakes(path: str, data: pose.PoseData) -> Iterator[str]:
    if isinstance(data.input_path, hyperparams.Config):
        yield f"{path}.input_path has keys; it must be a pattern or a list of them."
        return
    if not data.input_path:
        yield (
            f"{path}.input_path is empty; it must name TFRecords written by "
            "python -m hrnet_tf.data.coco_pose."
        )
    yield from pattern_mistakes(
        f"{path}.input_path",
        data.input_path,
        "write records with python -m hrnet_tf.data.coco_pose, or correct the path",
    )
    yield from reading_mistakes(path, data)
    if data.box_padding <= 0:
        yield f"{path}.box_padding is {data.box_padding}; it must be above 0."


def _augmentation_mistakes(augmentation: pose.Augmentation) -> Iterator[str]:
    path = "task.train_data.augmentation"
    for name in (
        "half_body_probability",
        "half_body_upper_probability",
        "rotation_probability",
        "flip_probability",
    ):
        yield from share_mistakes(f"{path}.{name}", getattr(augmentation, name))
    if not 0 <= augmentation.scale < 1:
        yield f"{path}.scale is {augmentation.scale}; it must be in [0, 1)."
    if augmentation.rotation < 0:
        yield f"{path}.rotation is {augmentation.rotation}; it must be 0 or more."
    if augmentation.half_body_padding <= 0:
        yield (
            f"{path}.half_body_padding is {augmentation.half_body_padding}; it must be "
            "above 0."
        )


def _scoring_mistakes(params: cfg.ExperimentConfig, evaluates: bool) -> Iterator[str]:
    """What AP needs: a metric that exists, and all people in one place."""
    trainer, data = params.trainer, params.task.validation_data
    if trainer.best_checkpoint_export_subdir:
        # A detector's boxes have no targets, so there is no loss.
        losses = [] if data.detections_file else ["validation_loss"]
        yield from choice_mistakes(
            "trainer.best_checkpoint_eval_metric",
            trainer.best_checkpoint_eval_metric,
            [*coco_keypoints.METRICS, *losses],
        )
    if (
        params.runtime.distribution_strategy.lower() == "multi_worker_mirrored"
        and evaluates
        and data.sharding
    ):
        yield (
            "task.validation_data.sharding is true; it must be false with "
            "multi_worker_mirrored, or every worker scores its own share of the people."
        )
