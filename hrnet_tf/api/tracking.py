"""`hrnet_tf.track`: the people of a video, who keep their numbers."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from hrnet_tf.data.files import videos
from hrnet_tf.messages import shown
from hrnet_tf.serving.images import ImageLike, pixels_of
from hrnet_tf.serving.predictor import Predictor
from hrnet_tf.serving.tracking.follower import DETECT_EVERY, Follower
from hrnet_tf.serving.tracking.tracker import DEFAULT_SMOOTHING, Tracker, TrackingError

Frames: TypeAlias = Iterable[tuple[float, ImageLike]]


def track(
    model: Predictor[Any],
    source: str | os.PathLike[str] | int | Frames,
    detector: Predictor[Any] | None = None,
    *,
    smooth: bool = True,
    detect_every: int = DETECT_EVERY,
) -> Iterator[tuple[float, Any]]:
    """Follows the people of a video, a stream or a camera.

    Examples:
        >>> import hrnet_tf
        >>> pose = hrnet_tf.load("exported/pose/1")
        >>> frames = [(0.0, "photo.jpg"), (0.04, "photo.jpg")]
        >>> for seconds, people in hrnet_tf.track(pose, frames):
        ...     print(seconds, people.track_ids, people.keypoints.shape)
        0.0 [1] (1, 17, 3)
        0.04 [1] (1, 17, 3)

    Args:
        model: A pose model, or one that finds people and their keypoints.
        source: The path of a video, the address of a stream (rtsp://...), the number of
            a camera, or (seconds, image) of one frame after the other; an image is what
            `predict` takes.
        detector: Finds people for a pose model. Without it, one person is looked for in
            the whole image, and followed from there.
        smooth: Whether keypoints are smoothed.
        detect_every: The detector sees one of so many frames, and those in which
            somebody is lost.

    Yields:
        For each frame, when it is shown, in seconds, and the people, a `PosePrediction`
        whose `track_ids`, int64 [P], stay the same for a person.

    Raises:
        TrackingError: If the model finds no people, or times do not advance.
        MediaError: If a video cannot be read, or a stream stalls.
    """
    tracker = Tracker(DEFAULT_SMOOTHING if smooth else None)
    follower = Follower(model, detector, detect_every=detect_every, tracker=tracker)
    return _followed(follower, source)


def _followed(follower: Follower, source: Any) -> Iterator[tuple[float, Any]]:
    is_number = isinstance(source, int) and not isinstance(source, bool)
    if isinstance(source, (str, os.PathLike)) or is_number:
        with videos.open_video(
            os.fspath(str(source) if is_number else source)
        ) as video:
            for seconds, image in video:
                yield seconds, follower.look(image, seconds)
        return
    if not isinstance(source, Iterable):
        raise TrackingError(
            "People are followed in a video's path, a stream's address, a camera's "
            f"number, or (seconds, image) of each frame; got {shown(source)}."
        )
    for frame in source:
        seconds, pixels = _checked(frame)
        yield seconds, follower.look(pixels, seconds)


def _checked(frame: Any) -> tuple[float, np.ndarray]:
    try:
        seconds, image = frame
        seconds = float(seconds)
    except (TypeError, ValueError):
        raise TrackingError(
            "Every frame must be its time in seconds and its image, such as (0.04, "
            f"pixels); got {type(frame).__name__}."
        ) from None
    return seconds, pixels_of(image)
