"""Predicts an image with a model of any task and draws what it finds.

    picture, rows = artist(image, boxes_and_scores, image_id=7, file_name="photo.jpg")

Rows are those of results.json, see `hrnet_tf.predict`; they start with the identity
that was given.
"""

import os
from typing import Any

import numpy as np

from hrnet_tf import visualization
from hrnet_tf.evaluation.coco_instances import encode_masks
from hrnet_tf.serving.people.predictor import PeoplePredictor
from hrnet_tf.serving.predictor import (
    DetectionPredictor,
    PosePredictor,
    SegmentationPredictor,
)

_LABEL_MAP_SUFFIX = ".labels.png"

BoxesAndScores = tuple[np.ndarray, np.ndarray] | None


def label_map_path(picture: str) -> str:
    """Where the label map of a picture goes."""
    return picture + _LABEL_MAP_SUFFIX


class SegmentationArtist:
    """Predicts the classes of an image's pixels and draws them."""

    unit = "images"

    def __init__(self, predictor: SegmentationPredictor):
        self._predictor = predictor
        self._label_set = predictor.metadata.label_set

    def __call__(
        self,
        image: np.ndarray,
        boxes_and_scores: BoxesAndScores,
        picture_path: str | None = None,
        **identity: Any,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Returns the picture and the row of results, which starts with `identity`.

        Beside a picture that is to be written goes the label map.
        """
        del boxes_and_scores
        labels = self._predictor.predict(image)
        present, counts = np.unique(labels, return_counts=True)
        # The frames of a video are of one size, and so is their legend.
        all_classes = range(self._label_set.num_classes)
        legend = present if picture_path else all_classes
        picture = visualization.draw_labels(
            image, labels, self._label_set, legend=legend
        )
        row = {
            **identity,
            "classes": {
                self._label_set.classes[number]: round(count / labels.size, 6)
                for number, count in zip(present.tolist(), counts.tolist(), strict=True)
            },
        }
        if picture_path:
            path = label_map_path(picture_path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            visualization.write_labels(path, labels)
            row["label_map"] = os.path.basename(path)
        return picture, [row]


class DetectionArtist:
    """Finds the objects in an image and draws them."""

    unit = "objects"

    def __init__(self, predictor: DetectionPredictor, box_score_threshold: float):
        self._predictor = predictor
        self._box_score_threshold = box_score_threshold

    def __call__(
        self,
        image: np.ndarray,
        boxes_and_scores: BoxesAndScores,
        picture_path: str | None = None,
        **identity: Any,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Returns the picture and a row per object, which starts with `identity`.

        Objects that score less than the threshold are not drawn.
        """
        del boxes_and_scores, picture_path
        found = self._predictor.predict(image)
        rows = [
            {
                **identity,
                "category_id": int(category),
                "bbox": [round(float(value), 3) for value in box],
                "score": float(score),
            }
            for box, category, score in zip(
                found.boxes, found.classes, found.scores, strict=True
            )
        ]
        if found.masks is not None:
            rles = encode_masks(found.masks, found.boxes, np.array(image.shape[:2]))
            for row, rle in zip(rows, rles, strict=True):
                row["segmentation"] = rle
        drawn = [row for row in rows if row["score"] >= self._box_score_threshold]
        categories = self._predictor.metadata.categories
        return visualization.draw_instances(image, drawn, categories), rows


class PoseArtist:
    """Predicts the people in given boxes of an image and draws them."""

    unit = "people"

    def __init__(
        self,
        predictor: PosePredictor,
        category_id: int,
        score_threshold: float,
        draw_boxes: bool,
    ):
        self._predictor = predictor
        self._draw = _PeopleDrawing(
            predictor.metadata.skeleton, category_id, score_threshold, draw_boxes
        )

    def __call__(
        self,
        image: np.ndarray,
        boxes_and_scores: BoxesAndScores,
        picture_path: str | None = None,
        **identity: Any,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Returns the picture and the rows of results, which start with `identity`."""
        del picture_path
        if boxes_and_scores is None:
            height, width = image.shape[:2]
            boxes_and_scores = np.array([[0, 0, width, height]], np.float32), np.ones(1)
        boxes, box_scores = boxes_and_scores
        is_person = (boxes[:, 2:] > 0).all(axis=-1)
        boxes, box_scores = boxes[is_person], box_scores[is_person]
        keypoints, scores = self._predictor.predict(image, boxes)
        return self._draw(image, boxes, keypoints, scores * box_scores, identity)


class PeopleArtist:
    """Finds the people in an image and their keypoints, and draws them."""

    unit = "people"

    def __init__(
        self,
        predictor: PeoplePredictor,
        category_id: int,
        score_threshold: float,
        draw_boxes: bool,
    ):
        self._predictor = predictor
        self._draw = _PeopleDrawing(
            predictor.skeleton, category_id, score_threshold, draw_boxes
        )

    def __call__(
        self,
        image: np.ndarray,
        boxes_and_scores: BoxesAndScores,
        picture_path: str | None = None,
        **identity: Any,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Returns the picture and the rows of results, which start with `identity`."""
        del boxes_and_scores, picture_path
        people = self._predictor.predict(image)
        return self._draw(
            image, people.boxes, people.keypoints, people.scores, identity
        )


class _PeopleDrawing:
    """Draws people and lays them out as COCO results."""

    def __init__(
        self, skeleton: Any, category_id: int, score_threshold: float, draw_boxes: bool
    ):
        self._skeleton = skeleton
        self._category_id = category_id
        self._score_threshold = score_threshold
        self._draw_boxes = draw_boxes

    def __call__(
        self,
        image: np.ndarray,
        boxes: np.ndarray,
        keypoints: np.ndarray,
        scores: np.ndarray,
        identity: dict[str, Any],
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        picture = visualization.draw_skeletons(
            image,
            keypoints,
            self._skeleton,
            self._score_threshold,
            boxes if self._draw_boxes else None,
            scores if self._draw_boxes else None,
        )
        rows = [
            {
                **identity,
                "category_id": self._category_id,
                "keypoints": [round(float(value), 3) for value in person.ravel()],
                "score": float(score),
                "bbox": [float(value) for value in box],
            }
            for person, score, box in zip(keypoints, scores, boxes, strict=True)
        ]
        return picture, rows


Artist = SegmentationArtist | DetectionArtist | PoseArtist | PeopleArtist
