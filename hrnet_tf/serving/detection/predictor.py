"""Runs exported detectors, SavedModels and .tflite files alike."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.evaluation.instance_masks import encode_masks
from hrnet_tf.messages import numbered
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.detection.metadata import CANVAS_COLOR, DetectionMetadata
from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.predictor import (
    InBatches,
    Prediction,
    Predictor,
    fitted_size,
)


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionPrediction(Prediction):
    """The objects in an image, best first.

    Attributes:
        boxes: float32 [N, 4], x, y, width and height in pixels of the image.
        classes: int32 [N], category ids.
        scores: float32 [N].
        masks: float32 [N, h, w], probabilities within the boxes, or None.
        categories: The categories' names by id.
    """

    columns = ("object", "score", "x", "y", "width", "height")

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None
    categories: Mapping[int, str]

    @functools.cached_property
    def _encoded_masks(self) -> list[dict[str, Any]]:
        if self.masks is None:
            return []
        return encode_masks(self.masks, self.boxes, np.array(self.image.shape[:2]))

    def rows(self) -> list[dict[str, Any]]:
        """COCO results; masks in run lengths."""
        rows: list[dict[str, Any]] = [
            {
                "category_id": int(category),
                "bbox": [round(float(value), 3) for value in box],
                "score": float(score),
            }
            for box, category, score in zip(
                self.boxes, self.classes, self.scores, strict=True
            )
        ]
        for row, mask in zip(rows, self._encoded_masks, strict=False):
            row["segmentation"] = mask
        return rows

    def table(self) -> list[list[Any]]:
        return [
            [
                self.categories.get(row["category_id"], str(row["category_id"])),
                round(row["score"], 3),
                *(round(value, 1) for value in row["bbox"]),
            ]
            for row in self._good_rows()
        ]

    def picture(self) -> np.ndarray:
        return visualization.draw_instances(
            self.image, self._good_rows(), self.categories
        )

    def _good_rows(self) -> list[dict[str, Any]]:
        """The rows of the objects that score enough to be shown."""
        threshold = self.style.box_score_threshold
        return [row for row in self.rows() if row["score"] >= threshold]


class DetectionPredictor(Predictor[DetectionPrediction]):
    """A loaded detector.

    Attributes:
        metadata: What the model says of itself.
    """

    unit = "objects"
    style_fields = frozenset({"box_score_threshold"})
    columns = DetectionPrediction.columns
    metadata_type = DetectionMetadata
    metadata: DetectionMetadata

    def find_people(
        self,
        image: np.ndarray,
        category_id: int | None = None,
        least_score: float | None = None,
    ) -> Boxes:
        category_id = self.category_of_people(category_id)
        found = self.predict_image(image)
        is_person = found.classes == category_id
        if least_score is None:
            least_score = self.style.box_score_threshold
        is_person &= found.scores >= least_score
        return Boxes.found(found.boxes[is_person], found.scores[is_person])

    def category_of_people(self, category_id: int | None = None) -> int:
        """The category that is asked for, or else "person", or the only one there is.

        Raises:
            ModelError: If there is no such category.
        """
        known = self.metadata.categories
        likely = [key for key in known if known[key] == "person" or len(known) == 1]
        wanted = likely[:1] if category_id is None else [category_id]
        for category in wanted:
            if category in known:
                return category
        asked = f"{category_id} (category_id)" if wanted else "called person"
        raise ModelError(f"{self!r} has no class {asked}; it has {numbered(known)}.")

    def _prediction(
        self, image: np.ndarray, outputs: Mapping[str, np.ndarray], place: int = 0
    ) -> DetectionPrediction:
        count = int(outputs["num_detections"][place])
        boxes, classes, scores = (
            outputs[name][place][:count] for name in ("boxes", "classes", "scores")
        )
        return DetectionPrediction(
            boxes,
            classes,
            scores,
            outputs["masks"][place][:count] if "masks" in outputs else None,
            self.metadata.categories,
            image=image,
            style=self.style,
        )


class SavedModelDetectionPredictor(InBatches[DetectionPrediction], DetectionPredictor):
    """A SavedModel; it resizes and maps back by itself."""

    _model: LoadedSavedModel

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[DetectionPrediction]:
        del boxes
        outputs = self._model.run("image", images=np.stack(images))
        return [
            self._prediction(image, outputs, place)
            for place, image in enumerate(images)
        ]


class TFLiteDetectionPredictor(DetectionPredictor):
    """A .tflite file; images are brought to its size and boxes back, as in an app."""

    _model: LoadedTFLite

    def predict_image(
        self, image: np.ndarray, boxes: Boxes | None = None
    ) -> DetectionPrediction:
        del boxes
        canvas, scale = fit_image(image, self.metadata.input_size)
        outputs = dict(self._model.run(image=canvas[np.newaxis]))
        outputs["boxes"] = outputs["boxes"] / scale
        # The file does not know where the image ends on its canvas. Boxes with masks
        # stay as they are, since a mask fills its box.
        if not self.metadata.has_masks:
            outputs["boxes"] = _clip(outputs["boxes"], *image.shape[:2])
        return self._prediction(image, outputs)


def fit_image(
    image: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Brings an image to the size that a .tflite file takes.

    Args:
        image: uint8 [H, W, 3].
        size: (height, width) in pixels.

    Returns:
        uint8 [height, width, 3], and the scale as float32 [4] for x, y, width, height.
    """
    height, width = fitted_size(image.shape[:2], size)
    canvas = np.full((*size, 3), CANVAS_COLOR, np.uint8)
    canvas[:height, :width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_LINEAR
    )
    scales = np.array([width, height] * 2) / np.array([*image.shape[1::-1]] * 2)
    return canvas, scales.astype(np.float32)


def _clip(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [..., 4] of x, y, width, height as far as they are on the image."""
    size = np.array([width, height])
    upper_left = np.minimum(boxes[..., :2], size)
    lower_right = np.minimum(boxes[..., :2] + boxes[..., 2:], size)
    return np.concatenate([upper_left, lower_right - upper_left], axis=-1)
