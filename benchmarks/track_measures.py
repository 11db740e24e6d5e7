"""What tracking is measured by: IDF1, switches, jitter and lag.

IDF1 is that of Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking", 2016; switches are those of Bernardin and Stiefelhagen,
"Evaluating Multiple Object Tracking Performance", 2008. A person who was found is a
person who is there if the OKS of the visible keypoints is at least 0.5.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.tracking.similarity import pose_similarities

_LEAST_OKS = 0.5
# Of people of whom less can be seen nobody is asked, nor blamed for having found them.
LEAST_VISIBLE = 0.3
_SIGMAS = np.array(load_skeleton("coco17").sigmas)


@dataclasses.dataclass(frozen=True)
class Found:
    """The people found in a frame: numbers [P] and keypoints [P, K, 3]."""

    track_ids: np.ndarray
    keypoints: np.ndarray


@dataclasses.dataclass
class Counted:
    """Frames of a film, counted one by one.

    Attributes:
        truth: People to be found, in all frames.
        found: People who were found, in all frames.
        together: How often a person who is there had a number, by both.
        switches: How often a person who is there got another number than before.
        pairs: (seconds, person, keypoints [K, 3] found, [K, 3] true) of each match.
    """

    truth: int = 0
    found: int = 0
    switches: int = 0
    together: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    pairs: list[tuple[float, int, np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=list
    )
    last: dict[int, int] = dataclasses.field(default_factory=dict)

    def add(
        self, seconds: float, people: Sequence[Mapping[str, Any]], found: Found
    ) -> None:
        """Counts a frame: the people who are there, and those who were found."""
        self.truth += sum(person["visible"] >= LEAST_VISIBLE for person in people)
        self.found += len(found.track_ids)
        for row, column in _matches(people, found):
            person = people[row]
            if person["visible"] < LEAST_VISIBLE:
                self.found -= 1
                continue
            who, number = person["track_id"], int(found.track_ids[column])
            self.together[who, number] = self.together.get((who, number), 0) + 1
            self.switches += self.last.get(who, number) != number
            self.last[who] = number
            pair = found.keypoints[column], _keypoints(person)
            self.pairs.append((seconds, who, *pair))

    @property
    def idf1(self) -> float:
        """Twice the frames that the best one-to-one naming has right, over all."""
        whos = sorted({who for who, _ in self.together})
        numbers = sorted({number for _, number in self.together})
        table = np.zeros([len(whos), len(numbers)])
        for (who, number), count in self.together.items():
            table[whos.index(who), numbers.index(number)] = count
        right = table[linear_sum_assignment(table, maximize=True)].sum()
        return float(2 * right / max(self.truth + self.found, 1))


def _matches(
    people: Sequence[Mapping[str, Any]], found: Found
) -> Iterable[tuple[int, int]]:
    true = np.array([_keypoints(person) for person in people]).reshape(-1, 17, 3)
    if not (true[..., 2] == 2).any() or not len(found.track_ids):
        return []
    boxes = np.stack([_whole_box(keypoints) for keypoints in true])
    # Only what is visible counts, in an area that others do not hide.
    true[..., 2] = true[..., 2] == 2
    seen = found.keypoints.copy()
    seen[..., 2] = 1
    likeness = pose_similarities(
        true, boxes, seen, np.repeat(boxes[:1], len(seen), 0), _SIGMAS, 0.5
    )
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [pair for pair in pairs if likeness[pair] >= _LEAST_OKS]


def _keypoints(person: Mapping[str, Any]) -> np.ndarray:
    return np.reshape(np.float64(person["keypoints"]), [-1, 3])


def _whole_box(keypoints: np.ndarray) -> np.ndarray:
    points = keypoints[keypoints[:, 2] > 0, :2] if keypoints[:, 2].any() else keypoints
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return np.concatenate([low, high - low])


def jitter(counted: Counted) -> float:
    """Mean acceleration of points that rest, in pixels for each frame squared."""
    found = []
    for _, keypoints, true in _sequences(counted):
        rests = np.ptp(true[..., :2], axis=0).max(axis=-1) < 1e-6
        steps = np.diff(keypoints[:, rests, :2], n=2, axis=0)
        found.append(np.linalg.norm(steps, axis=-1).ravel())
    return float(np.mean(np.concatenate(found)))


def lag(counted: Counted, frames_per_second: float) -> float:
    """How many frames points that move are late: along their way, in the mean."""
    late = way = 0.0
    for seconds, keypoints, true in _sequences(counted):
        speeds = np.gradient(true[..., :2], seconds, axis=0)
        is_visible = (true[..., 2] == 2)[..., np.newaxis]
        errors = (true[..., :2] - keypoints[..., :2]) * is_visible
        late += float((errors * speeds).sum())
        way += float((np.square(speeds) * is_visible).sum())
    return late / way * frames_per_second


def _sequences(
    counted: Counted,
) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each person, seconds [T], keypoints found [T, K, 3] and true ones."""
    for who in sorted({who for _, who, _, _ in counted.pairs}):
        rows = [row for row in counted.pairs if row[1] == who]
        seconds, _, found, true = zip(*rows, strict=True)
        yield np.array(seconds), np.stack(found), np.stack(true)
