"""What this package has for one kind of model; `kinds` lists them all."""

import dataclasses
from collections.abc import Callable
from typing import Any

from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf.evaluation.report import Report
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.predictor import Predictor
from hrnet_tf.tasks import garden as garden_tasks
from hrnet_tf.training.validation import TaskMistakes, garden


def _page(predictor: Predictor, *options: Any) -> Any:
    from hrnet_tf.serving.page import build_page  # Gradio is optional.

    return build_page(predictor, *options)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of model: pose, segmentation and so on.

    Attributes:
        name: What it is called, and the `task` in its models' hrnet_tf.json.
        mistakes: Checks an experiment before the first step. By default, what any task
            of the Garden needs.
        report: How an evaluation of a task is told. By default, as a list of metrics.
        configs: The configurations of its tasks.
        experiments: Experiments to try for a run that does not record its own.
        exporter: Exports what was trained; None where nothing is.
        page: Makes the page of `hrnet_tf.demo` for a predictor and, if given, the most
            pixels of an image. By default, one for models that need nothing but an
            image.
    """

    name: str
    mistakes: TaskMistakes = garden.mistakes
    report: Callable[[base_task.Task], Report] = garden_tasks.report
    configs: tuple[type[cfg.TaskConfig], ...] = ()
    experiments: tuple[str, ...] = ()
    exporter: type[Exporter] | None = None
    page: Callable[..., Any] = _page
