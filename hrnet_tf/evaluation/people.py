"""What evaluators of predicted people have in common: they collect, then score.

    evaluator = keypoint_metrics.build_evaluator(config, truth, skeleton)
    for batch in batches:
        evaluator.update(predict(batch))
    metrics = evaluator.evaluate()
    print(evaluator.format_table(metrics, flip_test=True, codec="msra"))

The boxes that people were cropped from decide as much as the model does: ground-truth
boxes and a detector's boxes give different scores for the same weights. So evaluators
carry the name of the box source, and tables print it.
"""

import abc
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from hrnet_tf import output_files
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.evaluation.coco_files import Truth, check_images
from hrnet_tf.evaluation.matched import NOBODY
from hrnet_tf.messages import UserError

GROUND_TRUTH = "ground truth"
# The arrays that `update` reads.
PREDICTED = ("image_id", "person_id", "keypoints", "box_score", "area")


class PredictionError(UserError):
    """Predictions that cannot be scored."""


class PeopleEvaluator(abc.ABC):
    """Collects predicted people, whom its subclasses score.

    Attributes:
        truth: What they are compared with.
        box_source: Where boxes come from, for printing: `GROUND_TRUTH` or the name of
            a detector's file.
        category_id: The category that results name; the first one if several are
            evaluated as one.
        main_metric: The name of the metric that models are compared by.
        lower_is_better: Whether that metric is an error.
    """

    main_metric: str
    lower_is_better: ClassVar[bool] = False

    def __init__(self, truth: Truth[CocoPeople], num_keypoints: int, box_source: str):
        self.truth = truth
        self.box_source = box_source
        self.category_id = truth.content.category_ids[0]
        self._num_keypoints = num_keypoints
        self._image_ids = frozenset(image.id for image in truth.content.images)
        self.reset()

    def reset(self) -> None:
        """Forgets all predictions."""
        self._batches: list[dict[str, np.ndarray]] = []

    def update(self, predictions: Mapping[str, Any]) -> None:
        """Adds one batch of predicted people.

        Args:
            predictions: arrays over the batch:
                image_id [B] int; rows below zero are padding and are ignored.
                person_id [B] int, the annotation whose box was cropped; below zero, or
                    left out, for a detector's boxes.
                keypoints [B, K, 3] float (x, y, score), pixels of the original image.
                box_score [B] float, the detector's score (1 for ground-truth boxes).
                area [B] float, width x height of the padded box that was cropped, in
                    square pixels of the original image.

        Raises:
            ValueError: a wrong shape.
            PredictionError: a number that is not finite.
            AnnotationFileError: an image that the annotation file does not list.
        """
        image_id = np.asarray(predictions["image_id"], np.int64)
        batch_size = len(image_id)
        person_id = predictions.get("person_id", np.full(batch_size, NOBODY))
        expected_shapes = {
            "keypoints": (batch_size, self._num_keypoints, 3),
            "box_score": (batch_size,),
            "area": (batch_size,),
        }
        real = image_id >= 0
        batch: dict[str, np.ndarray] = {
            "image_id": image_id[real],
            "person_id": np.asarray(person_id, np.int64)[real],
        }
        for name, shape in expected_shapes.items():
            values = np.asarray(predictions[name])
            if values.dtype != np.float32:
                values = values.astype(np.float64)
            if values.shape != shape:
                raise ValueError(
                    f"predictions['{name}'] has shape {values.shape}, expected {shape} "
                    f"for {batch_size} people and a skeleton of {self._num_keypoints} "
                    "keypoints."
                )
            batch[name] = values[real]
            # COCOeval would match a person at NaN with any ground truth: a diverged
            # model would seem a perfect one.
            broken = np.nonzero(~np.isfinite(batch[name]))[0]
            if broken.size:
                raise PredictionError(
                    f"The predicted {name} are NaN or infinite in image "
                    f"{batch['image_id'][broken[0]]}: the model has probably diverged."
                )
        check_images(self.truth.path, self._image_ids, batch["image_id"].tolist())
        self._batches.append(batch)

    def people(self) -> dict[str, np.ndarray]:
        """All people so far, arrays as `update` takes them, in the order they came."""
        if not self._batches:
            floats = {"keypoints": (0, self._num_keypoints, 3), "area": (0,)}
            return {
                **dict.fromkeys(("image_id", "person_id"), np.zeros(0, np.int64)),
                **{name: np.zeros(shape) for name, shape in floats.items()},
                "box_score": np.zeros(0),
            }
        people = {
            name: np.concatenate([batch[name] for batch in self._batches])
            for name in self._batches[0]
        }
        # One array takes less than those of all batches.
        self._batches = [people]
        return dict(people)

    @property
    @abc.abstractmethod
    def results(self) -> list[dict[str, Any]]:
        """Predictions in COCO's results format, ordered by image id.

        Each has image_id, category_id, keypoints (flat x, y, score times K, pixels of
        the original image) and score.
        """

    def write_results(self, path: str | os.PathLike[str]) -> None:
        """Writes `results` as JSON, ready for COCO's evaluation server."""
        output_files.write_json(path, self.results)

    @abc.abstractmethod
    def evaluate(self, image_ids: Iterable[int] | None = None) -> dict[str, float]:
        """Computes the metrics on `image_ids`, or all images of the annotation file.

        Returns:
            The metrics by name. One without any ground truth is -1, as in pycocotools.
        """

    @abc.abstractmethod
    def format_table(
        self, metrics: Mapping[str, float], flip_test: bool, codec: str
    ) -> str:
        """Lays the metrics of the latest `evaluate` out as text of a few lines.

        The first line is the protocol: what the numbers depend on besides the network.
        """

    def _circumstances(self, flip_test: bool, codec: str) -> str:
        """The end of every protocol."""
        return (
            f"boxes: {self.box_source}, flip test: {'on' if flip_test else 'off'}, "
            f"codec: {codec}"
        )
