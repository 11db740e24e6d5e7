"""Exports detectors."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.records.instances import read_images
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.serving.detection import verification as detection_verification
from hrnet_tf.serving.detection.module import DetectionModule, normalize, pyramid
from hrnet_tf.serving.detection.predictor import fit_image
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.metadata import DetectionMetadata
from hrnet_tf.serving.predictor import DetectionPredictor
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.detection import DetectionTask


class DetectionExporter(Exporter):
    """See `Exporter`; samples are images."""

    maps = "pyramids"
    sample = "image"

    def __init__(self, task: DetectionTask):
        self.task = task
        try:
            categories = task.build_evaluator().categories
        except AnnotationFileError:
            # Without its validation data, a detector's classes have numbers alone.
            numbers = range(1, task.task_config.model.num_classes)
            categories = {number: str(number) for number in numbers}
        self.metadata = DetectionMetadata.of_task(task.task_config, categories)
        height, width = self.metadata.input_size
        detector = self.metadata.detector
        self.name = f"{detector}_{self.metadata.model}_{height}x{width}"
        self.circumstances = "box AP"

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        for example in read_images(data).take(count):
            yield fit_image(example["image"].numpy(), self.metadata.input_size)[0]

    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        return tf.function(lambda images: pyramid(model, normalize(images)))

    def module(self, model: tf_keras.Model) -> DetectionModule:
        return DetectionModule(self.task, model, self.metadata)

    def score_checkpoint(self, model: tf_keras.Model, max_images: int) -> Score:
        return detection_verification.score_checkpoint(self.task, model, max_images)

    def score_exported(
        self, predictor: DetectionPredictor, checkpoint: Score, max_images: int
    ) -> Score:
        del max_images  # Those that the checkpoint saw.
        return detection_verification.score_exported(self.task, predictor, checkpoint)
