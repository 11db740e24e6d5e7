"""What the exporters of all tasks have to offer."""

import abc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf.serving.metadata import AnyMetadata
from hrnet_tf.serving.verification import Score
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.training.validation.inputs import pattern_mistakes

# Inputs whose maps are compared one by one.
COMPARED_INPUTS = 4


class Exporter(abc.ABC):
    """Exports and verifies the models of one task.

    Attributes:
        task: The task.
        metadata: The description of the exported model.
        maps: What its network puts out: heatmaps, logits or pyramids.
        sample: What it sees one of: a crop, or an image.
        name: The beginning of a .tflite file's name.
        circumstances: How predictions are made and scored, in words.
    """

    task: base_task.Task
    metadata: AnyMetadata
    maps: str
    sample: str
    name: str
    circumstances: str

    @abc.abstractmethod
    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        """Yields the first inputs of some data as a .tflite file takes them.

        uint8 [H, W, 3], without augmentation.
        """

    @abc.abstractmethod
    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        """What an evaluation makes of inputs uint8 [N, H, W, 3]: maps."""

    @abc.abstractmethod
    def module(self, model: tf_keras.Model) -> tf.Module:
        """The graphs to export, with `predict_maps`; takes the model over."""

    @abc.abstractmethod
    def score_checkpoint(self, model: tf_keras.Model, max_images: int) -> Score:
        """Evaluates the model on the first validation images, or with 0 on all."""

    @abc.abstractmethod
    def score_exported(
        self, predictor: Any, checkpoint: Score, max_images: int
    ) -> Score:
        """Evaluates an exported model on the same images."""

    def compared_samples(self, has_data: bool) -> np.ndarray:
        """A few inputs [N, H, W, 3], or noise if there is no data, to compare maps."""
        if has_data:
            data = self.task.task_config.validation_data
            return np.stack(list(self.read_samples(data, COMPARED_INPUTS)))
        shape = (COMPARED_INPUTS, *self.metadata.input_size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def calibration_samples(self, count: int) -> list[np.ndarray]:
        """Training inputs as the network sees them, without augmentation.

        Raises:
            ConfigError: If there is no training data.
        """
        data = self.task.task_config.train_data.replace(is_training=False)
        key = "task.train_data.input_path"
        advice = "int8 is calibrated with training data: write records, or set the path"
        mistakes = list(pattern_mistakes(key, data.input_path, advice))
        if not data.input_path:
            mistakes = [f"{key} is empty; {advice}."]
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return list(self.read_samples(data, count))
