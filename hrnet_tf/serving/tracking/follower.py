"""Follows the people of a video from crop to crop; a detector looks now and then.

A pose model is cropped around where the last keypoints lead, so that the detector need
not see every frame. It looks at every so many of them for who is new, at once when
somebody is lost, and twice as often until everybody is found or forgotten.

>>> import hrnet_tf
>>> pose = hrnet_tf.load("exported/pose/1")
>>> follower = hrnet_tf.Follower(pose, hrnet_tf.load("exported/detector/1"))
>>> for seconds, image in [(0.0, image_of_a_camera()), (0.04, image_of_a_camera())]:
...     people = follower.look(image, seconds)
"""

import dataclasses
from typing import Any

import numpy as np

from hrnet_tf.messages import shown
from hrnet_tf.ops.box_overlaps import box_overlaps
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.predictor import Predictor
from hrnet_tf.serving.tracking import crops
from hrnet_tf.serving.tracking.assignment import best_pairs
from hrnet_tf.serving.tracking.tracker import Tracker, TrackingError

DETECT_EVERY = 10

# A detected box that overlaps as much with the box of somebody who is expected is
# theirs.
_SAME_BOX = 0.4
# The least mean score of the keypoints of somebody who is still in the crop.
_LEAST_MEAN = 0.3
_LEAST_SCORE = 0.2


class Follower:
    """Finds and follows people, frame by frame.

    Attributes:
        detector_calls: How many frames the detector has seen.
    """

    def __init__(
        self,
        model: Predictor[Any],
        detector: Predictor[Any] | None = None,
        *,
        detect_every: int = DETECT_EVERY,
        tracker: Tracker | None = None,
    ):
        """Follows nobody yet.

        Args:
            model: A pose model, or one that finds people and their keypoints. The
                latter sees every frame whole, if it is one of `hrnet_tf.join`.
            detector: Finds people for a pose model. Without it, one person is looked
                for in the whole image, and followed from there.
            detect_every: The detector sees one of so many frames, and those in which
                somebody is lost.
            tracker: Tells who is who, and smooths; by default, one with its defaults.

        Raises:
            TrackingError: If the model finds no people, or takes no detector.
        """
        if model.unit != "people":
            raise TrackingError(
                f"{model!r} finds no people's keypoints: only those of pose models are "
                "followed."
            )
        if detector is not None and not model.needs_boxes:
            raise TrackingError(f"{model!r} takes no detector: only pose models do.")
        if detect_every < 1:
            raise TrackingError(
                f"detect_every={shown(detect_every)} must be a number of frames from 1."
            )
        self.detector_calls = 0
        self._model = model
        self._detector = model if model.finds_people_apart else detector
        self._sees_all = self._detector is None and not model.needs_boxes
        self._every = detect_every
        self._tracker = tracker or Tracker()
        self._since = detect_every  # frames since the detector's last one

    def look(
        self, image: np.ndarray, seconds: float, boxes: Boxes | None = None
    ) -> Any:
        """Looks at the next frame.

        Args:
            image: uint8 [H, W, 3], RGB.
            seconds: When it was taken, on any clock.
            boxes: Where people are, if that is known.

        Returns:
            The model's prediction, a `PosePrediction`, with `track_ids`.

        Raises:
            TrackingError: If the frame is not later than the one before.
        """
        if boxes is not None or self._sees_all:
            found = self._model.predict_image(image, boxes)
        else:
            found = self._follow(image, seconds)
        return self._tracker.update(found, seconds)

    def _follow(self, image: np.ndarray, seconds: float) -> Any:
        expected = self._tracker.crops(seconds)
        self._since += 1
        if self._is_due():
            return self._look(image, seconds, self._detect(image), *expected)[0]
        found, numbers = self._look(image, seconds, _NOBODY, *expected)
        if self._tracker.misses_somebody(found, seconds):
            there = Boxes(found.boxes, found.box_scores)
            found, _ = self._look(image, seconds, self._detect(image), there, numbers)
        return found

    def _is_due(self) -> bool:
        """Whether it is time to look for people."""
        if self._detector is None:
            return self._tracker.follows_nobody
        return self._since >= self._every / (2 if self._tracker.has_lost else 1)

    def _detect(self, image: np.ndarray) -> Boxes:
        self._since = 0
        if self._detector is None:
            return Boxes.of_whole(image)
        self.detector_calls += 1
        return self._detector.find_people(image)

    def _look(
        self,
        image: np.ndarray,
        seconds: float,
        detected: Boxes,
        expected: Boxes,
        numbers: np.ndarray,
    ) -> tuple[Any, np.ndarray]:
        """The people in the boxes, each once, and for whom they were looked at.

        Args:
            image: uint8 [H, W, 3], RGB.
            seconds: When it was taken.
            detected: What the detector found, if it was asked.
            expected: Where people should be, by their last keypoints.
            numbers: int64 [T], the numbers of these people.
        """
        overlaps = box_overlaps(expected.boxes, detected.boxes)
        is_other = np.ones(len(numbers), bool)
        # Each box is one person's: who is behind is still looked for.
        is_other[[row for row, _ in best_pairs(overlaps, _SAME_BOX)]] = False
        given = Boxes(
            np.concatenate([detected.boxes, expected.boxes[is_other]]),
            np.concatenate([detected.scores, expected.scores[is_other]]),
        )
        found = self._model.predict_image(image, given)
        begin = len(detected.boxes)
        numbers = np.append(np.zeros(begin, np.int64), numbers[is_other])
        found = dataclasses.replace(found, boxes=self._boxes_around(found, begin))
        stays = crops.is_there(
            *(found.keypoints, given.boxes, image.shape[:2]),
            *(_LEAST_SCORE, _LEAST_MEAN),
        )
        stays[:begin] = True
        followed = found.chosen(range(begin, len(numbers)))
        stays[begin:] &= self._tracker.recognized(followed, numbers[begin:], seconds)
        found, numbers = found.chosen(np.flatnonzero(stays).tolist()), numbers[stays]
        places = self._tracker.different_people(found, seconds)
        return found.chosen(places), numbers[places]

    def _boxes_around(self, found: Any, begin: int) -> np.ndarray:
        """The people's boxes, in crops around their keypoints, [P, 4].

        A crop says where somebody was expected, and keypoints who is there. A whole
        image says nothing.
        """
        boxes, least = found.boxes.copy(), crops.LEAST_SIDE
        if self._detector is None:
            begin, least = 0, 0.0
        for place in range(begin, len(boxes)):
            boxes[place] = crops.box_around(
                found.keypoints[place], boxes[place], _LEAST_SCORE, least
            )
        return boxes


_NOBODY = Boxes.of([])
