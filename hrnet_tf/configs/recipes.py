"""What the experiments of all tasks have in common."""

import dataclasses
from typing import Any

from official.core import config_definitions as cfg
from official.modeling import optimization


@dataclasses.dataclass
class Trainer(cfg.TrainerConfig):
    """The Garden's trainer, which can be profiled, and whose runs can be repeated.

    Attributes:
        profile_steps: [first, last] step to profile, rounded up to whole loops of
            `steps_per_loop`; empty for none. Each in [1, 1e+12].
        seed: Of weights, the order of data and its augmentation. Null draws one, as it
            must with a tf.data service or parameter servers. In [0, 4294967295].
        deterministic: Whether operations are repeatable to the bit, which takes longer:
            with the same `seed` and machine, runs are the same. Needs a `seed`.
    """

    profile_steps: list[int] = dataclasses.field(default_factory=list)
    seed: int | None = None
    deterministic: bool = False


def experiment(
    task: cfg.TaskConfig,
    *,
    train_steps: int,
    checkpoint_interval: int,
    validation_interval: int,
    metric: str,
    lower_is_better: bool = False,
    optimizer: dict[str, Any],
    learning_rate: dict[str, Any],
    warmup: dict[str, Any] | None = None,
) -> cfg.ExperimentConfig:
    """An experiment on several GPUs that keeps its best and its latest checkpoints.

    Intervals are in steps; the best checkpoint has the highest `metric`, or the lowest
    if `lower_is_better`. The fields of `optimizer`, `learning_rate` and `warmup` stand
    under the name of their type alone: {"sgd": {"momentum": 0.9}}.
    """
    choices = {"optimizer": optimizer, "learning_rate": learning_rate}
    if warmup:
        choices["warmup"] = warmup
    return cfg.ExperimentConfig(
        task=task,
        trainer=Trainer(
            train_steps=train_steps,
            steps_per_loop=100,
            summary_interval=100,
            checkpoint_interval=checkpoint_interval,
            validation_interval=validation_interval,
            validation_steps=-1,
            max_to_keep=2,
            best_checkpoint_export_subdir="best_checkpoint",
            best_checkpoint_eval_metric=metric,
            best_checkpoint_metric_comp="lower" if lower_is_better else "higher",
            optimizer_config=optimization.OptimizationConfig(
                {key: {"type": next(iter(one)), **one} for key, one in choices.items()}
            ),
        ),
        # All GPUs that are there, see training.devices.
        runtime=cfg.RuntimeConfig(distribution_strategy="mirrored", num_gpus=-1),
        restrictions=[
            "task.train_data.is_training != None",
            "task.validation_data.is_training != None",
        ],
    )


def stepwise(learning_rate: float, boundaries: list[int]) -> dict[str, Any]:
    """A schedule that divides the learning rate by ten at every boundary, in steps."""
    # Dividing by powers of ten gives the float that is written 5e-05, without an error
    # in the last digit.
    values = [learning_rate / 10**place for place in range(len(boundaries) + 1)]
    return {"stepwise": {"boundaries": boundaries, "values": values}}
