"""The share of keypoints that are nearly right: PCK, tPCK and MPII's PCKh.

A keypoint is right if it lies nearer to the annotated one than a threshold times the
person's length. PCK takes the mean of the keypoints' shares, as MMPose does; divided by
the distance of shoulder and hip it is known as tPCK.

PCKh is by official lib/dataset/mpii.py: lengths are sizes of heads, the mean is of all
labelled keypoints without pelvis and thorax, and what is called PCKh@0.1 is at a
threshold of 0.11 (`pckAll[11]`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import ANNOTATIONS, Skeleton
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.coco_metrics import UNDEFINED, format_percent, mean
from hrnet_tf.evaluation.distances import Distances, Normalizer
from hrnet_tf.evaluation.measured_people import MeasuringEvaluator
from hrnet_tf.evaluation.people import GROUND_TRUTH

THRESHOLDS = (0.2,)
# The names of MPII's two figures, and the thresholds of the official code.
MPII_THRESHOLDS = {"PCKh@0.5": 0.5, "PCKh@0.1": 0.11}
HEAD_SIZE = Normalizer("head sizes of the annotations", ANNOTATIONS)
# MPII's groups of joints; of two, the mean counts.
MPII_GROUPS: dict[str, tuple[str, ...]] = {
    "head": ("head_top",),
    **{
        part: (f"left_{part}", f"right_{part}")
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    },
}
# Not in the mean.
_LEFT_OUT = ("pelvis", "thorax")


def names(thresholds: Sequence[float]) -> list[str]:
    """The names of PCK at some thresholds, or the default ones."""
    return [f"PCK@{threshold:g}" for threshold in thresholds or THRESHOLDS]


def head_names(thresholds: Sequence[float]) -> list[str]:
    """The names of PCKh at some thresholds, or the official ones."""
    return list(_head_thresholds(thresholds))


def _head_thresholds(thresholds: Sequence[float]) -> dict[str, float]:
    given = {f"PCKh@{threshold:g}": threshold for threshold in thresholds}
    return given or MPII_THRESHOLDS


class PCKEvaluator(MeasuringEvaluator):
    """PCK at one or more thresholds, in [0, 1]."""

    default_thresholds = THRESHOLDS
    names = staticmethod(names)

    def score(self, distances: Distances) -> dict[str, float]:
        metrics = {}
        for name, threshold in zip(
            names(self._thresholds), self._thresholds, strict=True
        ):
            shares = _shares(distances.values < threshold, distances.is_labelled)
            metrics[name] = mean(shares[shares != UNDEFINED])
        return metrics

    def format_table(
        self, metrics: Mapping[str, float], flip_test: bool, codec: str
    ) -> str:
        columns = names(self._thresholds)
        return "\n".join(
            [
                f"PCK, divided by {self.normalizer.words}, {self._counted}, "
                f"{self._circumstances(flip_test, codec)}",
                " ".join(f"{f'{name} (%)':>14}" for name in columns),
                " ".join(f"{format_percent(metrics[name]):>14}" for name in columns),
            ]
        )


class PCKhEvaluator(MeasuringEvaluator):
    """PCKh with MPII's groups of joints, as far as the skeleton has them, in [0, 1]."""

    names = staticmethod(head_names)

    def __init__(
        self,
        truth: Truth[CocoPeople],
        skeleton: Skeleton,
        thresholds: Sequence[float] = (),
        box_source: str = GROUND_TRUTH,
    ):
        """Without `thresholds`, they are MPII's."""
        super().__init__(truth, skeleton, HEAD_SIZE, thresholds, box_source)
        self._named = _head_thresholds(thresholds)
        self._is_official = not thresholds
        self._groups = {
            group: [skeleton.keypoints.index(name) for name in members]
            for group, members in MPII_GROUPS.items()
            if set(members) <= set(skeleton.keypoints)
        }
        self._in_mean = ~np.isin(skeleton.keypoints, _LEFT_OUT)

    def score(self, distances: Distances) -> dict[str, float]:
        labelled = distances.is_labelled
        metrics = {}
        for name, threshold in self._named.items():
            is_right = distances.values <= threshold
            shares = _shares(is_right, labelled)
            counted = labelled & self._in_mean
            metrics[name] = mean(is_right[counted])
            for group, members in self._groups.items():
                # Of two joints one of which nobody has, neither has the official code
                # a mean.
                known = (shares[members] != UNDEFINED).all()
                metrics[f"{name}/{group}"] = (
                    float(shares[members].mean()) if known else UNDEFINED
                )
        return metrics

    def format_table(
        self, metrics: Mapping[str, float], flip_test: bool, codec: str
    ) -> str:
        left_out = " and ".join(n for n in _LEFT_OUT if n in self.skeleton.keypoints)
        without = f", Mean without {left_out}" if left_out else ""
        official = ", @0.1 is at 0.11 as in the official code"
        width = max(map(len, self._named)) + 4
        columns = [*(group.capitalize() for group in self._groups), "Mean"]
        lines = [
            f"PCKh, divided by {self.normalizer.words}, {self._counted}, "
            f"{self._circumstances(flip_test, codec)}"
            f"{without}{official if self._is_official else ''}",
            " " * width + "".join(f"{column:>9}" for column in columns),
        ]
        for name in self._named:
            found = [f"{name}/{group}" for group in self._groups] + [name]
            values = "".join(f"{format_percent(metrics[key]):>9}" for key in found)
            lines.append(f"{f'{name} (%)':{width}}{values}")
        return "\n".join(lines)


def _shares(is_right: np.ndarray, is_labelled: np.ndarray) -> np.ndarray:
    """The share of right ones of each keypoint [K]; `UNDEFINED` if nobody has it."""
    counts = is_labelled.sum(axis=0)
    right = (is_right & is_labelled).sum(axis=0)
    return np.where(counts > 0, right / np.maximum(counts, 1), UNDEFINED)
