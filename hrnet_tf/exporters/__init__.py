"""What `python -m hrnet_tf.export` does for models of one task or another."""

from official.core import config_definitions as cfg
from official.core import task_factory

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.experiment import ConfigError
from hrnet_tf.exporters.base import Exporter
from hrnet_tf.exporters.pose import PoseExporter
from hrnet_tf.exporters.segmentation import SegmentationExporter
from hrnet_tf.tasks.segmentation import SegmentationTask


def check_task(params: cfg.ExperimentConfig) -> None:
    """Refuses an experiment whose models cannot be exported.

    Raises:
        ConfigError: If it is of another task.
    """
    known = (pose_config.PoseTask, segmentation_config.SegmentationTask)
    if not isinstance(params.task, known):
        raise ConfigError(
            "The experiment is neither of pose nor of our segmentation task, and only "
            "their models can be exported."
        )


def exporter_of(
    params: cfg.ExperimentConfig,
    flip_test: bool,
    input_size: tuple[int, int] | None = None,
) -> Exporter:
    """Returns the exporter for an experiment.

    Args:
        params: The experiment, see `check_task`.
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
            "--input_size is not for pose models: their crops are of "
            "task.model.input_size."
        )
    return PoseExporter(task, flip_test)
