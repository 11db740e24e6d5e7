"""Whether scores can be believed: are keypoints of confidence 0.8 right in 80 %?"""

import dataclasses

import numpy as np

from hrnet_tf.evaluation.explanation.errors import LEAST_NEAR, UNLABELLED, Errors
from hrnet_tf.evaluation.explanation.tables import Table, as_count, as_percent

_BINS = 10


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Confidence beside truth, in bins of confidence of equal width.

    Attributes:
        counts: int64 [B], how many are in each bin.
        confidence: float64 [B], their mean confidence; NaN in empty bins.
        right: float64 [B], the share of them that is right; NaN in empty bins.
    """

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @property
    def expected_error(self) -> float:
        """Expected calibration error: how far both differ, averaged over all; or NaN.

        Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).
        """
        if not self.counts.sum():
            return float("nan")
        differences = np.abs(self.confidence - self.right)
        return float(np.nansum(self.counts * differences) / self.counts.sum())

    def table(self) -> Table:
        """The bins that are not empty, the most confident first."""
        edges = np.linspace(0, 1, len(self.counts) + 1)
        rows = {
            f"{edges[place]:.1f} to {edges[place + 1]:.1f}": (
                *(float(self.counts[place]), float(self.confidence[place])),
                float(self.right[place]),
            )
            for place in reversed(range(len(self.counts)))
            if self.counts[place]
        }
        return Table(
            "confidence",
            {"keypoints": as_count, "mean": as_percent, "right": as_percent},
            rows,
            "Labelled keypoints of predicted people by the height of their peak. "
            f"right: a similarity to the truth of at least {LEAST_NEAR:g}.",
        )


def calibrate(confidence: np.ndarray, is_right: np.ndarray) -> Calibration:
    """Compares confidences [N], cut to 0 and 1, with what was right, bool [N]."""
    confidence = np.clip(confidence, 0, 1)
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Calibration(
            counts,
            np.bincount(place, confidence, minlength=_BINS) / counts,
            np.bincount(place, is_right, minlength=_BINS) / counts,
        )


def calibrate_keypoints(errors: Errors) -> Calibration:
    """Of all labelled keypoints of people who were found."""
    asked = errors.kinds != UNLABELLED
    return calibrate(
        errors.matches.predicted.keypoints[..., 2][asked],
        errors.similarity[asked] >= LEAST_NEAR,
    )
