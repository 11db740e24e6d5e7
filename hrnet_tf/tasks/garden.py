"""What runs do with any task of the Garden, also those that this package lacks."""

from official.core import base_task, task_factory
from official.core import config_definitions as cfg
from official.vision.configs import image_classification as classification_config

from hrnet_tf.evaluation.report import Report
from hrnet_tf.tasks.classification import ClassificationTask


def get_task(config: cfg.TaskConfig, logging_dir: str | None = None) -> base_task.Task:
    """The task of a configuration: the registered one, or ours of the Garden's."""
    if type(config) is classification_config.ImageClassificationTask:
        return ClassificationTask(config, logging_dir)
    return task_factory.get_task(config, logging_dir=logging_dir)


def report(task: base_task.Task) -> Report:
    """What belongs beside the metrics of a task: on which data."""
    data = task.task_config.validation_data
    return Report(str(data.tfds_name or data.input_path))
