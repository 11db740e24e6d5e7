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
    print(evaluator.format_table(metrics, flip_test=True, codec="msra"))

On images whose annotations tell how crowded they are, AP is told by that, too
(crowding.py).
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.evaluation import coco_metrics, crowding
from hrnet_tf.evaluation.coco_files import Truth, index
from hrnet_tf.evaluation.coco_metrics import UNDEFINED, format_value
from hrnet_tf.evaluation.matched import PredictedPeople
from hrnet_tf.evaluation.people import GROUND_TRUTH, PeopleEvaluator
from hrnet_tf.ops import oks

# In the order of pycocotools' `stats` for keypoints.
_COLUMNS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
METRICS = tuple(f"keypoint_{column}" for column in _COLUMNS)
# AP by crowding.
LEVELS = tuple(f"keypoint_AP_{level}" for level in crowding.LEVELS)


class _KeptPerson(NamedTuple):
    """One person whom OKS-NMS has kept; an array takes a fifth of Python's numbers."""

    image_id: int
    person_id: int
    keypoints: np.ndarray  # x, y, score times K
    score: float


class COCOKeypointEvaluator(PeopleEvaluator):
    """Collects predicted people and computes COCO keypoint AP and AR.

    Attributes:
        images_without_prediction: after `evaluate`, the sorted ids of images that hold
            labelled people but received no prediction. Those people count as missed.
    """

    main_metric = METRICS[0]

    def __init__(
        self,
        truth: Truth[CocoPeople],
        sigmas: Sequence[float],
        keypoint_score_threshold: float = 0.2,
        oks_nms_threshold: float = 0.9,
        soft_oks_nms: bool = False,
        box_source: str = GROUND_TRUTH,
    ):
        """Takes the ground truth, from `coco_files.read_people`.

        `configs.pose.Evaluation` describes the thresholds and `soft_oks_nms`, which
        keeps at most 20 people. `sigmas` are the K falloff constants of the skeleton's
        keypoints.
        """
        super().__init__(truth, len(sigmas), box_source)
        self.images_without_prediction: list[int] = []
        self._sigmas = np.asarray(sigmas, np.float64)
        self._keypoint_score_threshold = keypoint_score_threshold
        self._oks_nms_threshold = oks_nms_threshold
        self._nms = oks.soft_oks_nms if soft_oks_nms else oks.oks_nms
        self._ground_truth = index_people(truth.content)

    def reset(self) -> None:
        super().reset()
        self._kept: list[_KeptPerson] | None = None

    def update(self, predictions: Mapping[str, Any]) -> None:
        super().update(predictions)
        self._kept = None

    @property
    def results(self) -> list[dict[str, Any]]:
        """Predictions after rescoring and OKS-NMS, see `PeopleEvaluator.results`.

        In an image, the best person is first. There is no `bbox`, as in the official
        results: COCOeval then takes a person's size from the keypoints.
        """
        return [
            {**self._result(person), "keypoints": person.keypoints.tolist()}
            for person in self._kept_people()
        ]

    @property
    def scored_people(self) -> PredictedPeople:
        """`results` as arrays."""
        kept = self._kept_people()
        keypoints = np.array([person.keypoints for person in kept], np.float64)
        return PredictedPeople(
            np.array([person.image_id for person in kept], np.int64),
            np.array([person.person_id for person in kept], np.int64),
            keypoints.reshape(len(kept), len(self._sigmas), 3),
            np.array([person.score for person in kept], np.float64),
        )

    def evaluate(self, image_ids: Iterable[int] | None = None) -> dict[str, float]:
        """Computes the metrics on `image_ids`, or all images of the annotation file.

        Returns:
            The ten `METRICS` as floats in [0, 1], and the three `LEVELS` if the
            annotation file tells how crowded images are. A metric without any ground
            truth is -1, as in pycocotools: APM is -1 where no labelled person has an
            area of 32^2 to 96^2 pixels, APL where none is larger. Without predictions
            the metrics are 0.
        """
        results = [self._result(person) for person in self._kept_people()]
        evaluated = set(self._ground_truth.imgs if image_ids is None else image_ids)
        self._count_images_without_prediction(results, evaluated)
        metrics = dict(zip(METRICS, self._stats(results, evaluated), strict=True))
        levels = crowding.images_by_level(self.truth.content.crowd_index)
        for level, images in levels.items():
            ap = UNDEFINED
            if some := images & evaluated:
                ap, *_ = self._stats(results, some)
            metrics[f"keypoint_AP_{level}"] = ap
        return metrics

    def _stats(self, results: list[dict[str, Any]], image_ids: set[int]) -> list[float]:
        evaluation = coco_metrics.evaluate(
            self._ground_truth, results, "keypoints", image_ids, self._sigmas
        )
        return list(map(float, evaluation.stats))

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
        people = self.people()
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
                    image_id,
                    int(people["person_id"][rows[place]]),
                    keypoints[place].ravel(),
                    float(scores[rows[place]]),
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
                self.truth.path,
                self.box_source,
            )

    def format_table(
        self, metrics: Mapping[str, float], flip_test: bool, codec: str
    ) -> str:
        values = [format_value(metrics[name]) for name in METRICS]
        lines = [
            f"COCO keypoints, {self._circumstances(flip_test, codec)}",
            " ".join(f"{column:>6}" for column in _COLUMNS),
            " ".join(f"{value:>6}" for value in values),
        ]
        if "-" in values:
            lines.append("-: no labelled person of that size in the annotation file")
        levels = zip(crowding.LEVELS, LEVELS, strict=True)
        if told := [
            f"{level} {format_value(metrics[name])}"
            for level, name in levels
            if name in metrics
        ]:
            lines.append(f"AP by crowding (crowdIndex of images): {', '.join(told)}")
        return "\n".join(lines)


def index_people(people: CocoPeople) -> COCO:
    """What COCOeval reads; several categories become one.

    People are numbered from 1 in the order of `AnnotatedPeople.of_people`.
    """
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
