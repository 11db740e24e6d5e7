"""Exports segmentation models."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.ops import dense_prediction
from hrnet_tf.serving.exporter import Exporter, Options, Timed
from hrnet_tf.serving.segmentation import verification
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata
from hrnet_tf.serving.segmentation.module import SegmentationModule
from hrnet_tf.serving.segmentation.predictor import SegmentationPredictor, fit_image
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.segmentation import SegmentationTask


class SegmentationExporter(Exporter):
    """See `Exporter`; samples are images."""

    options = frozenset({"flip_test", "logits", "input_size"})
    maps = "logits"
    timed = Timed("network", "resizing, network, classes", "network, classes")
    task: SegmentationTask
    metadata: SegmentationMetadata

    @classmethod
    def configure(cls, config: cfg.TaskConfig, given: Options) -> None:
        config.evaluation.override(
            {"flip_test": given.flip_test, "scales": [1.0], "window": []}
        )

    def describe(self) -> SegmentationMetadata:
        return SegmentationMetadata.of_task(
            self.task.task_config,
            self.task.label_set,
            self.given.flip_test,
            self.given.input_size,
        )

    @property
    def circumstances(self) -> str:
        return self.task.protocol

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        for example in self.task.read(data).images().take(count):
            yield fit_image(example["image"].numpy(), self.metadata)[0]

    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        """See `Exporter`."""

        def logits(images: tf.Tensor) -> tf.Tensor:
            return model(images, training=False)["logits"]

        infer: dense_prediction.Network = logits
        if self.metadata.flip_test:
            permutation = self.task.label_set.flip_permutation
            infer = dense_prediction.with_mirrored(logits, permutation)
        return tf.function(lambda images: infer(normalize_image(images)))

    def module(self, model: tf_keras.Model) -> SegmentationModule:
        return SegmentationModule(model, self.metadata)

    def score_checkpoint(self, model: tf_keras.Model) -> Score:
        return verification.score_checkpoint(self.task, model, self.max_images)

    def score_exported(
        self, predictor: SegmentationPredictor, checkpoint: Score
    ) -> Score:
        return verification.score_exported(self.task, predictor, checkpoint.count)
