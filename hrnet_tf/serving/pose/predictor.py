"""Runs exported pose models, SavedModels and .tflite files alike."""

import numpy as np
import tensorflow as tf

from hrnet_tf.ops import affine
from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import Metadata, ModelError
from hrnet_tf.serving.pose.module import person_scores


class PosePredictor:
    """A loaded pose model.

    Attributes:
        metadata: What the model says of itself.
        has_heatmaps: Whether `predict_heatmaps` works.
    """

    metadata: Metadata
    has_heatmaps: bool

    def predict(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicts the people in the boxes of one image.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: [P, 4], x, y, width and height in image pixels; P may be 0.

        Returns:
            keypoints: float32 [P, K, 3], x and y in image pixels and the score.
            scores: float32 [P], the people's, without the boxes' own. Keypoints and
                score of a box without a positive width and height are 0.
        """
        raise NotImplementedError

    def predict_heatmaps(
        self, image: np.ndarray, box: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows what the network sees of one person, and its answer.

        Args:
            image: uint8 [H, W, 3], RGB.
            box: [4], x, y, width and height in image pixels, the latter two above 0.

        Returns:
            crop: uint8 [height, width, 3], of the network's input size.
            heatmaps: float32 [height / 4, width / 4, K].

        Raises:
            ModelError: If the model gives no heatmaps.
        """
        crop = self._crop(image, np.reshape(box, [1, 4]))[0][0]
        outputs = self.predict_crop(crop)
        if "heatmaps" not in outputs:
            raise ModelError("The model gives no heatmaps: export it with --heatmaps.")
        return crop, outputs["heatmaps"][0]

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the model on one crop, uint8 [height, width, 3]; its outputs by name."""
        raise NotImplementedError

    def _crop(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[list[np.ndarray], tf.Tensor]:
        """uint8 crops of P boxes, and the matrices [P, 2, 3] from crop to image."""
        crop_size = self.metadata.input_size
        center, size = affine.box_to_center_size(
            boxes, crop_size[1] / crop_size[0], self.metadata.box_padding
        )
        matrices = affine.crop_to_image_matrix(
            center, size, 0.0, crop_size, udp=self.metadata.codec.name == "udp"
        )
        crops = [affine.warp_crop(image, matrix, crop_size) for matrix in matrices]
        return [tf.cast(tf.round(crop), tf.uint8).numpy() for crop in crops], matrices


class SavedModelPosePredictor(PosePredictor):
    """A SavedModel; it crops and maps back by itself."""

    has_heatmaps = True

    def __init__(self, model: LoadedSavedModel):
        self.metadata = model.metadata
        self._signatures = model.signatures

    def predict(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        boxes = np.reshape(np.asarray(boxes, np.float32), [1, -1, 4])
        outputs = self._signatures["image"](
            images=tf.constant(image[np.newaxis]), boxes=tf.constant(boxes)
        )
        return outputs["keypoints"][0].numpy(), outputs["scores"][0].numpy()

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._signatures["crops"](crops=tf.constant(crop[np.newaxis]))
        return {name: value.numpy() for name, value in outputs.items()}


class TFLitePosePredictor(PosePredictor):
    """A .tflite file; people are cropped and mapped back around it, as in an app."""

    def __init__(self, model: LoadedTFLite):
        self.metadata = model.metadata
        self._run = model.run
        self.has_heatmaps = "heatmaps" in model.outputs

    def predict(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        boxes = np.reshape(np.asarray(boxes, np.float32), [-1, 4])
        is_person = np.isfinite(boxes).all(axis=-1) & (boxes[:, 2:] > 0).all(axis=-1)
        num_keypoints = self.metadata.skeleton.num_keypoints
        keypoints = np.zeros((len(boxes), num_keypoints, 3), np.float32)
        if is_person.any():
            crops, matrices = self._crop(image, boxes[is_person])
            found = np.stack(
                [self.predict_crop(crop)["keypoints"][0] for crop in crops]
            )
            height, width = self.metadata.input_size
            points = affine.transform_points(matrices, found[..., :2] * [width, height])
            keypoints[is_person] = np.concatenate([points, found[..., 2:]], axis=-1)
        threshold = self.metadata.keypoint_score_threshold
        return keypoints, person_scores(keypoints[..., 2], threshold).numpy()

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        return self._run(image=crop[np.newaxis])
