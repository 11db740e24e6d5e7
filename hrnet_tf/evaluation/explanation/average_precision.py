"""Keypoint AP of predictions that were changed, or of some people only.

pycocotools computes it, as for `keypoint_AP`, but without people by size and AR.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.evaluation.coco_files import index
from hrnet_tf.evaluation.coco_keypoints import index_people
from hrnet_tf.evaluation.coco_metrics import UNDEFINED, prepare, quietly
from hrnet_tf.evaluation.matched import MatchedPeople, PredictedPeople


class AveragePrecision:
    """AP over object keypoint similarity (OKS), from 0.5 to 0.95."""

    name = "AP"
    lower_is_better = False
    ranks_people = True

    def __init__(self, people: CocoPeople, sigmas: Sequence[float]):
        """Takes the truth and the skeleton's K sigmas."""
        self._truth = index_people(people)
        self._sigmas = np.asarray(sigmas, np.float64)

    def __call__(
        self, matches: MatchedPeople, image_ids: Iterable[int] | None = None
    ) -> float:
        """AP of those predictions and people; NaN if nobody counts.

        As in COCO, a prediction that fits someone who does not count is neither right
        nor wrong. `image_ids` are the images to look at; all by default.
        """
        evaluation = self.compare(
            matches.predicted, matches.annotated.counts, image_ids
        )
        quietly(evaluation.accumulate)
        precision = evaluation.eval["precision"]
        is_defined = (precision != UNDEFINED).all()
        return float(precision.mean()) if is_defined else np.nan

    def compare(
        self,
        predicted: PredictedPeople,
        counted: np.ndarray | None = None,
        image_ids: Iterable[int] | None = None,
        thresholds: Sequence[float] | None = None,
    ) -> COCOeval:
        """Matches N predictions with M people.

        Args:
            predicted: The predictions.
            counted: bool [M], who is expected to be predicted. None: all who have
                labelled keypoints.
            image_ids: Images to look at; all by default.
            thresholds: At which OKS, instead of AP's ten.

        Returns:
            An evaluation in whose `evalImgs` annotations and predictions have their
            rows, plus one, as ids.
        """
        truth = self._truth if counted is None else _with_counted(self._truth, counted)
        (category,) = truth.cats
        rows = [
            {
                "image_id": image_id,
                "category_id": category,
                "keypoints": keypoints.ravel(),
                "score": score,
            }
            for image_id, keypoints, score in zip(
                predicted.image_id.tolist(),
                predicted.keypoints,
                predicted.score.tolist(),
                strict=True,
            )
        ]
        evaluation = prepare(truth, rows, "keypoints", image_ids, self._sigmas)
        params = evaluation.params
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        if thresholds is not None:
            params.iouThrs = np.array(thresholds)
        quietly(evaluation.evaluate)
        return evaluation


def _with_counted(truth: COCO, counted: np.ndarray) -> COCO:
    """The same truth, where everyone else is there but not expected."""
    annotations: list[dict[str, Any]] = [
        # COCOeval takes the keypoints for OKS all the same.
        annotation if is_counted else {**annotation, "num_keypoints": 0}
        for annotation, is_counted in zip(
            truth.dataset["annotations"], counted, strict=True
        )
    ]
    return index({**truth.dataset, "annotations": annotations})
