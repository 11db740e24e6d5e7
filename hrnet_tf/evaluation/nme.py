"""The error of landmarks of faces: NME, how often it is large, and AUC.

A face's error is the mean distance of its labelled landmarks, divided by the face's
length; NME is the mean of the faces' errors, as in the official
HRNet-Facial-Landmark-Detection lib/core/evaluation.py. The failure rate is the share
of faces whose error is above a threshold. AUC is the area under the curve of the share
of faces whose error is at most x, from 0 to the threshold, divided by the threshold.

All are shares: an NME of 0.046 is published as 4.6 %.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_tf.evaluation.coco_metrics import format_percent, mean
from hrnet_tf.evaluation.distances import Distances
from hrnet_tf.evaluation.measured_people import MeasuringEvaluator

THRESHOLDS = (0.1,)
NME, FAILURE_RATE, AUC = "NME", "failure_rate", "AUC"


def names(thresholds: Sequence[float]) -> list[str]:
    """The names of NME and, at some or the default thresholds, of the other two."""
    kinds = (FAILURE_RATE, AUC)
    return [NME, *(f"{kind}@{t:g}" for t in thresholds or THRESHOLDS for kind in kinds)]


class NMEEvaluator(MeasuringEvaluator):
    """NME, failure rate and AUC."""

    default_thresholds = THRESHOLDS
    names = staticmethod(names)
    lower_is_better = True
    unit = "faces"
    of_missed = "NME is of the others, and they count as failures"

    def score(self, distances: Distances) -> dict[str, float]:
        labelled = distances.is_labelled
        sums = np.where(labelled, distances.values, 0.0).sum(axis=-1)
        # Nobody counts without a labelled keypoint.
        errors = sums / labelled.sum(axis=-1)
        predicted = errors[np.isfinite(errors)]
        values = [mean(predicted)]
        for threshold in self._thresholds:
            below = np.maximum(threshold - errors, 0.0) / threshold
            values += [mean(errors > threshold), mean(below)]
        return dict(zip(names(self._thresholds), values, strict=True))

    def format_table(
        self, metrics: Mapping[str, float], flip_test: bool, codec: str
    ) -> str:
        found = [(f"{name} (%)", metrics[name]) for name in names(self._thresholds)]
        return "\n".join(
            [
                f"NME, {self.normalizer.words}, {self._counted}, "
                f"{self._circumstances(flip_test, codec)}",
                " ".join(f"{name:>{max(8, len(name))}}" for name, _ in found),
                " ".join(
                    f"{format_percent(value):>{max(8, len(name))}}"
                    for name, value in found
                ),
            ]
        )
