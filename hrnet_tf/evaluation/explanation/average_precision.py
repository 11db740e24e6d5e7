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
from hrnet_tf.evaluation.matched import PredictedPeople


class AveragePrecision:
    """AP over object keypoint similarity (OKS), from 0.5 to 0.95."""

    name = "AP"

    def __init__(self, people: CocoPeople, sigmas: Sequence[float]):
        """Takes the truth and the skeleton's K sigmas."""
        self._truth = index_people(people)
        self._sigmas = np.asarray(sigmas, np.float64)

    def __call__(
        self,
        predicted: PredictedPeople,
        counted: np.ndarray | None = None,
        image_ids: Iterable[int] | None = None,
    ) -> float:
        """Computes AP.

        Args:
            predicted: N people.
            counted: bool [M], which of the annotated people are expected to be
                predicted. As in COCO, a prediction that fits another counts neither for
                nor against. None: all with labelled keypoints.
            image_ids: Images to look at; all by default.

        Returns:
            AP in [0, 1]; NaN if nobody is counted.
        """
        evaluation = self.compare(predicted, counted, image_ids)
        quietly(evaluation.accumulate)
        precision = evaluation.eval["precision"]
        is_defined = precision != UNDEFINED
        return float(precision[is_defined].mean()) if is_defined.any() else np.nan

    def compare(
        self,
        predicted: PredictedPeople,
        counted: np.ndarray | None = None,
        image_ids: Iterable[int] | None = None,
        thresholds: Sequence[float] | None = None,
    ) -> COCOeval:
        """Matches predictions with people, at the given OKS instead of AP's ten.

        In `evalImgs` of the answer, annotations and predictions have their rows, plus
        one, as ids.
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
