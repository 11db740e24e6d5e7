"""What the pose task needs."""

import logging
from collections.abc import Generator, Iterator

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.configs import pose
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.files.detections import DetectionsError
from hrnet_tf.data.inputs.pose import read_detections
from hrnet_tf.data.records.image_ids import ImageIds
from hrnet_tf.data.records.pose import IMAGE_ID
from hrnet_tf.data.vocabularies.skeletons import (
    ANNOTATIONS,
    SkeletonError,
    load_skeleton,
)
from hrnet_tf.evaluation import coco_files, coco_keypoints, keypoint_metrics
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.distances import NormalizerError
from hrnet_tf.evaluation.matched import AnnotatedPeople
from hrnet_tf.tasks.evaluation import VALIDATION_LOSS
from hrnet_tf.training.validation import backbone, inputs, trainer

_log = logging.getLogger(__name__)

_ADVICE = "write records with python -m hrnet_tf.data.coco_pose, or correct the path"


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of the pose task."""
    task = params.task
    yield from backbone.mistakes(task)
    yield from _model_mistakes(task)
    yield from inputs.role_mistakes(task, trains, evaluates)
    if trains:
        yield from _data_mistakes("task.train_data", task.train_data)
        yield from inputs.cache_mistakes(task.train_data, "person")
        yield from _opencv_mistakes(params)
    yield from _metric_mistakes(task)
    truth = None
    if evaluates:
        yield from _data_mistakes("task.validation_data", task.validation_data)
        truth = yield from _evaluation_mistakes(task)
        yield from inputs.completeness_mistakes(params, "people")
    yield from trainer.best_metric_mistakes(
        params.trainer, _metrics(task, truth), keypoint_metrics.lower_is_better
    )


def _metrics(task: pose.PoseTask, truth: Truth[CocoPeople] | None) -> Iterator[str]:
    """The names of what an evaluation computes."""
    yield from keypoint_metrics.names(task.evaluation)
    is_oks = task.evaluation.metric == "oks"
    if is_oks and (truth is None or truth.content.crowd_index):
        yield from coco_keypoints.LEVELS
    # A detector's boxes have no targets, so there is no loss.
    if not task.validation_data.detections_file:
        yield VALIDATION_LOSS


def _metric_mistakes(task: pose.PoseTask) -> Iterator[str]:
    """Checks what metrics but `oks` need besides annotations."""
    evaluation = task.evaluation
    key, metric = "task.evaluation", evaluation.metric
    if metric != "oks" and task.validation_data.detections_file:
        yield (
            f"{key}.metric is {metric!r}, which is of annotated boxes; leave "
            "task.validation_data.detections_file empty, or set the metric to oks."
        )
    # As names of metrics have them.
    if len({f"{t:g}" for t in evaluation.thresholds}) < len(evaluation.thresholds):
        yield f"{key}.thresholds is {evaluation.thresholds}; it repeats one."
    try:
        keypoint_metrics.normalizer_of(evaluation, load_skeleton(task.skeleton))
    except NormalizerError as error:
        yield f"{key}.normalizer {error}"
    except SkeletonError:
        pass  # `_model_mistakes` says so.


def _model_mistakes(task: pose.PoseTask) -> Iterator[str]:
    model = task.model
    size = model.input_size
    if len(size) != 2 or None in size:
        yield f"task.model.input_size is {size}; it must be [height, width]."
    else:
        yield from backbone.input_size_mistakes(size)
    yield from backbone.decoder_mistakes(model)
    try:
        skeleton = load_skeleton(task.skeleton)
    except SkeletonError as error:
        yield f"task.skeleton: {error}"
    else:
        yield from _loss_mistakes(task.loss, skeleton.num_keypoints)
    if task.weight_decay > 0:
        _log.warning(
            "task.weight_decay is %s: the paper's pose recipe has none, and users who "
            "added some report an AP of 12.",
            task.weight_decay,
        )


def _loss_mistakes(loss: pose.Loss, num_keypoints: int) -> Iterator[str]:
    path = "task.loss"
    if loss.name == "ohkm" and not 1 <= loss.top_k <= num_keypoints:
        yield (
            f"{path}.top_k is {loss.top_k}; it must be from 1 to {num_keypoints}, the "
            "number of keypoints of task.skeleton."
        )
    weights = loss.keypoint_weights
    if len(weights) not in (0, num_keypoints):
        yield (
            f"{path}.keypoint_weights has {len(weights)} numbers; it must have "
            f"{num_keypoints}, one per keypoint of task.skeleton, or none."
        )
    elif weights and max(weights) == 0:
        yield f"{path}.keypoint_weights are all 0; at least one must be above 0."


def _data_mistakes(path: str, data: pose.PoseData) -> Iterator[str]:
    yield from inputs.records_mistakes(path, data, _ADVICE)


def _opencv_mistakes(params: cfg.ExperimentConfig) -> Iterator[str]:
    """OpenCV is called from Python, which input pipelines elsewhere have not got."""
    data, strategy = params.task.train_data, params.runtime.distribution_strategy
    elsewhere = {
        "task.train_data.enable_tf_data_service is true": data.enable_tf_data_service,
        f"runtime.distribution_strategy is {strategy}": strategy == "parameter_server",
    }
    for setting, applies in elsewhere.items():
        if data.crop_with_opencv and applies:
            yield (
                f"task.train_data.crop_with_opencv is true and {setting}: its input "
                "pipeline runs in other processes, which cannot call OpenCV; set one "
                "of them differently."
            )


def _evaluation_mistakes(
    task: pose.PoseTask,
) -> Generator[str, None, Truth[CocoPeople] | None]:
    """Returns the truth, if it can be used."""
    data = task.validation_data
    records = yield from inputs.image_ids("task.validation_data", data, IMAGE_ID)
    truth = yield from _annotation_mistakes(task)
    if truth:
        key = "task.evaluation.annotation_file"
        yield from inputs.image_mistakes(key, truth, records)
        yield from _length_mistakes(task, truth)
    yield from _detection_mistakes(data, truth, records)
    return truth


def _length_mistakes(task: pose.PoseTask, truth: Truth[CocoPeople]) -> Iterator[str]:
    """Checks that errors can be divided by the length of somebody."""
    evaluation = task.evaluation
    skeleton = load_skeleton(task.skeleton)
    try:
        normalizer = keypoint_metrics.normalizer_of(evaluation, skeleton)
    except NormalizerError:  # `_metric_mistakes` has said so.
        return
    if normalizer is None:
        return
    people = AnnotatedPeople.of_people(truth.content, skeleton.num_keypoints)
    if (normalizer.lengths(people)[people.counts] > 0).any():
        return
    advice = {
        ANNOTATIONS: "give every annotation its normalizer, a length in pixels (of "
        "MPII, hrnet_tf.data.mpii takes them from gt_valid.mat)",
        "": "set task.evaluation.normalizer to keypoints that are labelled",
    }.get(normalizer.name, "correct the boxes")
    yield (
        f"task.evaluation.annotation_file: nobody in {truth.path} has a length that "
        f"task.evaluation.metric {evaluation.metric!r} could divide errors by "
        f"({normalizer.words}); {advice}, or choose another metric."
    )


def _annotation_mistakes(
    task: pose.PoseTask,
) -> Generator[str, None, Truth[CocoPeople] | None]:
    """Reads and returns the truth, since the evaluation is too late for mistakes."""
    evaluation = task.evaluation
    key, path = "task.evaluation.annotation_file", evaluation.annotation_file
    if not path:
        yield (
            f"{key} is empty; it must name the COCO keypoint JSON that the "
            "validation records were converted from."
        )
    elif not tf.io.gfile.exists(path):
        yield inputs.missing_file(key, path)
    else:
        try:
            return coco_files.read_people(
                path,
                load_skeleton(task.skeleton),
                evaluation.category_id,
                evaluation.area_from,
                task.validation_data.input_path,
            )
        except coco_files.AnnotationFileError as error:
            yield f"{key}: {error}"
        except SkeletonError:
            pass  # `_model_mistakes` has said so.
    return None


def _detection_mistakes(
    data: pose.PoseData, truth: Truth[CocoPeople] | None, records: ImageIds
) -> Iterator[str]:
    """Reads the detector's boxes, and tells how many are of other images."""
    key, path = "task.validation_data.detections_file", data.detections_file
    if not path:
        return
    if not tf.io.gfile.exists(path):
        yield inputs.missing_file(key, path)
        return
    try:
        found = read_detections(data, truth.content.category_ids if truth else ())
    except DetectionsError as error:
        yield f"task.validation_data.{error}"
        return
    if not records.is_complete:
        return
    known = np.array(sorted(records.ids), np.int64)
    total = len(found.image_ids)
    others = total - np.count_nonzero(np.isin(found.image_ids, known))
    if others == total:
        yield (
            f"{key} is {path!r}, but none of its {total} boxes is on an image of "
            "task.validation_data.input_path."
        )
    elif others:
        _log.warning(
            "Boxes in %s on images that are not in the records, and so not used: %d of "
            "%d.",
            path,
            others,
            total,
        )
