"""Runs exported pose models, SavedModels and .tflite files alike."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf import visualization
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.ops import affine
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.pose.module import person_scores
from hrnet_tf.serving.predictor import Prediction, Predictor


@dataclasses.dataclass(frozen=True, eq=False)
class PosePrediction(Prediction):
    """The people in an image and their keypoints.

    Attributes:
        boxes: float32 [P, 4], x, y, width and height in pixels of the image.
        box_scores: float32 [P], the detector's.
        keypoints: float32 [P, K, 3], x and y in image pixels and the score.
        scores: float32 [P], the box's score times the pose's.
        skeleton: The keypoints' names and limbs.
    """

    columns = ("person", "keypoint", "x", "y", "score")

    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton

    def rows(self) -> list[dict[str, Any]]:
        """COCO results, with the people's boxes for convenience."""
        return [
            {
                "category_id": self.style.category_id,
                "keypoints": [round(float(value), 3) for value in person.ravel()],
                "score": float(score),
                "bbox": [float(value) for value in box],
            }
            for person, score, box in zip(
                self.keypoints, self.scores, self.boxes, strict=True
            )
        ]

    def table(self) -> list[list[Any]]:
        return [
            [person + 1, name, *(round(float(value), 2) for value in keypoint)]
            for person, found in enumerate(self.keypoints)
            for name, keypoint in zip(self.skeleton.keypoints, found, strict=True)
        ]

    def picture(self) -> np.ndarray:
        """Skeletons and, if the style says so, boxes and scores, on the image."""
        return visualization.draw_skeletons(
            self.image,
            self.keypoints,
            self.skeleton,
            self.style.keypoint_score_threshold,
            self.boxes if self.style.draw_boxes else None,
            self.scores if self.style.draw_boxes else None,
        )


class PosePredictor(Predictor[PosePrediction]):
    """A loaded pose model.

    Attributes:
        metadata: What the model says of itself.
    """

    unit = "people"
    columns = PosePrediction.columns
    needs_boxes = True
    style_fields = frozenset({"category_id", "keypoint_score_threshold", "draw_boxes"})
    metadata_type = PoseMetadata
    metadata: PoseMetadata

    @property
    @abc.abstractmethod
    def has_heatmaps(self) -> bool:
        """Whether `predict_heatmaps` works."""

    def predict_image(
        self, image: np.ndarray, boxes: Boxes | None = None
    ) -> PosePrediction:
        (prediction,) = self.predict_batch([image], [boxes])
        return prediction

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[PosePrediction]:
        people = [
            given or Boxes.of_whole(image)
            for image, given in zip(images, boxes, strict=True)
        ]
        found = self.predict_people_of(images, [given.boxes for given in people])
        return [
            PosePrediction(
                given.boxes,
                given.scores,
                keypoints,
                scores * given.scores,
                self.metadata.skeleton,
                image=image,
                style=self.style,
            )
            for image, given, (keypoints, scores) in zip(
                images, people, found, strict=True
            )
        ]

    @abc.abstractmethod
    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicts the people in the boxes of one image.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: [P, 4], x, y, width and height in image pixels; P may be 0.

        Returns:
            keypoints: float32 [P, K, 3], x and y in image pixels and the score.
            scores: float32 [P], the people's, without the boxes' own. Keypoints and
                score of a box that holds no person, see `affine.holds_person`, are 0.
        """

    def predict_people_of(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """`predict_people` of each of several images of one size."""
        return [self.predict_people(*pair) for pair in zip(images, boxes, strict=True)]

    @abc.abstractmethod
    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the model on one crop, uint8 [height, width, 3]; its outputs by name."""

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
        crops, _ = self._crop(image, np.reshape(np.float32(box), [1, 4]))
        crop = crops[0].numpy()
        outputs = self.predict_crop(crop)
        if "heatmaps" not in outputs:
            raise ModelError("The model gives no heatmaps: export it with --heatmaps.")
        return crop, outputs["heatmaps"][0]

    @functools.cached_property
    def _crop(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """The function that crops P people, uint8 [P, height, width, 3], from an image.

        It takes the image, uint8 [H, W, 3], and boxes, float32 [P, 4], and also returns
        the matrices [P, 2, 3] from pixels of the crops to pixels of the image.
        """
        crop_size = self.metadata.input_size
        udp = self.metadata.codec.name == "udp"

        def crop(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            center, size = affine.box_to_center_size(
                boxes, crop_size[1] / crop_size[0], self.metadata.box_padding
            )
            matrices = affine.crop_to_image_matrix(center, size, 0.0, crop_size, udp)
            return affine.warp_aligned_crops(image, matrices, crop_size), matrices

        return tf.function(
            crop,
            input_signature=[
                tf.TensorSpec([None, None, 3], tf.uint8),
                tf.TensorSpec([None, 4], tf.float32),
            ],
        )


class SavedModelPosePredictor(PosePredictor):
    """A SavedModel; it crops and maps back by itself."""

    _model: LoadedSavedModel

    @property
    def has_heatmaps(self) -> bool:
        return True

    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        (found,) = self.predict_people_of([image], [np.reshape(boxes, [-1, 4])])
        return found

    def predict_people_of(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        counts = [len(of_image) for of_image in boxes]
        padded = np.zeros([len(images), max(counts), 4], np.float32)
        for row, of_image in zip(padded, boxes, strict=True):
            row[: len(of_image)] = of_image
        outputs = self._model.signatures["image"](
            images=tf.constant(np.stack(images)), boxes=tf.constant(padded)
        )
        keypoints, scores = outputs["keypoints"].numpy(), outputs["scores"].numpy()
        return [
            (keypoints[place, :count], scores[place, :count])
            for place, count in enumerate(counts)
        ]

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._model.signatures["crops"](crops=tf.constant(crop[np.newaxis]))
        return {name: value.numpy() for name, value in outputs.items()}


class TFLitePosePredictor(PosePredictor):
    """A .tflite file; people are cropped and mapped back around it, as in an app."""

    _model: LoadedTFLite

    @property
    def has_heatmaps(self) -> bool:
        return "heatmaps" in self._model.outputs

    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        boxes = np.reshape(np.asarray(boxes, np.float32), [-1, 4])
        is_person = affine.holds_person(boxes).numpy()
        num_keypoints = self.metadata.skeleton.num_keypoints
        keypoints = np.zeros((len(boxes), num_keypoints, 3), np.float32)
        if is_person.any():
            crops, matrices = self._crop(image, boxes[is_person])
            found = np.stack(
                [self.predict_crop(crop)["keypoints"][0] for crop in crops.numpy()]
            )
            keypoints[is_person] = self._place(found, matrices)
        threshold = self.metadata.keypoint_score_threshold
        return keypoints, person_scores(keypoints[..., 2], threshold).numpy()

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        return self._model.run(image=crop[np.newaxis])

    @functools.cached_property
    def _place(self) -> Callable[[np.ndarray, tf.Tensor], tf.Tensor]:
        """The function that places keypoints [P, K, 3] of crops in the image."""
        height, width = self.metadata.input_size

        def place(found: tf.Tensor, crop_to_image: tf.Tensor) -> tf.Tensor:
            points = found[..., :2] * tf.constant([width, height], tf.float32)
            points = affine.transform_points(crop_to_image, points)
            return tf.concat([points, found[..., 2:]], axis=-1)

        keypoints = tf.TensorSpec([None, None, 3], tf.float32)
        matrices = tf.TensorSpec([None, 2, 3], tf.float32)
        return tf.function(place, input_signature=[keypoints, matrices])
