"""Cameras of this machine, by their numbers, with the times at which frames came."""

import glob
import os
import re
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np

from hrnet_tf.data.files.media import MediaError
from hrnet_tf.data.files.video import PATIENCE, Video, VideoInfo

# Failed reads in a row, at such intervals in seconds, for which nobody waits longer.
_INTERVAL = 0.05


def open_camera(number: int) -> Video:
    """Opens a camera; its video ends when it is closed.

    Raises:
        MediaError: If there is no such camera, or another program has it.
    """
    if sys.platform.startswith("linux") and number not in camera_numbers():
        raise MediaError(f"There is no camera {number}: {_known()}.")
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise MediaError(
            f"Camera {number} cannot be opened: is it there, and does no other program "
            "use it?"
        )
    frames = _frames(capture, number)
    first = next(frames)
    rate = capture.get(cv2.CAP_PROP_FPS)
    info = VideoInfo(
        width=first[1].shape[1],
        height=first[1].shape[0],
        frames_per_second=rate if 1 <= rate < 1000 else 30.0,
    )
    video = Video(f"camera {number}", info, frames)
    video.callback(capture.release)
    return video


def camera_numbers() -> list[int]:
    """The cameras that Linux knows."""
    names = map(os.path.basename, glob.glob("/dev/video*"))
    found = (re.fullmatch(r"video(\d+)", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def _known() -> str:
    numbers = camera_numbers()
    if not numbers:
        return "this machine has none"
    return f"this machine has {', '.join(map(str, numbers))}"


def _frames(
    capture: cv2.VideoCapture, number: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds, image) as they come."""
    last = time.monotonic()
    while True:
        is_read, frame = capture.read()
        now = time.monotonic()
        if is_read:
            last = now
            yield now, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        elif now - last > PATIENCE:
            raise MediaError(
                f"Camera {number} sends nothing for {PATIENCE:.0f} seconds: is it "
                "still connected?"
            )
        else:
            time.sleep(_INTERVAL)
