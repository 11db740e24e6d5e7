"""What all loaded models do alike: an image in, a prediction out.

predictor = kinds.load_predictor("exported/1")
prediction = predictor.predict(image)  # pose models: predict(image, boxes)
prediction.rows()  # as in results.json
prediction.draw(image)
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from hrnet_tf.data.files.person_boxes import PERSON_CATEGORY
from hrnet_tf.serving.interfaces import check_interface
from hrnet_tf.serving.loading import TFLITE_SIGNATURE, LoadedModel, LoadedTFLite
from hrnet_tf.serving.metadata import Metadata


@dataclasses.dataclass(frozen=True)
class Style:
    """How predictions are told and drawn.

    Attributes:
        category_id: The category of people in rows.
        keypoint_score_threshold: Keypoints that score at most this are not drawn.
        box_score_threshold: Objects that score less are not drawn.
        draw_boxes: Whether people's boxes and scores are drawn.
        full_legend: Whether a legend names all classes, not only those in the image:
            the frames of a video are of one size, and so is their legend.
    """

    category_id: int = PERSON_CATEGORY
    keypoint_score_threshold: float = 0.2
    box_score_threshold: float = 0.3
    draw_boxes: bool = True
    full_legend: bool = False


DEFAULT_STYLE = Style()


@dataclasses.dataclass(frozen=True)
class Boxes:
    """The people of an image, for a pose model.

    Attributes:
        boxes: [P, 4], x, y, width and height in pixels of the image. Boxes without a
            positive width and height are left out.
        scores: [P], how sure their detector is of them.
    """

    boxes: np.ndarray
    scores: np.ndarray

    @classmethod
    def of_whole(cls, image: np.ndarray) -> "Boxes":
        """One person who fills the image."""
        height, width = image.shape[:2]
        return cls(np.array([[0, 0, width, height]], np.float32), np.ones(1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction(abc.ABC):
    """What a model found in one image.

    Attributes:
        columns: What the columns of its table are called.
        style: How it is told and drawn.
    """

    columns: ClassVar[tuple[str, ...]]

    style: Style = DEFAULT_STYLE

    @property
    def label_map(self) -> np.ndarray | None:
        """The class of every pixel, uint8 [H, W], if the model tells it."""
        return None

    @abc.abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Rows of results.json without the image's id and name; ready for JSON."""

    @abc.abstractmethod
    def table(self) -> list[list[Any]]:
        """The same for people to read: rows of `columns`."""

    @abc.abstractmethod
    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draws it on the image, uint8 [H, W, 3]; a legend makes the result wider."""


class Predictor(abc.ABC):
    """A loaded model.

    Attributes:
        unit: What the rows of its predictions are, in the plural.
        columns: Those of its predictions' tables.
        needs_boxes: Whether it must be told where people are.
        style_fields: The fields of `Style` that change its predictions.
        metadata_type: The class of its description.
        metadata: What the model says of itself.
        style: How its predictions are told and drawn.
    """

    unit: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    needs_boxes: ClassVar[bool] = False
    style_fields: ClassVar[frozenset[str]] = frozenset()
    metadata_type: ClassVar[type[Metadata]]
    metadata: Metadata

    def __init__(self, model: LoadedModel, style: Style = DEFAULT_STYLE):
        """Takes a loaded model of the right kind.

        Raises:
            ModelError: If its description cannot be read, or is of another model.
        """
        self.metadata = self.metadata_type.from_dict(model.description, model.path)
        expected = self.metadata.saved_model_interface()
        if isinstance(model, LoadedTFLite):
            expected = {TFLITE_SIGNATURE: self.metadata.tflite_interface()}
        check_interface(expected, model.interface, model.path)
        self.style = style
        self._model = model

    @abc.abstractmethod
    def predict(self, image: np.ndarray, boxes: Boxes | None = None) -> Prediction:
        """Looks at one image.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: The people to look at, for models that need boxes: if None, one who
                fills the image. Other models take none.

        Raises:
            ValueError: If the model takes no boxes.
        """


class ImagePredictor(Predictor):
    """A loaded model that needs nothing but an image."""

    def predict(self, image: np.ndarray, boxes: Boxes | None = None) -> Prediction:
        if boxes is not None:
            raise ValueError(f"A {self.metadata.task} model takes no boxes.")
        return self.predict_image(image)

    @abc.abstractmethod
    def predict_image(self, image: np.ndarray) -> Prediction:
        """Looks at one image, uint8 [H, W, 3], RGB."""


def fitted_size(size: Sequence[int], limit: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image made to fit into `limit`, its aspect ratio kept."""
    scale = min(limit[0] / size[0], limit[1] / size[1])
    height, width = (
        min(max(int(side * scale + 0.5), 1), most)
        for side, most in zip(size, limit, strict=True)
    )
    return height, width
