"""COCO keypoint AP of top-down pose predictions, by the protocol of the HRNet paper.

Predicted people are collected batch by batch. At the end each is rescored (box score
times the mean of its confident keypoint scores), repeated people are removed by
OKS-NMS image by image, and pycocotools computes AP and AR over object keypoint
similarity. Source: official lib/dataset/coco.py; the metric is pycocotools' COCOeval.

    truth = read_people("person_keypoints_val.json", skeleton)
    evaluator = COCOKeypointEvaluator(truth, skeleton.sigmas)
    for batch in batches:
        evaluator.update(predict(batch))
    metrics = evaluator.evaluate()
    print(format_table(metrics, evaluator.box_source, True, "msra"))

The boxes that people were cropped from decide as much as the model does: ground-truth
boxes and a detector's boxes give different AP for the same weights. So the evaluator
carries the name of the box source, and the table prints it.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO

from hrnet_tf import output_files
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.evaluation import coco_metrics
from hrnet_tf.evaluation.coco_files import Truth, check_images, index
from hrnet_tf.evaluation.coco_metrics import format_value
from hrnet_tf.messages import UserError
from hrnet_tf.ops import oks

# In the order of pycocotools' `stats` for keypoints.
_COLUMNS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
METRICS = tuple(f"keypoint_{column}" for column in _COLUMNS)


class PredictionError(UserError):
    """Predictions that cannot be scored."""


class _KeptPerson(NamedTuple):
    """One person whom OKS-NMS has kept; an array takes a fifth of Python's numbers."""

    image_id: int
    keypoints: np.ndarray  # x, y, score times K
    score: float


class COCOKeypointEvaluator:
    """Collects predicted people and computes COCO keypoint AP and AR.

    Attributes:
        category_id: the category that results name; the first one if several are
            evaluated as one.
        images_without_prediction: after `evaluate`, the sorted ids of images that hold
            labelled people but received no prediction. Those people count as missed.
    """

    def __init__(
        self,
        truth: Truth[CocoPeople],
        sigmas: Sequence[float],
        keypoint_score_threshold: float = 0.2,
        oks_nms_threshold: float = 0.9,
        soft_oks_nms: bool = False,
        box_source: str = "ground truth",
    ):
        """Takes the ground truth, from `coco_files.read_people`.

        `configs.pose.Evaluation` describes the thresholds and `soft_oks_nms`, which
        keeps at most 20 people. `sigmas` are the K falloff constants of the skeleton's
        keypoints. `box_source` says where boxes come from, for printing: "ground truth"
        or the name of a detector's file.
        """
        self.box_source = box_source
        self.images_without_prediction: list[int] = []
        self._sigmas = np.asarray(sigmas, np.float64)
        self._keypoint_score_threshold = keypoint_score_threshold
        self._oks_nms_threshold = oks_nms_threshold
        self._nms = oks.soft_oks_nms if soft_oks_nms else oks.oks_nms
        self._annotation_file = truth.path
        self.category_id = truth.content.category_ids[0]
        self._ground_truth = _ground_truth(truth.content)
        self.reset()

    def reset(self) -> None:
        """Forgets all predictions."""
        self._batches: list[dict[str, np.ndarray]] = []
        self._kept: list[_KeptPerson] | None = None

    def update(self, predictions: Mapping[str, Any]) -> None:
        """Adds one batch of predicted people.

        Args:
            predictions: arrays over the batch:
                image_id [B] int; rows below zero are padding and are ignored.
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
        expected_shapes = {
            "keypoints": (batch_size, len(self._sigmas), 3),
            "box_score": (batch_size,),
            "area": (batch_size,),
        }
        real = image_id >= 0
        batch: dict[str, np.ndarray] = {"image_id": image_id[real]}
        for name, shape in expected_shapes.items():
            values = np.asarray(predictions[name])
            if values.dtype != np.float32:
                values = values.astype(np.float64)
            if values.shape != shape:
                raise ValueError(
                    f"predictions['{name}'] has shape {values.shape}, expected {shape} "
                    f"for {batch_size} people and a skeleton of {len(self._sigmas)} "
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
        image_ids = batch["image_id"].tolist()
        check_images(self._annotation_file, self._ground_truth.imgs, image_ids)
        self._batches.append(batch)
        self._kept = None

    @property
    def results(self) -> list[dict[str, Any]]:
        """Predictions after rescoring and OKS-NMS, in COCO's results format.

        Each has image_id, category_id, keypoints (flat x, y, score times K, pixels of
        the original image) and score. Ordered by image id, best person first. There is
        no `bbox`, as in the official results: COCOeval then takes a person's size from
        the keypoints.
        """
        return [
            {**self._result(person), "keypoints": person.keypoints.tolist()}
            for person in self._kept_people()
        ]

    def write_results(self, path: str | os.PathLike[str]) -> None:
        """Writes `results` as JSON, ready for COCO's evaluation server."""
        output_files.write_json(path, self.results)

    def evaluate(self, image_ids: Iterable[int] | None = None) -> dict[str, float]:
        """Computes the metrics on `image_ids`, or all images of the annotation file.

        Returns:
            The ten `METRICS` as floats in [0, 1]. A metric without any ground truth is
            -1, as in pycocotools: APM is -1 where no labelled person has an area of
            32^2 to 96^2 pixels, APL where none is larger. Without predictions the
            metrics are 0.
        """
        results = [self._result(person) for person in self._kept_people()]
        evaluated = set(self._ground_truth.imgs if image_ids is None else image_ids)
        self._count_images_without_prediction(results, evaluated)
        evaluation = coco_metrics.evaluate(
            self._ground_truth, results, "keypoints", evaluated, self._sigmas
        )
        return dict(zip(METRICS, map(float, evaluation.stats), strict=True))

    def _result(self, person: "_KeptPerson") -> dict[str, Any]:
        return {
            "image_id": person.image_id,
            "category_id": self.category_id,
            "keypoints": person.keypoints,
            "score": person.score,
        }

    def _kept_people(self) -> list["_KeptPerson"]:
        if self._kept is None:
            self._kept = list(self._suppressed_people())
        return self._kept

    def _suppressed_people(self) -> Iterable["_KeptPerson"]:
        if not self._batches:
            return
        people = {
            name: np.concatenate([batch[name] for batch in self._batches])
            for name in self._batches[0]
        }
        # One array takes less than those of all batches.
        self._batches = [people.copy()]
        for name in ("keypoints", "box_score", "area"):
            people[name] = people[name].astype(np.float64)
        scores = oks.rescore(
            people["keypoints"], people["box_score"], self._keypoint_score_threshold
        )
        # Image by image, best first. The coordinates break ties, so that the order in
        # which workers deliver batches cannot change the result.
        coordinates = people["keypoints"].reshape(-1, 3 * len(self._sigmas))
        order = np.lexsort((*coordinates.T, -scores, people["image_id"]))
        image_ids = people["image_id"][order]
        starts = np.flatnonzero(np.diff(image_ids, prepend=-1))
        for rows in np.split(order, starts)[1:]:  # Nothing lies before the first start.
            keypoints = people["keypoints"][rows]
            kept = self._nms(
                keypoints,
                scores[rows],
                people["area"][rows],
                self._sigmas,
                self._oks_nms_threshold,
            )
            image_id = int(people["image_id"][rows[0]])
            for place in kept:
                yield _KeptPerson(
                    image_id, keypoints[place].ravel(), float(scores[rows[place]])
                )

    def _count_images_without_prediction(
        self, results: list[dict[str, Any]], evaluated: set[int]
    ) -> None:
        labelled = {
            annotation["image_id"]
            for annotation in self._ground_truth.dataset["annotations"]
            if annotation["num_keypoints"] > 0 and not annotation["iscrowd"]
        } & evaluated
        predicted = {result["image_id"] for result in results}
        self.images_without_prediction = sorted(labelled - predicted)
        if self.images_without_prediction:
            logging.getLogger(__name__).warning(
                "%d of the %d images with labelled people in %s received no "
                "prediction (boxes: %s); their people count as missed.",
                len(self.images_without_prediction),
                len(labelled),
                self._annotation_file,
                self.box_source,
            )


def format_table(
    metrics: Mapping[str, float], box_source: str, flip_test: bool, codec: str
) -> str:
    """Lays the metrics of `evaluate` out as a plain-text table of a few lines.

    Its first line tells what AP depends on besides the network.
    """
    numbers = [metrics[name] for name in METRICS]
    values = [format_value(number) for number in numbers]
    lines = [
        f"COCO keypoints, boxes: {box_source}, flip test: "
        f"{'on' if flip_test else 'off'}, codec: {codec}",
        " ".join(f"{column:>6}" for column in _COLUMNS),
        " ".join(f"{value:>6}" for value in values),
    ]
    if "-" in values:
        lines.append("-: no labelled person of that size in the annotation file")
    return "\n".join(lines)


def _ground_truth(people: CocoPeople) -> COCO:
    """What COCOeval reads; several categories become one."""
    (category_id, *_) = people.category_ids
    annotations: list[dict[str, Any]] = []
    for image_id, some in people.people.items():
        for person in some:
            annotations.append(
                {
                    # To COCOeval, a match with id 0 is no match: count from 1.
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    "keypoints": np.asarray(person.keypoints, np.float64),
                    "num_keypoints": person.num_keypoints,
                    "area": person.area,
                    "bbox": person.bbox,
                    "iscrowd": int(person.iscrowd),
                }
            )
    return index(
        {
            "images": [{"id": image.id} for image in people.images],
            "categories": [{"id": category_id}],
            "annotations": annotations,
        }
    )
