"""A video that is open, wherever its frames come from, and the times of the frames."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

# Seconds to wait for a stream to begin, and for its next frame.
PATIENCE = 10.0

# Seconds: times that go on after a longer gap, or go back by more, are mistakes.
_LONGEST_GAP = 3600.0
_MOST_BACK = 1.0
# Between frames of which the second would not be later.
_LEAST_STEP = 0.001


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width: Of its frames as they are shown, in pixels.
        height: The same.
        frames_per_second: The mean, or an estimate.
        num_frames: An estimate; None if it does not say, or goes on for ever.
        has_audio: Whether it can be heard.
    """

    width: int
    height: int
    frames_per_second: float
    num_frames: int | None = None
    has_audio: bool = False


class Clock:
    """Times that always advance, whatever a file says.

    Attributes:
        corrected: How many times were missing, went back, or jumped.
    """

    def __init__(self, frames_per_second: float):
        """Frames without a time follow one another at this rate."""
        self.corrected = 0
        self._step = 1 / frames_per_second
        self._shift: float | None = None
        self._last = 0.0

    def advance(self, seconds: float | None) -> float:
        """When a frame is due, in seconds after the first one.

        Args:
            seconds: What the file says, on any clock; None if nothing.
        """
        if seconds is not None and not math.isfinite(seconds):
            seconds = None
        if self._shift is None:
            self._shift = -(seconds or 0.0)
            self.corrected += seconds is None
            return 0.0
        due = self._last + self._step if seconds is None else seconds + self._shift
        step = due - self._last
        if not 0 < step <= _LONGEST_GAP:
            self.corrected += 1
            is_jump = not -_MOST_BACK < step <= 0
            due = self._last + (self._step if is_jump else _LEAST_STEP)
            if is_jump and seconds is not None:
                self._shift = due - seconds
        elif seconds is None:
            self.corrected += 1
        self._last = due
        return due


class Video(contextlib.ExitStack):
    """A video that is open; it is iterated once, for (seconds, image).

    Attributes:
        info: What it says about itself.
        name: What messages call it.
        start: The time of the first frame on the file's own clock, in seconds.
        missed: How many packets before the last frame could not be decoded.
        clock: Tells the times.
    """

    def __init__(self, name: str, info: VideoInfo, frames: Iterator[Any]):
        """Takes an iterator of (seconds or None, image); None is what is damaged."""
        super().__init__()
        self.name = name
        self.info = info
        self.start = 0.0
        self.missed = 0
        self.clock = Clock(info.frames_per_second)
        self._frames = frames

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        missed, is_first = 0, True
        for found in self._frames:
            if found is None:
                missed += 1
                continue
            seconds, image = found
            if is_first:
                self.start, is_first = seconds or 0.0, False
            # What fails at the end is no frame.
            self.missed = missed
            yield self.clock.advance(seconds), image
