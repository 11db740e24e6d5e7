"""The configuration of the training for which a data set is looked at."""

from typing import Any

from official.core import config_definitions as cfg

from hrnet_tf.inspection.options import Options
from hrnet_tf.messages import UserError
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import TaskMistakes, validate


def read_task(
    options: Options,
    task_types: tuple[type[cfg.TaskConfig], ...],
    default: str,
    mistakes: TaskMistakes,
    kind: str,
) -> Any:
    """The task's configuration, checked but for its files.

    `default` is the experiment if none is named. Raises `UserError`.
    """
    experiment = options.experiment or default
    overrides = list(options.params_override)
    params = parse_config(experiment, options.config_file, overrides)
    if not isinstance(params.task, task_types):
        raise UserError(
            f"--experiment={experiment} does not train on this kind of data ({kind}); "
            f"the one for it is {default}, or one like it."
        )
    validate(params, None, mistakes)
    return params.task
