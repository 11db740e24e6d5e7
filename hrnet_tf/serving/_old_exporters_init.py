"""What `python -m hrnet_tf.export` does for models of one task or another."""

from official.core import config_definitions as cfg
from official.core import task_factory

from hrnet_tf.serving.detection.exporter import DetectionExporter
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.pose.exporter import PoseExporter
from hrnet_tf.serving.segmentation.exporter import SegmentationExporter
from hrnet_tf.tasks.detection import DetectionTask
from hrnet_tf.tasks.segmentation import SegmentationTask
from hrnet_tf.training.experiment import ConfigError


def exporter_of(
    params: cfg.ExperimentConfig,
    flip_test: bool,
    input_size: tuple[int, int] | None = None,
) -> Exporter:
    """Returns the exporter for an experiment.

    Args:
        params: The experiment, see `configuration.read_config`.
        flip_test: Whether the model is to average with the mirrored input.
        input_size: (height, width) that a .tflite file is to take, where the task does
            not fix it.

    Raises:
        ConfigError: If the task does.
    """
    task = task_factory.get_task(params.task)
    if isinstance(task, SegmentationTask):
        return SegmentationExporter(task, flip_test, input_size)
    if input_size:
        raise ConfigError(
            "--input_size is for segmentation models alone: inputs of others are of "
            "task.model.input_size."
        )
    if isinstance(task, DetectionTask):
        return DetectionExporter(task)
    return PoseExporter(task, flip_test)
