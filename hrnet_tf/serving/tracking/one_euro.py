"""The One Euro filter of a person's keypoints: still when slow, prompt when fast.

Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012, algorithm 1. Every keypoint has a
filter of its own, which knows the time since the keypoint was last seen, so that a rate
of frames that varies changes nothing. Speeds count in sizes of the person, which makes
one setting do for near and far people.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """How much the One Euro filter smooths.

    Attributes:
        min_cutoff: The cutoff frequency of a point that rests, in hertz. Lower ones
            take away more jitter.
        beta: How much the cutoff grows with speed, in hertz for each size of the person
            that a point moves in a second. Higher ones take away more lag.
        speed_cutoff: The cutoff frequency of the speed, in hertz.
        least_score: Keypoints that score at most this are missing.
        sure_score: Keypoints that score less than this move their filter by less.
        memory: Seconds without a keypoint after which its filter begins anew.
    """

    min_cutoff: float = 1.0
    beta: float = 8.0
    speed_cutoff: float = 1.0
    least_score: float = 0.2
    sure_score: float = 0.5
    memory: float = 0.5


class OneEuroFilter:
    """The K keypoints of one person, frame after frame."""

    def __init__(self, num_keypoints: int, smoothing: Smoothing):
        """Has seen nothing yet."""
        self._settings = smoothing
        self._points = np.zeros([num_keypoints, 2])
        self._speeds = np.zeros([num_keypoints, 2])  # pixels in a second
        self._seen = np.full(num_keypoints, -np.inf)  # seconds

    def update(self, keypoints: np.ndarray, seconds: float, size: float) -> np.ndarray:
        """Takes the keypoints of a frame, and returns them smoothed.

        Args:
            keypoints: [K, 3], x and y in pixels and the score.
            seconds: When the frame was taken, later than the one before.
            size: The person's, in pixels: the square root of the box's area.

        Returns:
            float32 [K, 3], with the scores that were given. A keypoint that is missing
            moves as the others do, until it is forgotten.
        """
        settings = self._settings
        given, scores = np.asarray(keypoints[:, :2], np.float64), keypoints[:, 2]
        is_seen = (scores > settings.least_score) & np.isfinite(given).all(axis=1)
        is_known = seconds - self._seen <= settings.memory
        goes_on = is_seen & is_known
        before = self._points.copy()
        if goes_on.any():
            self._follow(goes_on, given, scores, seconds, size)
        begins = is_seen & ~is_known
        self._points[begins], self._speeds[begins] = given[begins], 0
        is_missing = is_known & ~is_seen
        if goes_on.any():
            moved = np.median((self._points - before)[goes_on], axis=0)
            self._points[is_missing] += moved
        self._seen[is_seen] = seconds
        told = np.where((is_seen | is_missing)[:, np.newaxis], self._points, given)
        return np.column_stack([told, scores]).astype(np.float32)

    def _follow(
        self,
        which: np.ndarray,
        given: np.ndarray,
        scores: np.ndarray,
        seconds: float,
        size: float,
    ) -> None:
        settings = self._settings
        elapsed = (seconds - self._seen[which])[:, np.newaxis]
        steps = given[which] - self._points[which]
        speeds = self._speeds[which]
        speeds += _share(settings.speed_cutoff, elapsed) * (steps / elapsed - speeds)
        pace = np.linalg.norm(speeds, axis=1, keepdims=True) / max(size, 1.0)
        cutoff = settings.min_cutoff + settings.beta * pace
        trust = np.minimum(scores[which] / settings.sure_score, 1.0)[:, np.newaxis]
        self._speeds[which] = speeds
        self._points[which] += trust * _share(cutoff, elapsed) * steps


def _share(cutoff: float | np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    """The share of a new value that passes a low-pass filter, after so many seconds."""
    turns = 2 * np.pi * cutoff * elapsed
    return turns / (turns + 1)
