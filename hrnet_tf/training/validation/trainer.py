"""The trainer and where it runs, whatever the task."""

import logging
from collections.abc import Iterable, Iterator

import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.messages import did_you_mean
from hrnet_tf.training.validation import choices

STRATEGIES = (
    "off",
    "one_device",
    "mirrored",
    "multi_worker_mirrored",
    "parameter_server",
    "tpu",
)
PRECISIONS = (None, "float32", "float16", "bfloat16")


def trainer_mistakes(params: cfg.ExperimentConfig, trains: bool) -> Iterator[str]:
    """Checks schedules and, for training, intervals."""
    trainer = params.trainer
    for name in ("optimizer", "learning_rate"):
        path = f"trainer.optimizer_config.{name}"
        yield from choices.unset_type_mistakes(
            path, getattr(trainer.optimizer_config, name)
        )
    yield from _learning_rate_mistakes(trainer)
    if trainer.best_checkpoint_export_subdir:
        yield from choices.one_of(
            "trainer.best_checkpoint_metric_comp",
            trainer.best_checkpoint_metric_comp,
            ("higher", "lower"),
        )
    if not trains:
        return
    yield from choices.in_range(
        "trainer",
        trainer,
        choices.ABOVE_0,
        "train_steps",
        "steps_per_loop",
        "summary_interval",
        "checkpoint_interval",
        "validation_interval",
    )
    if trainer.steps_per_loop > 0 and trainer.summary_interval % trainer.steps_per_loop:
        yield (
            f"trainer.summary_interval is {trainer.summary_interval}; it must be a "
            f"multiple of trainer.steps_per_loop, {trainer.steps_per_loop}."
        )


def best_metric_mistakes(
    trainer: cfg.TrainerConfig, metrics: Iterable[str]
) -> Iterator[str]:
    """Checks that the best checkpoint is chosen by a metric that the task reports."""
    if trainer.best_checkpoint_export_subdir:
        yield from choices.one_of(
            "trainer.best_checkpoint_eval_metric",
            trainer.best_checkpoint_eval_metric,
            metrics,
        )


def _learning_rate_mistakes(trainer: cfg.TrainerConfig) -> Iterator[str]:
    learning_rate = trainer.optimizer_config.learning_rate
    path = "trainer.optimizer_config.learning_rate"
    # Only `staircase` may be null, which turns it off.
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
        logging.getLogger(__name__).warning(
            "%s.stepwise.boundaries go up to step %d, but training ends at step %d.",
            path,
            boundaries[-1],
            trainer.train_steps,
        )


def runtime_mistakes(params: cfg.ExperimentConfig, evaluates: bool) -> Iterator[str]:
    """Checks the strategy, its devices and the precision."""
    runtime = params.runtime
    strategy = runtime.distribution_strategy.lower()
    yield from choices.one_of("runtime.distribution_strategy", strategy, STRATEGIES)
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
    if strategy == "mirrored" and runtime.num_gpus > 1:
        yield from _batch_mistakes(params, evaluates)
    if strategy == "parameter_server" and evaluates:
        yield (
            "runtime.distribution_strategy parameter_server cannot evaluate; train "
            "with --mode=train and evaluate in a run of its own with one_device."
        )


def _batch_mistakes(params: cfg.ExperimentConfig, evaluates: bool) -> Iterator[str]:
    """Checks that every GPU gets as large a share of a batch as the others."""
    names = ("train_data", "validation_data") if evaluates else ("train_data",)
    for name in names:
        size = getattr(getattr(params.task, name), "global_batch_size", 0)
        if size > 0 and size % params.runtime.num_gpus:
            yield (
                f"task.{name}.global_batch_size is {size}; it must be a multiple of "
                f"runtime.num_gpus, {params.runtime.num_gpus}."
            )
