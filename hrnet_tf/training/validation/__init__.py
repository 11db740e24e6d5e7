"""One check of a whole experiment, before the first step.

The Garden accepts most mistakes silently and fails on them hours later, or not at all.
`validate` finds all of them at once; `training.experiment` has already refused keys
that do not exist. Every check yields a sentence per mistake.

The module of a task's name offers `mistakes(params, trains, evaluates)`; tasks of the
Garden without such a module use `garden.mistakes`.
"""

import copy
from collections.abc import Callable, Iterable

from official.core import config_definitions as cfg

from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.training.field_types import type_mistakes
from hrnet_tf.training.modes import MODES
from hrnet_tf.training.validation import accelerators
from hrnet_tf.training.validation.choices import one_of
from hrnet_tf.training.validation.inputs import init_checkpoint_mistakes
from hrnet_tf.training.validation.ranges import value_mistakes
from hrnet_tf.training.validation.trainer import runtime_mistakes, trainer_mistakes

# Takes an experiment, whether it is trained and whether it is evaluated; returns a
# sentence for each mistake.
TaskMistakes = Callable[[cfg.ExperimentConfig, bool, bool], Iterable[str]]


def validate(
    params: cfg.ExperimentConfig,
    mode: str | None,
    task_mistakes: TaskMistakes,
    continues: bool = False,
) -> None:
    """Checks an experiment with all changes applied.

    `mode`, one of `MODES`, decides which files are needed; None needs none.
    `task_mistakes` are those of its kind; `continues` says that a training goes on from
    its checkpoint. Raises `ConfigError` with one sentence and line per mistake.
    """
    checked = _without_best(params) if mode == "eval" else params
    # Values of a wrong type or size would only confuse the checks of what they mean.
    mistakes = list(type_mistakes(params, value_mistakes=value_mistakes))
    if not mistakes:
        trains, evaluates = "train" in (mode or ""), "eval" in (mode or "")
        # An evaluation has a checkpoint of its own.
        starts = (trains and not continues) or mode is None
        mistakes = [
            *([] if mode is None else one_of("--mode", mode, MODES)),
            *trainer_mistakes(params, trains),
            *runtime_mistakes(params, trains, evaluates),
            *accelerators.mistakes(params, trains, evaluates),
            *(init_checkpoint_mistakes(params.task) if starts else ()),
            *task_mistakes(checked, trains, evaluates),
        ]
    if mistakes:
        # Two checks may come upon one damaged record.
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))
    try:
        params.validate()
    except KeyError as error:
        raise ConfigError(f"A restriction of the experiment: {error.args[0]}") from None


def _without_best(params: cfg.ExperimentConfig) -> cfg.ExperimentConfig:
    """The same for an evaluation alone, which keeps no best checkpoint."""
    params = copy.deepcopy(params)
    params.trainer.best_checkpoint_export_subdir = ""
    return params
