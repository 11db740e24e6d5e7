"""Exports pose models."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.inputs import normalization
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.serving import verification
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.metadata import Metadata
from hrnet_tf.serving.pose.module import PoseModule
from hrnet_tf.serving.predictor import PosePredictor
from hrnet_tf.tasks.pose import PoseTask


class PoseExporter(Exporter):
    """See `Exporter`; samples are crops."""

    maps = "heatmaps"
    sample = "crop"

    def __init__(self, task: PoseTask, flip_test: bool):
        self.task = task
        self.metadata = Metadata.of_task(task.task_config, task.skeleton, flip_test)
        height, width = self.metadata.input_size
        self.name = f"pose_{self.metadata.model}_{height}x{width}"
        self.circumstances = (
            f"boxes: {task.box_source}, flip test: {'on' if flip_test else 'off'}"
        )

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        config = self.task.task_config
        people = pose_input.PoseInput(
            data, config.codec, config.model.input_size, self.task.skeleton
        )
        for person in people.crop_people(people.images()).take(count):
            yield person["crop"].numpy()

    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        return tf.function(
            lambda crops: self.task.predict_heatmaps(
                model, normalization.normalize_image(crops)
            )
        )

    def module(self, model: tf_keras.Model) -> PoseModule:
        return PoseModule(model, self.metadata)

    def score_checkpoint(
        self, model: tf_keras.Model, max_images: int
    ) -> verification.Score:
        return verification.score_checkpoint(self.task, model, max_images)

    def score_exported(
        self,
        predictor: PosePredictor,
        checkpoint: verification.Score,
        max_images: int,
    ) -> verification.Score:
        return verification.score_exported(self.task, predictor, checkpoint, max_images)
