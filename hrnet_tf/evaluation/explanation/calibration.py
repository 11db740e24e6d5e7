"""Whether scores can be believed: are keypoints of confidence 0.8 right in 80 %?"""

import dataclasses

import numpy as np

from hrnet_tf.evaluation.explanation.errors import LEAST_NEAR, UNLABELLED, Errors
from hrnet_tf.evaluation.explanation.tables import Table, as_count, as_percent

_BINS = 10
_EXAMPLE = 8  # The bin from 0.8 to 0.9, of which is told if it is not empty.


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

    @property
    def sentence(self) -> str:
        """Whether keypoints of confidence 0.8 are right in 80 %, and all of them."""
        total = self.counts.sum()
        if not total:
            return "Nobody was found whose keypoints are labelled."
        filled = np.flatnonzero(self.counts)
        place = _EXAMPLE if _EXAMPLE in filled else filled[-1]
        mean, right = (
            np.nansum(self.counts * shares) / total
            for shares in (self.confidence, self.right)
        )
        return (
            f"Keypoints of a confidence of {self._name(place)} are right in "
            f"{as_percent(self.right[place])}; all, at {as_percent(mean)} on average, "
            f"in {as_percent(right)}. Expected calibration error: "
            f"{self.expected_error:.3f}."
        )

    def _name(self, place: int) -> str:
        low, high = place / len(self.counts), (place + 1) / len(self.counts)
        return f"{low:.1f} to {high:.1f}"

    def table(self) -> Table:
        """The bins that are not empty, the most confident first."""
        rows = {
            self._name(place): (
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
