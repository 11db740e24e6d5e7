"""Images of a folder taken for the frames of a video, whose people are followed."""

from typing import Any

import numpy as np

from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.predictor import Prediction, Predictor
from hrnet_tf.serving.tracking.follower import Follower


class SequencePredictor(Predictor[Prediction]):
    """A model that is shown images one by one and in order, and follows people."""

    unit = "people"

    def __init__(
        self, model: Predictor[Any], follower: Follower, frames_per_second: float
    ):
        """Follows with a model's follower images that were taken at this rate."""
        self.metadata, self.style = model.metadata, model.style
        self._sources = model.sources
        self._follower = follower
        self._rate = frames_per_second
        self._count = 0

    @property
    def sources(self) -> tuple[str, ...]:
        return self._sources

    def predict_image(
        self, image: np.ndarray, boxes: Boxes | None = None
    ) -> Prediction:
        seconds = self._count / self._rate
        self._count += 1
        return self._follower.look(image, seconds, boxes)
