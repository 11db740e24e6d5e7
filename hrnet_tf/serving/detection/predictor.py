"""Runs exported detectors, SavedModels and .tflite files alike."""

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf

from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import CANVAS_COLOR, DetectionMetadata


@dataclasses.dataclass(frozen=True)
class Detections:
    """The objects in an image, best first.

    Attributes:
        boxes: float32 [N, 4], x, y, width and height in pixels of the image.
        classes: int32 [N], category ids.
        scores: float32 [N].
        masks: float32 [N, h, w], probabilities within the boxes, or None.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None


class DetectionPredictor:
    """A loaded detector.

    Attributes:
        metadata: What the model says of itself.
    """

    metadata: DetectionMetadata

    def predict(self, image: np.ndarray) -> Detections:
        """Finds the objects in an image, uint8 [H, W, 3], RGB."""
        raise NotImplementedError


class SavedModelDetectionPredictor(DetectionPredictor):
    """A SavedModel; it resizes and maps back by itself."""

    def __init__(self, model: LoadedSavedModel):
        self.metadata = model.metadata
        self._predict = model.signatures["image"]
        self._model = model

    def predict(self, image: np.ndarray) -> Detections:
        outputs = self._predict(images=tf.constant(image[np.newaxis]))
        return _detections({name: v.numpy() for name, v in outputs.items()})


class TFLiteDetectionPredictor(DetectionPredictor):
    """A .tflite file; images are brought to its size and boxes back, as in an app."""

    def __init__(self, model: LoadedTFLite):
        self.metadata = model.metadata
        self._run = model.run

    def predict(self, image: np.ndarray) -> Detections:
        canvas, scale = fit_image(image, self.metadata.input_size)
        outputs = dict(self._run(image=canvas[np.newaxis]))
        outputs["boxes"] = outputs["boxes"] / scale
        # The file takes the whole canvas for the image. Masks belong to boxes as they
        # are.
        if not self.metadata.has_masks:
            outputs["boxes"] = _clip(outputs["boxes"], *image.shape[:2])
        return _detections(outputs)


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
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (
        min(max(int(side * scale + 0.5), 1), limit)
        for side, limit in zip(image.shape[:2], size, strict=True)
    )
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


def _detections(outputs: Mapping[str, np.ndarray]) -> Detections:
    count = int(outputs["num_detections"][0])
    boxes, classes, scores = (
        outputs[name][0][:count] for name in ("boxes", "classes", "scores")
    )
    masks = outputs["masks"][0][:count] if "masks" in outputs else None
    return Detections(boxes, classes, scores, masks)
