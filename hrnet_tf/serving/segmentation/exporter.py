"""Exports segmentation models."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.ops import dense_prediction
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.metadata import SegmentationMetadata
from hrnet_tf.serving.predictor import SegmentationPredictor
from hrnet_tf.serving.segmentation import verification as segmentation_verification
from hrnet_tf.serving.segmentation.module import SegmentationModule
from hrnet_tf.serving.segmentation.predictor import fit_image
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.segmentation import SegmentationTask


class SegmentationExporter(Exporter):
    """See `Exporter`; samples are images."""

    maps = "logits"
    sample = "image"

    def __init__(
        self,
        task: SegmentationTask,
        flip_test: bool,
        input_size: tuple[int, int] | None,
    ):
        self.task = task
        self.metadata = SegmentationMetadata.of_task(
            task.task_config, task.label_set, flip_test, input_size
        )
        height, width = self.metadata.input_size
        self.name = f"segmentation_{self.metadata.model}_{height}x{width}"
        self.circumstances = task.protocol

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        for example in self.task.read(data).images().take(count):
            yield fit_image(example["image"].numpy(), self.metadata)[0]

    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        def infer(images: tf.Tensor) -> tf.Tensor:
            return model(images, training=False)["logits"]

        if self.metadata.flip_test:
            permutation = self.task.label_set.flip_permutation
            infer = dense_prediction.with_mirrored(infer, permutation)
        return tf.function(lambda images: infer(normalize_image(images)))

    def module(self, model: tf_keras.Model) -> SegmentationModule:
        return SegmentationModule(model, self.metadata)

    def score_checkpoint(self, model: tf_keras.Model, max_images: int) -> Score:
        return segmentation_verification.score_checkpoint(self.task, model, max_images)

    def score_exported(
        self, predictor: SegmentationPredictor, checkpoint: Score, max_images: int
    ) -> Score:
        del checkpoint  # The first images are the same without it.
        return segmentation_verification.score_exported(
            self.task, predictor, max_images
        )
