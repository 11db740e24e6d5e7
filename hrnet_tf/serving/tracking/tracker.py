"""Who is who from frame to frame: numbers for people, and smooth keypoints.

>>> import hrnet_tf
>>> pose = hrnet_tf.load("exported/pose/1")
>>> tracker = hrnet_tf.Tracker()
>>> people = tracker.update(pose.predict("photo.jpg"), seconds=0.0)
>>> people.track_ids
array([1])
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from hrnet_tf.messages import UserError, shown
from hrnet_tf.ops import person_boxes
from hrnet_tf.ops.box_overlaps import box_overlaps
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.tracking.assignment import best_pairs
from hrnet_tf.serving.tracking.crops import box_around
from hrnet_tf.serving.tracking.motion import Motion, step_between
from hrnet_tf.serving.tracking.one_euro import OneEuroFilter, Smoothing
from hrnet_tf.serving.tracking.similarity import nearness, pose_similarities

# The least similarity of one person in two frames.
_LEAST_SIMILARITY = 0.15
# What a similarity to somebody lost counts beside one to somebody of the last frame.
_LOST = 0.8
# Seconds for which somebody who is lost is looked for where the motion leads.
_SEARCHED = 1.0
# OKS, with the pose that is expected, of somebody in the own crop.
_RECOGNIZED = 0.3
# Nobody is in two places that are as alike as these.
_SAME_PERSON = 0.6

DEFAULT_SMOOTHING = Smoothing()


class TrackingError(UserError):
    """Frames or settings that nobody can be followed with."""


class Limbed(Protocol):
    """A skeleton, of which the spread of its keypoints counts."""

    @property
    def sigmas(self) -> Sequence[float]:
        """Those of OKS."""


P = TypeVar("P", bound="People")


class People(Protocol):
    """The people of a frame, as pose models tell them: `PosePrediction`.

    Attributes:
        boxes: [P, 4], x, y, width and height in pixels.
        box_scores: [P], the detector's.
        keypoints: [P, K, 3], x and y in pixels and the score.
        scores: [P].
        track_ids: [P], or None if they have no numbers.
        skeleton: What the keypoints are.
        image: [H, W, 3], the frame.
    """

    @property
    def boxes(self) -> np.ndarray: ...
    @property
    def box_scores(self) -> np.ndarray: ...
    @property
    def keypoints(self) -> np.ndarray: ...
    @property
    def scores(self) -> np.ndarray: ...
    @property
    def skeleton(self) -> Limbed: ...
    @property
    def image(self) -> np.ndarray: ...

    def tracked(
        self: P, places: Sequence[int], keypoints: np.ndarray, track_ids: np.ndarray
    ) -> P:
        """Those in these places, with other keypoints and numbers."""


@dataclasses.dataclass(eq=False)
class _Track:
    """A person who is followed, as last seen."""

    number: int
    keypoints: np.ndarray
    box: np.ndarray
    box_score: float
    seen: float  # seconds
    filter: OneEuroFilter | None
    motion: Motion = dataclasses.field(default_factory=Motion)

    def expected(
        self, seconds: float, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints and box that are expected then, in an image of (height, width).

        Who leaves it is expected back at its border.
        """
        keypoints, box = (np.array(v, np.float64) for v in (self.keypoints, self.box))
        middle = box[:2] + box[2:] / 2
        step = self.motion.step(seconds - self.seen)
        step = np.clip(middle + step, 0, size[::-1]) - middle
        keypoints[:, :2] += step
        box[:2] += step
        return keypoints, box


class Tracker:
    """Follows people through frames, each of which it is told once and in order.

    People are matched with those of earlier frames by OKS, the overlap of boxes and how
    near they are to where their motion takes them, all at once by the Hungarian method;
    those of the last frame count more than those who were lost before.
    """

    def __init__(
        self,
        smoothing: Smoothing | None = DEFAULT_SMOOTHING,
        patience: float = 3.0,
        least_score: float = 0.3,
        keypoint_score_threshold: float = 0.2,
    ):
        """Follows nobody yet.

        Args:
            smoothing: The filter of keypoints; None leaves them as they are.
            patience: Seconds for which a person who is lost keeps the number.
            least_score: People who score less get no new number, and are left out
                unless they are known.
            keypoint_score_threshold: Keypoints that score at most this do not count.

        Raises:
            TrackingError: If the patience is no time.
        """
        if not 0 <= patience < math.inf:
            raise TrackingError(
                f"patience={shown(patience)} must be a number of seconds from 0."
            )
        self._smoothing = smoothing
        self._patience = patience
        self._least_score = least_score
        self._threshold = keypoint_score_threshold
        self._tracks: list[_Track] = []
        self._seconds = -math.inf
        self._size = (0, 0)  # the last image's (height, width)
        self._given = 0

    def update(self, people: P, seconds: float) -> P:
        """Takes the people of the next frame.

        Args:
            people: What a pose model found in it.
            seconds: When the frame was taken, on any clock.

        Returns:
            The same people in their order, without those who are unknown and score too
            little, with `track_ids`, int64 [P] from 1, and smoothed keypoints.

        Raises:
            TrackingError: If the frame is not later than the one before.
        """
        self._check(seconds)
        self._tracks = [
            track for track in self._tracks if seconds - track.seen <= self._patience
        ]
        owners = self._owners(people, seconds)
        places, keypoints, numbers = [], [], []
        for place in range(len(people.scores)):
            track = owners.get(place)
            if track is None and people.scores[place] < self._least_score:
                continue
            if track is None:
                track = self._begin(people, place, seconds)
            else:
                self._go_on(track, people, place, seconds)
            places.append(place)
            numbers.append(track.number)
            keypoints.append(self._smooth(track, seconds))
        self._seconds, self._size = seconds, people.image.shape[:2]
        shape = [len(places), *people.keypoints.shape[1:]]
        table = np.array(keypoints, np.float32).reshape(shape)
        return people.tracked(places, table, np.array(numbers, np.int64))

    def crops(self, seconds: float) -> tuple[Boxes, np.ndarray]:
        """Where people are expected in the next frame, those just lost among them.

        Args:
            seconds: When the next frame was taken.

        Returns:
            boxes: Around where keypoints are expected, T of them, with the detector's
                scores of the last boxes.
            numbers: int64 [T], the people's.
        """
        boxes, scores, numbers = [], [], []
        for track in self._tracks:
            if seconds - track.seen > _SEARCHED and track.seen < self._seconds:
                continue
            boxes.append(
                box_around(*track.expected(seconds, self._size), self._threshold)
            )
            scores.append(track.box_score)
            numbers.append(track.number)
        table = np.array(boxes, np.float32).reshape(-1, 4)
        is_person = person_boxes.holds_person(table)
        found = Boxes(table[is_person], np.array(scores, np.float32)[is_person])
        return found, np.array(numbers, np.int64)[is_person]

    @property
    def follows_nobody(self) -> bool:
        """Whether nobody was in the last frame."""
        return not self._followed()

    @property
    def has_lost(self) -> bool:
        """Whether somebody who is not forgotten was not in the last frame."""
        return len(self._followed()) < len(self._tracks)

    def misses_somebody(self, people: People, seconds: float) -> bool:
        """Whether somebody of the last frame is not among these people of the next."""
        found = self._owners(people, seconds).values()
        return any(track not in found for track in self._followed())

    def recognized(
        self, people: People, numbers: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Whether people in the crops of known ones are these, bool [P].

        A crop may show somebody else, who is in front: a pose unlike the one that is
        expected, and more like another's.

        Args:
            people: Who was found in the crops.
            numbers: int64 [P], whose crops they are.
            seconds: When the frame was taken.
        """
        poses, _, _ = self._likeness(self._tracks, people, seconds)
        rows = {track.number: row for row, track in enumerate(self._tracks)}
        own = poses[[rows[n] for n in numbers.tolist()], np.arange(len(numbers))]
        return (own >= _RECOGNIZED) | (own >= poses.max(axis=0, initial=0.0))

    def different_people(self, people: People, seconds: float) -> list[int]:
        """The places of people, without those who are one person twice.

        Two crops may show the same person when one hides the other. Who is more like
        somebody who is expected stays.
        """
        boxes, keypoints = people.boxes, people.keypoints
        likeness = self._similarities(self._tracks, people, seconds)
        best = likeness.max(axis=0) if len(likeness) else np.zeros(len(boxes))
        alike = pose_similarities(
            *(keypoints, boxes, keypoints, boxes),
            np.asarray(people.skeleton.sigmas),
            self._threshold,
        )
        kept: list[int] = []
        for place in np.lexsort([-people.scores, -best]).tolist():
            if not (alike[place, kept] > _SAME_PERSON).any():
                kept.append(place)
        return sorted(kept)

    def _check(self, seconds: float) -> None:
        if not self._seconds < seconds < math.inf:
            raise TrackingError(
                f"A frame is given for the time {shown(float(seconds))}, which is not "
                f"after that of the last one, {shown(float(self._seconds))}: frames "
                "must come in order, with their times in seconds."
            )

    def _followed(self) -> list[_Track]:
        return [track for track in self._tracks if track.seen == self._seconds]

    def _owners(self, people: People, seconds: float) -> dict[int, _Track]:
        """Those who are known among people, by their places."""
        similarities = self._similarities(self._tracks, people, seconds)
        similarities[similarities < _LEAST_SIMILARITY] = 0
        is_lost = [track.seen < self._seconds for track in self._tracks]
        similarities[is_lost] *= _LOST
        return {
            place: self._tracks[row]
            for row, place in best_pairs(similarities, _LEAST_SIMILARITY * _LOST)
        }

    def _similarities(
        self, tracks: Sequence[_Track], people: People, seconds: float
    ) -> np.ndarray:
        """Float64 [T, P]; see `similarity`."""
        return np.mean(self._likeness(tracks, people, seconds), axis=0)

    def _likeness(
        self, tracks: Sequence[_Track], people: People, seconds: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How alike people are with those expected: poses, boxes, places; [T, P]."""
        if not tracks or not len(people.boxes):
            none = np.zeros([len(tracks), len(people.boxes)])
            return none, none, none
        size = people.image.shape[:2]
        expected = [track.expected(seconds, size) for track in tracks]
        keypoints, boxes = map(np.array, zip(*expected, strict=True))
        sigmas = np.asarray(people.skeleton.sigmas)
        poses = pose_similarities(
            *(keypoints, boxes, people.keypoints, people.boxes),
            *(sigmas, self._threshold),
        )
        elapsed = np.array([seconds - track.seen for track in tracks])
        near = nearness(boxes, people.boxes, elapsed)
        return poses, box_overlaps(boxes, people.boxes), near

    def _begin(self, people: People, place: int, seconds: float) -> _Track:
        self._given += 1
        keypoints = people.keypoints[place]
        smoothing = self._smoothing
        track = _Track(
            number=self._given,
            keypoints=keypoints,
            box=people.boxes[place],
            box_score=float(people.box_scores[place]),
            seen=seconds,
            filter=OneEuroFilter(len(keypoints), smoothing) if smoothing else None,
        )
        self._tracks.append(track)
        return track

    def _go_on(self, track: _Track, people: People, place: int, seconds: float) -> None:
        keypoints, box = people.keypoints[place], people.boxes[place]
        step = step_between(
            track.keypoints, keypoints, (track.box, box), self._threshold
        )
        track.motion.update(step, seconds - track.seen)
        track.keypoints, track.box = keypoints, box
        track.box_score, track.seen = float(people.box_scores[place]), seconds

    def _smooth(self, track: _Track, seconds: float) -> np.ndarray:
        if track.filter is None:
            return track.keypoints
        size = math.sqrt(max(float(track.box[2] * track.box[3]), 1.0))
        return track.filter.update(track.keypoints, seconds, size)
