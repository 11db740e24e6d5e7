"""What the exporters of all kinds of models have to offer."""

import abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task
from official.core import config_definitions as cfg

from hrnet_tf.serving.graphs import MobileModule
from hrnet_tf.serving.metadata import NetworkMetadata
from hrnet_tf.serving.verification import Score
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.training.run_file import RunFile
from hrnet_tf.training.validation.inputs import pattern_mistakes

# Inputs whose maps are compared one by one.
_COMPARED_INPUTS = 4


@dataclasses.dataclass(frozen=True)
class Options:
    """Choices that only some kinds of models have; see `Exporter.options`.

    Attributes:
        flip_test: Whether the model averages with the mirrored input.
        heatmaps: Whether a .tflite file puts out heatmaps, too.
        logits: Whether a .tflite file puts out logits, too.
        input_size: (height, width) that a .tflite file takes; None for the usual.
        batch_size: How many inputs a .tflite file takes at once.
        candidates: How many boxes a .tflite file compares; None for the usual.
    """

    flip_test: bool = False
    heatmaps: bool = False
    logits: bool = False
    input_size: tuple[int, int] | None = None
    batch_size: int = 1
    candidates: int | None = None

    def given(self) -> list[str]:
        """The names of those that differ from their defaults."""
        return [
            field.name
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]


class Timed(NamedTuple):
    """What the latency of a checkpoint, a SavedModel and a .tflite file is of.

    Attributes:
        checkpoint: What a checkpoint computes.
        saved_model: What a SavedModel computes.
        tflite: What a .tflite file computes.
    """

    checkpoint: str
    saved_model: str
    tflite: str


class Exporter(abc.ABC):
    """Exports and verifies the models of one kind.

    Attributes:
        options: The names of the `Options` that this kind can be exported with.
        maps: What its network puts out: heatmaps, logits or pyramids.
        sample: What one input is: a crop or an image.
        signature: The signature of a SavedModel, and its input, that latency is
            measured with.
        has_bfloat16: Whether the network can compute in bfloat16, and puts out float32.
        timed: What the latencies are of, in words.
        task: The task.
        given: What the model is exported with.
        max_images: How many validation images are compared on; 0 for all.
        run: What the run of the model says about it, if it is there.
        metadata: The description of the exported model.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    maps: ClassVar[str]
    sample: ClassVar[str] = "image"
    signature: ClassVar[tuple[str, str]] = ("image", "images")
    has_bfloat16: ClassVar[bool] = False
    timed: ClassVar[Timed]
    task: base_task.Task
    metadata: NetworkMetadata

    def __init__(
        self,
        task: base_task.Task,
        given: Options,
        max_images: int = 0,
        run: RunFile | None = None,
    ):
        self.task = task
        self.given = given
        self.max_images = max_images
        self.run = run
        self.metadata = self.describe()

    @classmethod
    @abc.abstractmethod
    def configure(cls, config: cfg.TaskConfig, given: Options) -> None:
        """Makes evaluations of a task predict as the exported model will."""

    @abc.abstractmethod
    def describe(self) -> NetworkMetadata:
        """The description of the model that the task makes."""

    @property
    def model_type(self) -> str:
        """The beginning of a .tflite file's name."""
        return self.metadata.task

    @property
    @abc.abstractmethod
    def circumstances(self) -> str:
        """How predictions are made and scored, in words."""

    @abc.abstractmethod
    def read_samples(self, data: cfg.DataConfig, count: int) -> Iterator[np.ndarray]:
        """Yields the first inputs of some data as a .tflite file takes them.

        uint8 [H, W, 3], without augmentation.
        """

    @abc.abstractmethod
    def network(self, model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
        """The network as an evaluation runs it: inputs uint8 [N, H, W, 3] to maps."""

    @abc.abstractmethod
    def module(self, model: tf_keras.Model) -> MobileModule:
        """The graphs to export; takes the model over."""

    @abc.abstractmethod
    def score_checkpoint(self, model: tf_keras.Model) -> Score:
        """Evaluates the model on the validation images."""

    @abc.abstractmethod
    def score_exported(self, predictor: Any, checkpoint: Score) -> Score:
        """Evaluates an exported model on the images that the checkpoint saw."""

    @property
    def name(self) -> str:
        """The name of a .tflite file without its suffix."""
        height, width = self.metadata.input_size
        count = f"_batch{self.given.batch_size}" if self.given.batch_size > 1 else ""
        return f"{self.model_type}_{self.metadata.model}_{height}x{width}{count}"

    def compared_samples(self, has_data: bool) -> np.ndarray:
        """A few inputs [N, H, W, 3], or noise if there is no data, to compare maps."""
        if has_data:
            data = self.task.task_config.validation_data
            return np.stack(list(self.read_samples(data, _COMPARED_INPUTS)))
        shape = (_COMPARED_INPUTS, *self.metadata.input_size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def calibration_samples(self, count: int) -> list[np.ndarray]:
        """Training inputs as the network sees them, without augmentation.

        Raises:
            ConfigError: If there is no training data, or nothing in it.
        """
        data = self.task.task_config.train_data.replace(is_training=False)
        key = "task.train_data.input_path"
        advice = "int8 is calibrated with training data: write records, or set the path"
        mistakes = list(pattern_mistakes(key, data.input_path, advice))
        if not data.input_path:
            mistakes = [f"{key} is empty; {advice}."]
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        if samples := list(self.read_samples(data, count)):
            return samples
        raise ConfigError(f"{key}: {data.input_path} holds no {self.sample}; {advice}.")
