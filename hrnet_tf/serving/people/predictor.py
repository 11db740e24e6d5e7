"""Finds people and their keypoints: a detector and a pose model, apart or in one."""

import dataclasses

import numpy as np
import tensorflow as tf

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.serving.detection.predictor import DetectionPredictor
from hrnet_tf.serving.loading import LoadedSavedModel
from hrnet_tf.serving.pose.predictor import PosePredictor


@dataclasses.dataclass(frozen=True)
class People:
    """The people in an image, those with the best boxes first.

    Attributes:
        boxes: float32 [P, 4], x, y, width and height in pixels of the image.
        box_scores: float32 [P], the detector's.
        keypoints: float32 [P, K, 3], x and y in image pixels and the score.
        scores: float32 [P], the box's score times the pose's.
    """

    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


class PeoplePredictor:
    """Finds people.

    Attributes:
        skeleton: Their keypoints.
    """

    skeleton: Skeleton

    def predict(self, image: np.ndarray) -> People:
        """Finds the people in an image, uint8 [H, W, 3], RGB."""
        raise NotImplementedError


class TwoStagePredictor(PeoplePredictor):
    """A detector and a pose model, one after the other."""

    def __init__(
        self,
        detector: DetectionPredictor,
        pose: PosePredictor,
        category_id: int,
        box_score_threshold: float,
    ):
        """Joins the two.

        Args:
            detector: The detector.
            pose: The pose model.
            category_id: The detector's class that are people.
            box_score_threshold: Boxes that score less are left out.
        """
        self.skeleton = pose.metadata.skeleton
        self._detector, self._pose = detector, pose
        self._category_id = category_id
        self._box_score_threshold = box_score_threshold

    def predict(self, image: np.ndarray) -> People:
        found = self._detector.predict(image)
        is_person = found.classes == self._category_id
        is_person &= found.scores >= self._box_score_threshold
        boxes, box_scores = found.boxes[is_person], found.scores[is_person]
        keypoints, scores = self._pose.predict(image, boxes)
        return People(boxes, box_scores, keypoints, scores * box_scores)


class PipelinePredictor(PeoplePredictor):
    """A SavedModel that `hrnet_tf.export --pipeline` wrote."""

    def __init__(self, model: LoadedSavedModel):
        self.metadata = model.metadata
        self.skeleton = model.metadata.pose.skeleton
        self._predict = model.signatures["image"]
        self._model = model

    def predict(self, image: np.ndarray) -> People:
        outputs = self._predict(images=tf.constant(image[np.newaxis]))
        count = int(outputs["num_people"][0])
        return People(
            *(
                outputs[field.name][0, :count].numpy()
                for field in dataclasses.fields(People)
            )
        )
