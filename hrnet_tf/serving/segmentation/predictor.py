"""Runs exported segmentation models, SavedModels and .tflite files alike."""

import cv2
import numpy as np
import tensorflow as tf

from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import SegmentationMetadata


class SegmentationPredictor:
    """A loaded segmentation model.

    Attributes:
        metadata: What the model says of itself.
    """

    metadata: SegmentationMetadata

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Predicts the classes of an image.

        Args:
            image: uint8 [H, W, 3], RGB.

        Returns:
            uint8 [H, W], class numbers.
        """
        raise NotImplementedError


class SavedModelSegmentationPredictor(SegmentationPredictor):
    """A SavedModel; it resizes by itself."""

    def __init__(self, model: LoadedSavedModel):
        self.metadata = model.metadata
        self._predict = model.signatures["image"]
        self._model = model

    def predict(self, image: np.ndarray) -> np.ndarray:
        outputs = self._predict(images=tf.constant(image[np.newaxis]))
        return outputs["label_map"][0].numpy()


class TFLiteSegmentationPredictor(SegmentationPredictor):
    """A .tflite file; images are brought to its size and back, as in an app."""

    def __init__(self, model: LoadedTFLite):
        self.metadata = model.metadata
        self._run = model.run

    def predict(self, image: np.ndarray) -> np.ndarray:
        canvas, (height, width) = fit_image(image, self.metadata)
        label_map = self._run(image=canvas[np.newaxis])["label_map"][0]
        return cv2.resize(
            label_map[:height, :width],
            (image.shape[1], image.shape[0]),
            interpolation=cv2.INTER_NEAREST_EXACT,
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
    shape = image.shape[:2]
    if metadata.resizing.method == "fixed":
        fitted = size
    else:
        scale = min(size[0] / shape[0], size[1] / shape[1])
        fitted = tuple(
            min(max(int(side * scale + 0.5), 1), limit)
            for side, limit in zip(shape, size, strict=True)
        )
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[: fitted[0], : fitted[1]] = cv2.resize(
        image, (fitted[1], fitted[0]), interpolation=cv2.INTER_LINEAR
    )
    return canvas, fitted
