"""Exports pose models."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.inputs import normalization
from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.serving.exporter import Exporter, Options, Timed
from hrnet_tf.serving.pose import verification
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.pose.module import PoseModule
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.pose import PoseTask


class PoseExporter(Exporter):
    """See `Exporter`; samples are crops."""

    options = frozenset({"flip_test", "heatmaps", "batch_size"})
    maps = "heatmaps"
    sample = "crop"
    signature = ("crops", "crops")
    has_bfloat16 = True
    timed = Timed("network", "network, decoding", "network, decoding")
    task: PoseTask
    metadata: PoseMetadata

    @classmethod
    def configure(cls, config: cfg.TaskConfig, given: Options) -> None:
        config.evaluation.override({"flip_test": given.flip_test})

    def describe(self) -> PoseMetadata:
        return PoseMetadata.of_task(
            self.task.task_config,
            self.task.skeleton,
            self.given.flip_test,
            self.given.batch_size,
        )

    @property
    def circumstances(self) -> str:
        flip_test = "on" if self.given.flip_test else "off"
        return f"boxes: {self.task.box_source}, flip test: {flip_test}"

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        config = self.task.task_config
        people = PoseInput(
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

    def score_checkpoint(self, model: tf_keras.Model) -> Score:
        return verification.score_checkpoint(self.task, model, self.max_images)

    def score_exported(self, predictor: PosePredictor, checkpoint: Score) -> Score:
        return verification.score_exported(
            self.task, predictor, checkpoint, self.max_images
        )
