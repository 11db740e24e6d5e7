"""Finds people and their keypoints: a detector and a pose model, apart or in one."""

from collections.abc import Sequence

import numpy as np

from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.detection.predictor import DetectionPredictor
from hrnet_tf.serving.loading import LoadedSavedModel
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.people.metadata import PeopleMetadata
from hrnet_tf.serving.pose.predictor import PosePrediction, PosePredictor
from hrnet_tf.serving.predictor import InBatches, Predictor


class TwoStagePredictor(InBatches[PosePrediction]):
    """A detector and a pose model, one after the other."""

    unit = "people"
    finds_people_apart = True
    style_fields = PosePredictor.style_fields | {"box_score_threshold"}
    columns = PosePrediction.columns
    metadata: PeopleMetadata

    def __init__(
        self,
        detector: Predictor,
        pose: Predictor,
        category_id: int,
        box_score_threshold: float,
    ):
        """Joins the two.

        Args:
            detector: The detector.
            pose: The pose model, whose style the people are drawn in.
            category_id: The detector's class for people.
            box_score_threshold: Boxes that score less are left out.

        Raises:
            ModelError: If one of the two is another kind of model, or the detector has
                no such class.
        """
        if not isinstance(detector, DetectionPredictor):
            raise ModelError(
                f"The detector is a {detector.metadata.task} model; it must be a "
                "detector."
            )
        if not isinstance(pose, PosePredictor):
            raise ModelError(
                f"The pose model is a {pose.metadata.task} model; it must be a pose "
                "model."
            )
        detector.category_of_people(category_id)  # Refuses unknown ones.
        self.metadata = PeopleMetadata(
            category_id=category_id,
            box_score_threshold=box_score_threshold,
            max_people=detector.metadata.max_detections,
            detector=detector.metadata,
            pose=pose.metadata,
        )
        self.style = pose.style
        self.batches_any_sizes = pose.batches_any_sizes
        self._detector, self._pose = detector, pose

    @property
    def sources(self) -> tuple[str, ...]:
        return (*self._detector.sources, *self._pose.sources)

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[PosePrediction]:
        people = [
            self.find_people(image) if given is None else given
            for image, given in zip(images, boxes, strict=True)
        ]
        return self._pose.predict_batch(images, people)

    def find_people(
        self,
        image: np.ndarray,
        category_id: int | None = None,
        least_score: float | None = None,
    ) -> Boxes:
        """See `Predictor`; by default, those of its own category and threshold."""
        own = self.metadata
        return self._detector.find_people(
            image,
            own.category_id if category_id is None else category_id,
            own.box_score_threshold if least_score is None else least_score,
        )


class PeoplePredictor(Predictor[PosePrediction]):
    """A SavedModel that `hrnet_tf.join` wrote."""

    unit = "people"
    style_fields = frozenset({"keypoint_score_threshold", "draw_boxes"})
    columns = PosePrediction.columns
    metadata_type = PeopleMetadata
    metadata: PeopleMetadata
    _model: LoadedSavedModel

    def predict_image(
        self, image: np.ndarray, boxes: Boxes | None = None
    ) -> PosePrediction:
        del boxes
        outputs = self._model.run("image", images=image[np.newaxis])
        count = int(outputs["num_people"][0])
        found, box_scores, keypoints, scores = (
            outputs[name][0, :count]
            for name in ("boxes", "box_scores", "keypoints", "scores")
        )
        skeleton = self.metadata.pose.skeleton
        return PosePrediction(
            found,
            box_scores,
            keypoints,
            scores,
            skeleton,
            image=image,
            style=self.style,
        )
