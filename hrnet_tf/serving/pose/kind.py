"""Pose: a person's keypoints, by a network that looks at people one by one."""

from typing import Any

from hrnet_tf.configs.pose import PoseTask as PoseConfig
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.pose.exporter import PoseExporter
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.tasks.pose import PoseTask
from hrnet_tf.training.validation import pose as validation


def _page(predictor: PosePredictor, *options: Any) -> Any:
    from hrnet_tf.serving.pose.page import build_page  # Gradio is optional.

    return build_page(predictor, *options)


POSE = Kind(
    name="pose",
    mistakes=validation.mistakes,
    report=PoseTask.report,
    configs=(PoseConfig,),
    experiments=("hrnet_pose_coco",),
    exporter=PoseExporter,
    page=_page,
)
