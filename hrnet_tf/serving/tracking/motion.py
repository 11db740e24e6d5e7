"""How a person moves, and so where to look for them in a later frame."""

import math

import numpy as np

# Seconds over which steps are averaged, and in which somebody unseen comes to rest.
_MEMORY = 0.25
_FADING = 1.0

# Keypoints in common from which their steps are trusted.
_FEWEST = 3


class Motion:
    """A velocity that follows the last steps, and fades while nobody is seen."""

    def __init__(self) -> None:
        """Stands still."""
        self._velocity = np.zeros(2)  # pixels in a second
        self._steps = 0

    def update(self, step: np.ndarray, elapsed: float) -> None:
        """Takes a step (x, y) in pixels that took so many seconds."""
        self._steps += 1
        gain = max(1 / self._steps, 1 - math.exp(-elapsed / _MEMORY))
        self._velocity += gain * (step / elapsed - self._velocity)

    def step(self, elapsed: float) -> np.ndarray:
        """How far (x, y) the person will have come after so many seconds, in pixels."""
        return self._velocity * _FADING * (1 - math.exp(-elapsed / _FADING))


def step_between(
    before: np.ndarray,
    after: np.ndarray,
    boxes: tuple[np.ndarray, np.ndarray],
    least_score: float,
) -> np.ndarray:
    """The step (x, y) of a person between two frames, in pixels.

    Args:
        before: [K, 3], x and y in pixels and the score.
        after: The same, later.
        boxes: The person's in both frames, [4] each, x, y, width and height.
        least_score: Keypoints that score at most this do not count.

    Returns:
        float64 [2], the median over keypoints, which limbs that swing hardly change; of
        the boxes' middles if too few are seen in both.
    """
    is_common = np.minimum(before[:, 2], after[:, 2]) > least_score
    if is_common.sum() >= _FEWEST:
        steps = np.asarray(after[is_common, :2], np.float64) - before[is_common, :2]
        return np.median(steps, axis=0)
    old, new = np.asarray(boxes, np.float64)
    return new[:2] + new[2:] / 2 - old[:2] - old[2:] / 2
