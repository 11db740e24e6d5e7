"""One check of a whole pose experiment, before the first step.

The Garden takes most mistakes silently and fails on them hours later, or not at all.
`validate` finds all of them at once; `hrnet_tf.experiment` has already refused keys
that do not exist.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from absl import logging
from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.configs import backbones, pose
from hrnet_tf.data.skeletons import SkeletonError, load_skeleton
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.experiment import ConfigError, did_you_mean, type_mistakes
from hrnet_tf.modeling.hrnet import check_input_size
from hrnet_tf.ops.heatmaps import CODECS

STRATEGIES = (
    "off",
    "one_device",
    "mirrored",
    "multi_worker_mirrored",
    "parameter_server",
    "tpu",
)
PRECISIONS = (None, "float32", "float16", "bfloat16")
# The modes of the Garden that it implements.
MODES = ("train", "eval", "train_and_eval", "continuous_eval", "train_and_post_eval")
INIT_CHECKPOINT_MODULES = ("all", "backbone")


def validate(params: cfg.ExperimentConfig, mode: str) -> None:
    """Checks an experiment of the Garden, most closely if its task is the pose task.

    Args:
        params: The experiment with all changes applied.
        mode: One of `MODES`; decides which files are needed.

    Raises:
        ConfigError: If anything is wrong; one sentence and line per mistake.
    """
    # Values of the wrong type would only confuse the checks of what they mean.
    mistakes = list(type_mistakes(params).values())
    if not mistakes:
        trains, evaluates = "train" in mode, "eval" in mode
        mistakes = [
            *_choice("--mode", mode, MODES),
            *_trainer_mistakes(params, trains),
            *_runtime_mistakes(params, evaluates),
        ]
        if isinstance(params.task, pose.PoseTask):
            mistakes += _model_mistakes(params.task)
            mistakes += _data_mistakes(params.task, trains, evaluates)
            mistakes += _scoring_mistakes(params, evaluates)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    try:
        params.validate()
    except KeyError as error:
        raise ConfigError(f"A restriction of the experiment: {error.args[0]}") from None


def _model_mistakes(task: Any) -> Iterator[str]:
    model = task.model
    key = "task.model.input_size"
    if len(model.input_size) != 2 or None in model.input_size:
        yield f"{key} is {model.input_size}; it must be [height, width]."
    else:
        try:
            check_input_size(model.input_size)
        except ValueError as error:
            yield f"{key}: {error}"
    for name in ("backbone", "decoder"):
        yield from _unset_type(f"task.model.{name}", getattr(model, name))
    if model.backbone.type == "hrnet":
        hrnet = model.backbone.hrnet
        path = "task.model.backbone.hrnet"
        known_models = [*backbones.VARIANTS, backbones.CUSTOM]
        if hrnet.model_id not in known_models:
            yield _not_one_of(f"{path}.model_id", hrnet.model_id, known_models)
        else:
            try:
                backbones.hrnet_spec(hrnet)
            except ValueError as error:
                yield f"task.model.backbone: {error}"
        yield from _choice(
            f"{path}.fuse_upsampling", hrnet.fuse_upsampling, backbones.FUSE_UPSAMPLING
        )
        yield from _choice(
            f"{path}.kernel_initializer",
            hrnet.kernel_initializer,
            backbones.KERNEL_INITIALIZERS,
        )
    yield from _choice("task.codec.name", task.codec.name, CODECS)
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
        logging.warning(
            "task.weight_decay is %s: the paper's pose recipe has none, and users who "
            "added some report an AP of 12.",
            task.weight_decay,
        )


def _data_mistakes(task: Any, trains: bool, evaluates: bool) -> Iterator[str]:
    if trains:
        yield from _records_mistakes("task.train_data", task.train_data)
        if not task.train_data.is_training:
            yield "task.train_data.is_training is not true; it must be true."
        yield from _augmentation_mistakes(task.train_data.augmentation)
        if task.train_data.cache:
            yield (
                "task.train_data.cache is true; it must be false, since it would keep "
                "one augmentation of every person for the whole training."
            )
    if evaluates:
        data = task.validation_data
        yield from _records_mistakes("task.validation_data", data)
        if data.is_training is not False:
            yield "task.validation_data.is_training is not false; it must be false."
        if data.drop_remainder:
            yield (
                "task.validation_data.drop_remainder is true; it must be false, or the "
                "people of the last batch are not evaluated."
            )
        if data.detections_file and not tf.io.gfile.exists(data.detections_file):
            yield _missing_file(
                "task.validation_data.detections_file", data.detections_file
            )
        annotation_file = task.evaluation.annotation_file
        key = "task.evaluation.annotation_file"
        if not annotation_file:
            yield (
                f"{key} is empty; it must name the COCO keypoint JSON that the "
                "validation records were converted from."
            )
        elif not tf.io.gfile.exists(annotation_file):
            yield _missing_file(key, annotation_file)
        for name in ("keypoint_score_threshold", "oks_nms_threshold"):
            yield from _share(f"task.evaluation.{name}", task.evaluation, name)
    yield from _choice(
        "task.init_checkpoint_modules",
        task.init_checkpoint_modules,
        INIT_CHECKPOINT_MODULES,
    )
    checkpoint = task.init_checkpoint
    if checkpoint and not (
        tf.io.gfile.exists(f"{checkpoint}.index")
        or tf.train.latest_checkpoint(checkpoint)
    ):
        yield (
            f"task.init_checkpoint is {checkpoint!r}; it must be a directory with "
            f"checkpoints or a checkpoint's prefix, but there is no {checkpoint}.index."
        )


def _records_mistakes(path: str, data: Any) -> Iterator[str]:
    if isinstance(data.input_path, hyperparams.Config):
        yield f"{path}.input_path has keys; it must be a pattern or a list of them."
        return
    if not data.input_path:
        yield (
            f"{path}.input_path is empty; it must name TFRecords written by "
            "python -m hrnet_tf.data.coco_pose."
        )
    patterns = data.input_path
    for pattern in patterns.split(",") if isinstance(patterns, str) else patterns:
        if pattern.strip() and not tf.io.gfile.glob(pattern.strip()):
            yield (
                f"{path}.input_path: no file matches {pattern.strip()!r}; write "
                "records with python -m hrnet_tf.data.coco_pose, or correct the path."
            )
    if data.global_batch_size <= 0:
        yield (
            f"{path}.global_batch_size is {data.global_batch_size}; it must be above 0."
        )
    if data.box_padding <= 0:
        yield f"{path}.box_padding is {data.box_padding}; it must be above 0."
    if data.enable_tf_data_service and not data.tf_data_service_address:
        yield (
            f"{path}.enable_tf_data_service is true, but "
            f"{path}.tf_data_service_address is empty; name the service with "
            "--tf_data_service=grpc://HOST:PORT."
        )


def _augmentation_mistakes(augmentation: Any) -> Iterator[str]:
    path = "task.train_data.augmentation"
    for name in (
        "half_body_probability",
        "half_body_upper_probability",
        "rotation_probability",
        "flip_probability",
    ):
        yield from _share(f"{path}.{name}", augmentation, name)
    if not 0 <= augmentation.scale < 1:
        yield f"{path}.scale is {augmentation.scale}; it must be in [0, 1)."
    if augmentation.rotation < 0:
        yield f"{path}.rotation is {augmentation.rotation}; it must be 0 or more."
    if augmentation.half_body_padding <= 0:
        yield (
            f"{path}.half_body_padding is {augmentation.half_body_padding}; it must be "
            "above 0."
        )


def _trainer_mistakes(params: cfg.ExperimentConfig, trains: bool) -> Iterator[str]:
    trainer = params.trainer
    for name in ("optimizer", "learning_rate"):
        path = f"trainer.optimizer_config.{name}"
        yield from _unset_type(path, getattr(trainer.optimizer_config, name))
    yield from _learning_rate_mistakes(trainer)
    if trainer.best_checkpoint_export_subdir:
        yield from _choice(
            "trainer.best_checkpoint_metric_comp",
            trainer.best_checkpoint_metric_comp,
            ("higher", "lower"),
        )
    if not trains:
        return
    for name in (
        "train_steps",
        "steps_per_loop",
        "summary_interval",
        "checkpoint_interval",
        "validation_interval",
    ):
        if getattr(trainer, name) <= 0:
            yield f"trainer.{name} is {getattr(trainer, name)}; it must be above 0."
    if trainer.steps_per_loop > 0 and trainer.summary_interval % trainer.steps_per_loop:
        yield (
            f"trainer.summary_interval is {trainer.summary_interval}; it must be a "
            f"multiple of trainer.steps_per_loop, {trainer.steps_per_loop}."
        )


def _learning_rate_mistakes(trainer: cfg.TrainerConfig) -> Iterator[str]:
    learning_rate = trainer.optimizer_config.learning_rate
    path = "trainer.optimizer_config.learning_rate"
    # `staircase` alone may be null: it is then off.
    for name, schedule in (
        ("learning_rate", learning_rate),
        ("warmup", trainer.optimizer_config.warmup),
    ):
        if schedule.type is None:
            continue
        for key, value in schedule.get().as_dict().items():
            values = value if isinstance(value, (list, tuple)) else [value]
            if None in values and key != "staircase":
                yield (
                    f"trainer.optimizer_config.{name}.{schedule.type}.{key} is "
                    f"{'null' if value is None else value}; it must be set."
                )
    if learning_rate.type != "stepwise":
        return
    boundaries = list(learning_rate.stepwise.boundaries or [])
    values = list(learning_rate.stepwise.values or [])
    if None in boundaries or not boundaries or not values:
        return
    if len(values) != len(boundaries) + 1:
        yield (
            f"{path}.stepwise.values has {len(values)} numbers for {len(boundaries)} "
            "boundaries; it must have one more than there are boundaries."
        )
    if boundaries != sorted(set(boundaries)):
        yield f"{path}.stepwise.boundaries is {boundaries}; it must increase."
    if 0 < trainer.train_steps <= boundaries[-1]:
        logging.warning(
            "%s.stepwise.boundaries reach to step %d, but training ends at step %d.",
            path,
            boundaries[-1],
            trainer.train_steps,
        )


def _runtime_mistakes(params: cfg.ExperimentConfig, evaluates: bool) -> Iterator[str]:
    runtime = params.runtime
    strategy = runtime.distribution_strategy.lower()
    yield from _choice("runtime.distribution_strategy", strategy, STRATEGIES)
    precision = runtime.mixed_precision_dtype
    if precision not in PRECISIONS:
        # tf_keras calls its policies mixed_float16 and mixed_bfloat16.
        meant = str(precision).removeprefix("mixed_")
        yield (
            f"runtime.mixed_precision_dtype is {precision!r}"
            f"{did_you_mean(meant, PRECISIONS)}; it must be one of float32, float16, "
            "bfloat16."
        )
    if precision == "float16" and params.trainer.optimizer_config.ema is not None:
        yield (
            "trainer.optimizer_config.ema does not work with "
            "runtime.mixed_precision_dtype float16; use bfloat16 or float32, or leave "
            "ema out."
        )
    visible_gpus = len(tf.config.list_physical_devices("GPU"))
    if strategy in STRATEGIES[:3] and not 0 <= runtime.num_gpus <= visible_gpus:
        yield (
            f"runtime.num_gpus is {runtime.num_gpus}; it must be from 0 (the CPU) to "
            f"{visible_gpus}, the number of GPUs that TensorFlow sees here."
        )
    if strategy in STRATEGIES[:2] and runtime.num_gpus > 1:
        yield (
            f"runtime.num_gpus is {runtime.num_gpus}; it must be 0 or 1 with {strategy}"
            ". Use mirrored for several."
        )
    if strategy == "parameter_server" and evaluates:
        yield (
            "runtime.distribution_strategy parameter_server cannot evaluate; train "
            "with --mode=train and evaluate in a run of its own with one_device."
        )


def _scoring_mistakes(params: cfg.ExperimentConfig, evaluates: bool) -> Iterator[str]:
    """What AP needs: a metric that exists, and all people in one place."""
    trainer, data = params.trainer, params.task.validation_data
    if trainer.best_checkpoint_export_subdir:
        # A detector's boxes have no targets, so there is no loss.
        losses = [] if data.detections_file else ["validation_loss"]
        yield from _choice(
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


def _unset_type(path: str, one_of: hyperparams.OneOfConfig) -> Iterator[str]:
    if one_of.type is None:
        yield f"{path}.type is null; it must name one of the keys of {path}."


def _choice(path: str, received: Any, allowed: Iterable[str]) -> Iterator[str]:
    allowed = list(allowed)
    if received not in allowed:
        yield _not_one_of(path, received, allowed)


def _not_one_of(path: str, received: Any, allowed: list[str]) -> str:
    return (
        f"{path} is {received!r}{did_you_mean(received, allowed)}; it must be one of "
        f"{', '.join(allowed)}."
    )


def _share(path: str, config: Any, name: str) -> Iterator[str]:
    value = getattr(config, name)
    if not 0 <= value <= 1:
        yield f"{path} is {value}; it must be in [0, 1]."


def _missing_file(path: str, file: str) -> str:
    return f"{path} is {file!r}, but there is no such file."
