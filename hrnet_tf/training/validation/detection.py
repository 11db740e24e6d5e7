"""What the detection tasks need."""

import json
import logging
from collections.abc import Iterator

import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import hyperparams
from official.vision.dataloaders.tfds_detection_decoders import TFDS_ID_TO_DECODER_MAP

from hrnet_tf.configs import detection
from hrnet_tf.configs.variants import FAMILIES
from hrnet_tf.data.records.instances import IMAGE_ID
from hrnet_tf.evaluation import coco_files
from hrnet_tf.evaluation.coco_instances import MASK_METRICS, METRICS
from hrnet_tf.training.validation import (
    augmentation,
    backbone,
    choices,
    inputs,
    labels,
    trainer,
)

DetectionTask = detection.MaskRCNNTask | detection.RetinaNetTask

_ADVICE = "write records with python -m hrnet_tf.data.coco_instances"


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of one of the detection tasks."""
    task = params.task
    yield from backbone.mistakes(task)
    yield from _model_mistakes(task)
    yield from _generator_mistakes(task)
    yield from inputs.role_mistakes(task, trains, evaluates)
    if trains:
        yield from _data_mistakes("task.train_data", task.train_data, task)
        yield from _training_mistakes(task)
    if evaluates:
        yield from _data_mistakes("task.validation_data", task.validation_data, task)
        yield from augmentation.parser_mistakes(
            "task.validation_data.parser", task.validation_data.parser
        )
        yield from _annotation_mistakes(task)
        yield from inputs.completeness_mistakes(params, "images")
    yield from _scoring_mistakes(params)


def _model_mistakes(task: DetectionTask) -> Iterator[str]:
    model = task.model
    size = model.input_size
    divisor = 2**model.max_level
    if wrong_shape := list(backbone.image_shape_mistakes(size)):
        yield from wrong_shape
    elif min(size) < 1 or size[0] % divisor or size[1] % divisor:
        yield (
            f"task.model.input_size is {size}; height and width must be multiples of "
            f"{divisor}, the step of level {model.max_level}."
        )
    yield from backbone.decoder_mistakes(model)
    if model.decoder.type == "hrnetv2p" and not 2 <= model.min_level <= model.max_level:
        yield (
            f"task.model.min_level is {model.min_level} and max_level "
            f"{model.max_level}; hrnetv2p begins at level 2, and max_level must not be "
            "lower than min_level."
        )
    elif model.min_level > model.max_level:
        yield (
            f"task.model.min_level is {model.min_level} and max_level "
            f"{model.max_level}; max_level must not be the lower."
        )
    if model.num_classes < 2:
        yield (
            f"task.model.num_classes is {model.num_classes}; it must be one more than "
            "the highest category id, since 0 is the background."
        )
    if isinstance(task, detection.MaskRCNNTask):
        yield from _cascade_mistakes(model)
        sampler, sampler_path = model.roi_sampler, "task.model.roi_sampler"
        for low, high in (
            ("background_iou_low_threshold", "background_iou_high_threshold"),
            ("background_iou_high_threshold", "foreground_iou_threshold"),
        ):
            yield from choices.in_order(sampler_path, sampler, low, high)
        yield from choices.share_mistakes(
            "task.losses.frcnn_class_loss_top_k_percent",
            task.losses.frcnn_class_loss_top_k_percent,
            sampler.num_sampled_rois,
            "sampled regions",
        )
        if model.include_mask and None in (
            model.mask_head,
            model.mask_sampler,
            model.mask_roi_aligner,
        ):
            yield (
                "task.model.include_mask is true, but mask_head, mask_sampler or "
                "mask_roi_aligner is null: start from hrnet_maskrcnn_coco."
            )


def _generator_mistakes(task: DetectionTask) -> Iterator[str]:
    """Checks how the Garden makes detections of scores."""
    path, generator = "task.model.detection_generator", task.model.detection_generator
    is_retinanet = isinstance(task, detection.RetinaNetTask)
    # The kind "tflite" is for export by the Garden's own tools.
    versions = (
        ("v1", "v2", "v3", "batched") if is_retinanet else ("v1", "v2", "batched")
    )
    version = generator.nms_version
    yield from choices.one_of(f"{path}.nms_version", version, versions)
    for name in ("apply_nms", "decode_boxes"):
        if not getattr(generator, name, True):
            yield f"{path}.{name} is false; it must be true, or nothing can be scored."
    if generator.soft_nms_sigma and version != "v1":
        yield (
            f"{path}.soft_nms_sigma is {generator.soft_nms_sigma}; with nms_version "
            f"{version} it must be null, since v1 alone has it."
        )
    if getattr(generator, "use_class_agnostic_nms", False) and version != "v2":
        yield (
            f"{path}.use_class_agnostic_nms is true; with nms_version {version} it "
            "must be false, since v2 alone has it."
        )
    if getattr(task.model.head, "attribute_heads", ()) if is_retinanet else ():
        yield (
            "task.model.head.attribute_heads is not empty; it must be [], since our "
            "records have no attributes of objects."
        )


def _cascade_mistakes(model: hyperparams.Config) -> Iterator[str]:
    thresholds = model.roi_sampler.cascade_iou_thresholds
    if not thresholds:
        return
    if len(thresholds) > 2:
        yield (
            f"task.model.roi_sampler.cascade_iou_thresholds is {thresholds}; the "
            "Garden has weights for at most two stages after the first."
        )
    if not model.detection_head.class_agnostic_bbox_pred:
        yield (
            "task.model.detection_head.class_agnostic_bbox_pred is false; it must be "
            "true in a cascade."
        )


def _data_mistakes(
    path: str, data: cfg.DataConfig, task: DetectionTask
) -> Iterator[str]:
    unreadable = list(_source_mistakes(path, data))
    yield from unreadable
    # Unless a decoder numbers their names anew.
    decodes_numbers = data.decoder and data.decoder.type == "simple_decoder"
    if not unreadable and not data.tfds_name and decodes_numbers:
        yield from labels.object_mistakes(path, data, task.model.num_classes)


def _source_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    # The Garden's own sources of data, for training.
    is_mixture = isinstance(data.input_path, hyperparams.Config)
    if data.is_training and (data.tfds_name or is_mixture):
        if data.tfds_name:
            yield from choices.one_of(
                f"{path}.tfds_name", data.tfds_name, TFDS_ID_TO_DECODER_MAP
            )
        yield from inputs.source_mistakes(path, data)
        yield from inputs.reading_mistakes(path, data)
    else:
        yield from inputs.records_mistakes(path, data, _ADVICE)


def _training_mistakes(task: DetectionTask) -> Iterator[str]:
    data, backbone_config = task.train_data, task.model.backbone
    yield from inputs.cache_mistakes(data, "image")
    if (
        backbone_config.type in FAMILIES
        and backbone_config.get().freeze_norm_statistics
        and not task.init_checkpoint
    ):
        yield (
            f"task.model.backbone.{backbone_config.type}.freeze_norm_statistics is "
            "true and task.init_checkpoint is empty; without trained weights, "
            "statistics must not be frozen: set init_checkpoint, or "
            "freeze_norm_statistics to false."
        )
    parser = data.parser
    yield from augmentation.parser_mistakes("task.train_data.parser", parser)
    if parser.aug_rand_hflip and parser.aug_scale_min != parser.aug_scale_max:
        logging.getLogger(__name__).warning(
            "task.train_data.parser mirrors and scales at random (aug_rand_hflip, "
            "aug_scale_min, aug_scale_max): the Garden draws both from one random "
            "number, so that small images are always mirrored and large ones never."
        )


def _annotation_mistakes(task: DetectionTask) -> Iterator[str]:
    key, path = "task.annotation_file", task.annotation_file
    if not path:
        yield (
            f"{key} is empty; it must name the COCO JSON (instances_*.json) that the "
            "validation records were converted from."
        )
        return
    if not tf.io.gfile.exists(path):
        yield inputs.missing_file(key, path)
        return
    with_masks = getattr(task.model, "include_mask", False)
    try:
        truth = coco_files.read_objects(
            path,
            with_masks,
            task.validation_data.input_path,
            task.evaluation.category_id,
        )
    except coco_files.AnnotationFileError as error:
        yield f"{key}: {error}"
        return
    data = task.validation_data
    records = yield from inputs.image_ids("task.validation_data", data, IMAGE_ID)
    yield from inputs.image_mistakes(key, truth, records)
    highest = max(truth.content.categories, default=0)
    if highest >= task.model.num_classes:
        yield (
            f"task.model.num_classes is {task.model.num_classes}; it must be above "
            f"{highest}, the highest category id of {path}."
        )


def _scoring_mistakes(params: cfg.ExperimentConfig) -> Iterator[str]:
    """Checks settings of the Garden's tasks that ours ignore, and the best metric."""
    task = params.task
    for name, value in (
        ("use_coco_metrics", True),
        ("use_wod_metrics", False),
        ("use_approx_instance_metrics", False),
        ("max_num_eval_detections", 100),
    ):
        received = getattr(task, name, value)
        if received != value:
            yield (
                f"task.{name} is {json.dumps(received)}; it must be "
                f"{json.dumps(value)}: our detection tasks evaluate COCO's metrics "
                "with 100 detections per image, and no others."
            )
    masks = MASK_METRICS if getattr(task.model, "include_mask", False) else ()
    metric = params.trainer.best_checkpoint_eval_metric
    if not metric.startswith(("AP/", "mask_AP/") if masks else "AP/"):
        yield from trainer.best_metric_mistakes(params.trainer, [*METRICS, *masks])
