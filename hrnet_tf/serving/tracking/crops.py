"""Where to crop a person next: around the last keypoints, without a detector.

As MediaPipe's BlazePose and MoveNet do. Bazarevsky et al., "BlazePose: On-device
Real-time Body Pose tracking", 2020.
"""

import numpy as np

# The box of a person is larger than that of the keypoints: hair, hands and feet.
_GROWTH = 1.25
# A share of the last box: a person who is half hidden is still a whole one.
LEAST_SIDE = 0.8
_FEWEST = 3

# A person is lost if so few of the keypoints are seen, or so little of the box is left
# in the image.
_LEAST_SEEN = 0.2
_LEAST_INSIDE = 0.15


def box_around(
    keypoints: np.ndarray,
    box: np.ndarray,
    least_score: float,
    least_side: float = LEAST_SIDE,
) -> np.ndarray:
    """The box of a person from keypoints.

    Args:
        keypoints: [K, 3], x and y in pixels and the score.
        box: [4], the person's last box: x, y, width and height in pixels. With too few
            keypoints it stays.
        least_score: Keypoints that score at most this are not seen.
        least_side: The least that is left of the sides of that box, as a share.

    Returns:
        float64 [4].
    """
    box = np.asarray(box, np.float64)
    seen = np.asarray(keypoints[keypoints[:, 2] > least_score, :2], np.float64)
    if len(seen) < _FEWEST:
        return box
    low, high = seen.min(axis=0), seen.max(axis=0)
    sides = np.maximum(_GROWTH * (high - low), least_side * box[2:])
    return np.concatenate([(low + high - sides) / 2, sides])


def is_there(
    keypoints: np.ndarray,
    boxes: np.ndarray,
    image_size: tuple[int, int],
    least_score: float,
    least_mean: float,
) -> np.ndarray:
    """Whether people who were followed by their crops are still in them, bool [P].

    Args:
        keypoints: [P, K, 3], x and y in pixels and the score.
        boxes: [P, 4], the crops' x, y, width and height in pixels.
        image_size: (height, width) in pixels.
        least_score: Keypoints that score at most this are not seen.
        least_mean: The least mean score of the keypoints that are seen.
    """
    is_seen = keypoints[..., 2] > least_score
    count = is_seen.sum(axis=1)
    means = np.where(is_seen, keypoints[..., 2], 0).sum(axis=1) / np.maximum(count, 1)
    limits = np.array(image_size[::-1])
    low = np.clip(boxes[:, :2], 0, limits)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, limits)
    inside = (high - low).prod(axis=1) / np.maximum(boxes[:, 2:].prod(axis=1), 1e-6)
    enough = count >= _LEAST_SEEN * keypoints.shape[1]
    return enough & (means >= least_mean) & (inside >= _LEAST_INSIDE)
