"""What we add to the Garden's image classification task."""

from official.core import base_task

from hrnet_tf.evaluation.report import Report


def report(task: base_task.Task) -> Report:
    """What belongs beside the metrics of any task of the Garden: on which data."""
    data = task.task_config.validation_data
    return Report(str(data.tfds_name or data.input_path))
