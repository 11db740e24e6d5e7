"""Runs exported segmentation models, SavedModels and .tflite files alike."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.data.vocabularies.label_sets import LabelSet
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import FILE_NAME, ModelError
from hrnet_tf.serving.predictor import (
    InBatches,
    Prediction,
    Predictor,
    fitted_size,
)
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentationPrediction(Prediction):
    """The classes of an image's pixels.

    Attributes:
        labels: uint8 [H, W], class numbers.
        label_set: The classes' names and colours.
    """

    columns = ("class", "share of pixels")

    labels: np.ndarray
    label_set: LabelSet

    @property
    def label_map(self) -> np.ndarray:
        """The class of every pixel, uint8 [H, W]."""
        return self.labels

    def rows(self) -> list[dict[str, Any]]:
        """One row: the share of each class in the image's pixels."""
        numbers, counts = np.unique(self.labels, return_counts=True)
        shares = {
            self.label_set.classes[number]: round(count / self.labels.size, 6)
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        }
        return [{"classes": shares}]

    def table(self) -> list[list[Any]]:
        (row,) = self.rows()
        shares = sorted(row["classes"].items(), key=lambda share: -share[1])
        return [[name, round(share, 4)] for name, share in shares]

    def picture(self) -> np.ndarray:
        """The classes laid over the image, and a legend beside it."""
        all_classes = range(self.label_set.num_classes)
        present = np.unique(self.labels).tolist()
        return visualization.draw_labels(
            self.image,
            self.labels,
            self.label_set,
            legend=all_classes if self.style.full_legend else present,
        )


class SegmentationPredictor(Predictor[SegmentationPrediction]):
    """A loaded segmentation model.

    Attributes:
        metadata: What the model says of itself.
    """

    unit = "images"
    columns = SegmentationPrediction.columns
    metadata_type = SegmentationMetadata
    metadata: SegmentationMetadata

    def _prediction(
        self, image: np.ndarray, label_map: np.ndarray
    ) -> SegmentationPrediction:
        label_set = self.metadata.label_set
        highest = label_map.max(initial=0)
        if highest >= label_set.num_classes:
            raise ModelError(
                f"{self._model.path} finds class {highest}, and its {FILE_NAME} names "
                f"only {label_set.num_classes} classes. Export the model again."
            )
        return SegmentationPrediction(
            label_map, label_set, image=image, style=self.style
        )


class SavedModelSegmentationPredictor(
    InBatches[SegmentationPrediction], SegmentationPredictor
):
    """A SavedModel; it resizes by itself."""

    _model: LoadedSavedModel

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[SegmentationPrediction]:
        del boxes
        outputs = self._model.run("image", images=np.stack(images))
        return list(map(self._prediction, images, outputs["label_map"]))


class TFLiteSegmentationPredictor(SegmentationPredictor):
    """A .tflite file; images are brought to its size and back, as in an app."""

    _model: LoadedTFLite

    def predict_image(
        self, image: np.ndarray, boxes: Boxes | None = None
    ) -> SegmentationPrediction:
        del boxes
        canvas, (height, width) = fit_image(image, self.metadata)
        label_map = self._model.run(image=canvas[np.newaxis])["label_map"][0]
        return self._prediction(
            image,
            cv2.resize(
                label_map[:height, :width],
                (image.shape[1], image.shape[0]),
                interpolation=cv2.INTER_NEAREST_EXACT,
            ),
        )


def fit_image(
    image: np.ndarray, metadata: SegmentationMetadata
) -> tuple[np.ndarray, tuple[int, int]]:
    """Brings an image to the size that a .tflite file takes.

    Args:
        image: uint8 [H, W, 3].
        metadata: The model's; see its `input_size`.

    Returns:
        uint8 [height, width, 3], and the (height, width) that the image takes of it
        from the top left corner.
    """
    size = metadata.input_size
    is_fixed = metadata.resizing.method == "fixed"
    height, width = size if is_fixed else fitted_size(image.shape[:2], size)
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[:height, :width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_LINEAR
    )
    return canvas, (height, width)
