"""Evaluators that measure how far off the keypoints of each annotated person are.

There is no matching to be done: predictions are of annotated boxes and say whose.
"""

import abc
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.distances import Distances, Normalizer, measure
from hrnet_tf.evaluation.matched import AnnotatedPeople, PredictedPeople, match_by_id
from hrnet_tf.evaluation.people import GROUND_TRUTH, PeopleEvaluator
from hrnet_tf.ops import oks


class MeasuringEvaluator(PeopleEvaluator):
    """Measures distances; its subclasses say what becomes of them."""

    # What one annotation is of, in the plural, for tables.
    unit = "people"
    # What becomes of people of whom nothing was predicted, for a warning.
    of_missed = "their keypoints count as missed"
    # What errors are compared with if nobody says.
    default_thresholds: tuple[float, ...] = ()

    def __init__(
        self,
        truth: Truth[CocoPeople],
        skeleton: Skeleton,
        normalizer: Normalizer,
        thresholds: Sequence[float] = (),
        box_source: str = GROUND_TRUTH,
    ):
        super().__init__(truth, skeleton.num_keypoints, box_source)
        self._thresholds = thresholds or self.default_thresholds
        self.main_metric = self.names(self._thresholds)[0]
        self.skeleton = skeleton
        self.normalizer = normalizer
        self._counted = ""  # Who was evaluated, for the table.

    @property
    def results(self) -> list[dict[str, Any]]:
        people = self.people()
        keypoints = people["keypoints"].astype(np.float64)
        scores = oks.rescore(keypoints, people["box_score"].astype(np.float64), 0.0)
        return [
            {
                "image_id": int(people["image_id"][row]),
                "category_id": self.category_id,
                "keypoints": keypoints[row].ravel().tolist(),
                "score": float(scores[row]),
            }
            for row in np.lexsort((people["person_id"], people["image_id"]))
        ]

    def evaluate(self, image_ids: Iterable[int] | None = None) -> dict[str, float]:
        matched = match_by_id(
            PredictedPeople.of_arrays(self.people()),
            AnnotatedPeople.of_people(
                self.truth.content,
                self._num_keypoints,
                None if image_ids is None else set(image_ids),
            ),
        )
        distances = measure(matched, self.normalizer)
        self._tell(distances)
        return self.score(distances)

    @staticmethod
    @abc.abstractmethod
    def names(thresholds: Sequence[float]) -> list[str]:
        """The names of the metrics at some thresholds, the main one first."""

    @abc.abstractmethod
    def score(self, distances: Distances) -> dict[str, float]:
        """The metrics by name."""

    def _tell(self, distances: Distances) -> None:
        unknown = distances.num_unknown
        missed = int((~distances.is_predicted).sum())
        self._counted = f"{len(distances.values):,} {self.unit}"
        if unknown:
            self._counted += f", {unknown:,} without a length left out"
        if missed:
            logging.getLogger(__name__).warning(
                "%d of the %d %s in %s received no prediction: %s.",
                missed,
                len(distances.values),
                self.unit,
                self.truth.path,
                self.of_missed,
            )
