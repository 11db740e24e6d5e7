"""Exports detectors."""

import logging
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.data.records.instances import read_images
from hrnet_tf.serving.detection import mobile, verification
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.module import DetectionModule, normalize, pyramid
from hrnet_tf.serving.detection.predictor import DetectionPredictor, fit_image
from hrnet_tf.serving.exporter import Exporter, Options, Timed
from hrnet_tf.serving.formats import CANDIDATES
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.detection import DetectionTask
from hrnet_tf.training.experiment import ConfigError

_log = logging.getLogger(__name__)


class DetectionExporter(Exporter):
    """See `Exporter`; samples are images."""

    options = frozenset({"candidates"})
    maps = "pyramids"
    timed = Timed(
        "backbone and pyramid",
        "resizing, backbone, pyramid, heads",
        "backbone, pyramid, heads",
    )
    task: DetectionTask
    metadata: DetectionMetadata

    @property
    def model_type(self) -> str:
        return self.metadata.detector

    @classmethod
    def configure(cls, config: cfg.TaskConfig, given: Options) -> None:
        """See `Exporter`; an evaluation predicts like this already."""
        if given.candidates is not None and not mobile.is_covered(config):
            raise ConfigError(
                "--candidates goes with RetinaNet and with suppression within each "
                "class that is not soft; this detector suppresses boxes in loops."
            )

    def describe(self) -> DetectionMetadata:
        config = self.task.task_config
        run = self.run.categories if self.run else {}
        categories = run or self.task.read_categories()
        if not categories:
            numbers = range(1, config.model.num_classes)
            categories = {number: str(number) for number in numbers}
            _log.warning(
                "The classes are named by their numbers, since there are no names in "
                "the run, in task.annotation_file or in the training records."
            )
        return DetectionMetadata.of_task(config, categories)

    @property
    def circumstances(self) -> str:
        return "box AP"

    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        for example in read_images(data).take(count):
            yield fit_image(example["image"].numpy(), self.metadata.input_size)[0]

    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        return tf.function(lambda images: pyramid(model, normalize(images)))

    def module(self, model: tf_keras.Model) -> DetectionModule:
        candidates = self.given.candidates or CANDIDATES
        return DetectionModule(self.task, model, self.metadata, candidates)

    def score_checkpoint(self, model: tf_keras.Model) -> Score:
        return verification.score_checkpoint(self.task, model, self.max_images)

    def score_exported(self, predictor: DetectionPredictor, checkpoint: Score) -> Score:
        return verification.score_exported(self.task, predictor, checkpoint)
