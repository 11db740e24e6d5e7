"""PCKh, PCK and NME of predictions that were changed, or of some people only."""

from collections.abc import Iterable

import numpy as np

from hrnet_tf.evaluation.coco_metrics import UNDEFINED
from hrnet_tf.evaluation.distances import measure
from hrnet_tf.evaluation.matched import MatchedPeople
from hrnet_tf.evaluation.measured_people import MeasuringEvaluator


class MeasuredMetric:
    """The metric that an evaluator of annotated boxes compares models by."""

    ranks_people = False

    def __init__(self, evaluator: MeasuringEvaluator):
        self._evaluator = evaluator
        self.name = evaluator.main_metric
        self.lower_is_better = evaluator.lower_is_better

    def __call__(
        self, matches: MatchedPeople, image_ids: Iterable[int] | None = None
    ) -> float:
        """The metric; NaN if nobody counts. Predictions of nobody never do."""
        del image_ids
        distances = measure(matches, self._evaluator.normalizer)
        value = self._evaluator.score(distances)[self.name]
        return np.nan if value == UNDEFINED else value
