"""The trainer and where it runs, whatever the task."""

import logging
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.modeling import optimization
from official.modeling.optimization import optimizer_factory

from hrnet_tf.messages import did_you_mean
from hrnet_tf.tasks.evaluation import VALIDATION_LOSS
from hrnet_tf.training import devices
from hrnet_tf.training.devices import ALL_GPUS, LOCAL_STRATEGIES
from hrnet_tf.training.validation import choices, schedules

# How the gradients of several devices are added.
_REDUCTIONS = {
    "mirrored": ("nccl", "hierarchical_copy"),
    "multi_worker_mirrored": ("ring", "nccl"),
}
PRECISIONS = (None, "float32", "float16", "bfloat16")


def trainer_mistakes(params: cfg.ExperimentConfig, trains: bool) -> Iterator[str]:
    """Checks schedules and, for training, intervals."""
    trainer = params.trainer
    for name in ("optimizer", "learning_rate"):
        path = f"trainer.optimizer_config.{name}"
        yield from choices.unset_type_mistakes(
            path, getattr(trainer.optimizer_config, name)
        )
    yield from _optimizer_mistakes(trainer.optimizer_config)
    yield from schedules.mistakes(trainer, trains)
    yield from _loop_mistakes(trainer)
    if not trains:
        return
    yield from choices.above_0("trainer", trainer, "train_steps")
    yield from _profile_mistakes(trainer)
    yield from _repeatability_mistakes(params)
    if trainer.summary_interval % trainer.steps_per_loop:
        yield (
            f"trainer.summary_interval is {trainer.summary_interval}; it must be a "
            f"multiple of trainer.steps_per_loop, {trainer.steps_per_loop}."
        )


def _optimizer_mistakes(config: optimization.OptimizationConfig) -> Iterator[str]:
    """Checks that the Garden has the optimizer; of some it has only the keys."""
    classes = optimizer_factory.LEGACY_OPTIMIZERS_CLS
    kind = config.optimizer.type
    if kind is None:
        return
    if not isinstance(classes.get(kind), type):
        usable = [name for name, made in classes.items() if isinstance(made, type)]
        yield (
            f"trainer.optimizer_config.optimizer.type is {kind!r}, which the Model "
            f"Garden does not implement; it must be one of {', '.join(usable)}."
        )
        return
    section = config.optimizer.get()
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    clips = [name for name in names if getattr(section, name, None) is not None]
    if len(clips) > 1:
        yield (
            f"trainer.optimizer_config.optimizer.{kind} sets {' and '.join(clips)}; "
            "only one of them may be set, and the others null."
        )
    if config.ema is not None and not issubclass(
        classes[kind], tf_keras.optimizers.legacy.Optimizer
    ):
        yield (
            "trainer.optimizer_config.ema does not work with optimizer.type "
            f"{kind!r}, an optimizer of the newer kind; use another such as adam, "
            "adamw or sgd, or leave ema out."
        )


def _loop_mistakes(trainer: cfg.TrainerConfig) -> Iterator[str]:
    """Checks switches of loops that Orbit cannot combine."""
    for part in ("train", "eval"):
        loop, function = f"{part}_tf_while_loop", f"{part}_tf_function"
        if getattr(trainer, loop) and not getattr(trainer, function):
            yield (
                f"trainer.{loop} is true and trainer.{function} false; a loop of "
                "TensorFlow's needs a function of TensorFlow's: set both to false, or "
                f"{function} to true."
            )


def _profile_mistakes(trainer: cfg.TrainerConfig) -> Iterator[str]:
    steps = getattr(trainer, "profile_steps", [])
    if steps and not (
        len(steps) == 2 and 0 < steps[0] < steps[1] <= trainer.train_steps
    ):
        yield (
            f"trainer.profile_steps is {steps}; it must be [first, last], above 0 and "
            f"up to {trainer.train_steps} (trainer.train_steps), or empty."
        )
    elif steps:
        loop = trainer.steps_per_loop
        begin = -(-steps[0] // loop) * loop
        if begin >= trainer.train_steps:
            yield (
                f"trainer.profile_steps is {steps}, but profiles begin after a loop of "
                f"trainer.steps_per_loop, {loop}: this one at step {begin}, when "
                "training is over. Lower one of the two, or train longer."
            )


def _repeatability_mistakes(params: cfg.ExperimentConfig) -> Iterator[str]:
    """Checks that a training can follow a seed, if it has one."""
    # Experiments of the Garden have neither field.
    seed = getattr(params.trainer, "seed", None)
    if seed is None:
        if getattr(params.trainer, "deterministic", False):
            yield (
                "trainer.deterministic is true, but trainer.seed is null; give a "
                "number, the same for every run that is to be the same."
            )
        return
    if params.task.train_data.enable_tf_data_service:
        yield (
            f"trainer.seed is {seed}, but task.train_data.enable_tf_data_service is "
            "true: all its workers would draw the same numbers, and hand out data in "
            "any order; set seed to null, or the latter to false."
        )
    if params.runtime.distribution_strategy.lower() == "parameter_server":
        yield (
            f"trainer.seed is {seed}, but runtime.distribution_strategy is "
            "parameter_server: all its workers would draw the same numbers, and change "
            "weights in any order; set seed to null, or take another strategy."
        )


def best_metric_mistakes(
    trainer: cfg.TrainerConfig,
    metrics: Iterable[str],
    lower_is_better: Callable[[str], bool] = lambda metric: False,
) -> Iterator[str]:
    """Checks that the best checkpoint is chosen by a metric that the task reports.

    And in its sense: the loss and metrics that are better the lower choose the lowest.
    """
    if not trainer.best_checkpoint_export_subdir:
        return
    metric, allowed = trainer.best_checkpoint_eval_metric, list(metrics)
    yield from choices.one_of("trainer.best_checkpoint_eval_metric", metric, allowed)
    is_error = metric == VALIDATION_LOSS or lower_is_better(metric)
    sense = "lower" if is_error else "higher"
    received = trainer.best_checkpoint_metric_comp
    if metric in allowed and received != sense:
        yield (
            f"trainer.best_checkpoint_metric_comp is {received!r}, but the {sense} "
            f"{metric} is, the better; set it to {sense}."
        )


def runtime_mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks the strategy, its devices and the precision."""
    runtime = params.runtime
    strategy = runtime.distribution_strategy.lower()
    if runtime.tpu and strategy != "tpu":
        yield (
            f"runtime.tpu (--tpu) is {runtime.tpu!r}, but "
            f"runtime.distribution_strategy is {strategy}; set it to tpu, or leave the "
            "address out."
        )
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
    reductions = _REDUCTIONS.get(strategy)
    if reductions and runtime.all_reduce_alg not in (None, *reductions):
        yield (
            f"runtime.all_reduce_alg is {runtime.all_reduce_alg!r}; with {strategy} it "
            f"must be {' or '.join(reductions)}, or null."
        )
    yield from _device_mistakes(params, strategy, trains, evaluates)
    if trains or evaluates:
        _warn_of_slow_precision(runtime, strategy)
    if strategy == "parameter_server" and evaluates:
        yield (
            "runtime.distribution_strategy parameter_server cannot evaluate; train "
            "with --mode=train and evaluate in a run of its own with one_device."
        )


def _device_mistakes(
    params: cfg.ExperimentConfig, strategy: str, trains: bool, evaluates: bool
) -> Iterator[str]:
    num_gpus = params.runtime.num_gpus
    visible_gpus = len(tf.config.list_physical_devices("GPU"))
    if strategy in LOCAL_STRATEGIES and not ALL_GPUS <= num_gpus <= visible_gpus:
        yield (
            f"runtime.num_gpus is {num_gpus}; it must be from 0 (the CPU) to "
            f"{visible_gpus}, the number of GPUs that TensorFlow sees here, or "
            f"{ALL_GPUS} for all of them."
        )
    if strategy in ("off", "one_device") and num_gpus > 1:
        yield (
            f"runtime.num_gpus is {num_gpus}; it must be 0 or 1 with {strategy}"
            ". Use mirrored for several."
        )
    if strategy == "mirrored" and num_gpus > 1:
        yield from _batch_mistakes(params, trains, evaluates)


def _batch_mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks that every GPU gets as large a share of a batch as the others."""
    num_gpus = params.runtime.num_gpus
    mode = "train" * trains + "eval" * evaluates
    batches = devices.batch_sizes(params, mode)
    fewer = devices.largest_share(batches.values(), num_gpus)
    for key, size in batches.items():
        if size % num_gpus:
            yield (
                f"{key} is {size}; it must be a multiple of runtime.num_gpus, "
                f"{num_gpus}, or use fewer: runtime.num_gpus={fewer}."
            )


def _warn_of_slow_precision(runtime: cfg.RuntimeConfig, strategy: str) -> None:
    precision = runtime.mixed_precision_dtype
    on_cpu = strategy in LOCAL_STRATEGIES and runtime.num_gpus == 0
    if on_cpu and devices.is_slow_on_cpu(precision):
        logging.getLogger(__name__).warning(
            "runtime.mixed_precision_dtype is %s, but this CPU has no instructions for "
            "it: float32 is many times faster here.",
            precision,
        )
