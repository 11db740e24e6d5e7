"""Videos that are written: MP4, each frame at its own time, and the sound of another.

H.264 where PyAV has an encoder of it, which all browsers play, else VP9 or MPEG-4.
"""

import contextlib
import logging
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from hrnet_tf.data.files.media import MediaError
from hrnet_tf.data.files.videos import import_av, open_file
from hrnet_tf.messages import one_line
from hrnet_tf.output_files import written_whole

# FFmpeg's encoders, the best first, and how they are asked for good pictures quickly.
_ENCODERS = {
    "libx264": {"crf": "20", "preset": "veryfast"},
    "libopenh264": {},
    "h264_videotoolbox": {},
    "libvpx-vp9": {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6"},
    "mpeg4": {"qmin": "2", "qmax": "6"},
}
_UNPLAYED = "mpeg4"  # by browsers

# Sound that MP4 takes as it is, and that is common in it.
_COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")

# Of samples in a second, in sound that is made AAC; what has others gets the most.
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

# Encoders take no rate below it: a picture for each quarter of an hour.
_LEAST_RATE = Fraction(1, 1000)

# Of times in a file, in a second: whole numbers for frames of all usual rates, and few
# enough for MPEG-4.
_TICKS = 60_000

_log = logging.getLogger(__name__)


class _NothingWritten(Exception):
    """Ends a video without a frame, which is no file."""


class VideoWriter(contextlib.ExitStack):
    """Writes an MP4 video; it appears under its name when all of it is written.

    Without a frame there is no file.
    """

    def __init__(
        self, path: str, frames_per_second: float, sound: "Sound | None" = None
    ):
        """Writes nothing yet: the file is opened on entering the `with` block.

        Args:
            path: The file.
            frames_per_second: About how many frames there will be, for the encoder; for
                how long the last one is shown.
            sound: What is heard with it.
        """
        super().__init__()
        self._path = path
        self._rate = frames_per_second
        self._sound = sound
        self._stream: Any = None
        self._last = -1  # ticks

    def __enter__(self) -> "VideoWriter":
        """Opens a file beside `path`. Raises `MediaError` without PyAV."""
        self._av = import_av()
        self.enter_context(contextlib.suppress(_NothingWritten))
        partial = self.enter_context(written_whole(self._path))
        options = {"movflags": "+faststart"}
        self._container = self._av.open(partial, "w", format="mp4", options=options)
        self.callback(self._container.close)
        if self._sound:
            self.callback(self._sound.close)
        self.push(self._end)
        return self

    def write(self, frame: np.ndarray, seconds: float) -> None:
        """Appends a frame.

        Args:
            frame: uint8 [height, width, 3], RGB; all of one size.
            seconds: When it is shown, after the first one; later than the one before.
        """
        if self._stream is None:
            self._begin(*frame.shape[:2])
        height, width = frame.shape[:2]
        # Colours are stored for blocks of 2x2 pixels.
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = self._av.VideoFrame.from_ndarray(even, format="rgb24")
        self._last = max(round(seconds * _TICKS), self._last + 1)
        picture.pts, picture.time_base = self._last, Fraction(1, _TICKS)
        picture.duration = round(_TICKS / self._rate)
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        self._hear(lambda sound: sound.copy(seconds))

    def _begin(self, height: int, width: int) -> None:
        name = next((n for n in _ENCODERS if _has_encoder(self._av, n)), None)
        if name is None:
            raise MediaError(f"This PyAV cannot write an MP4 video to {self._path}.")
        if name == _UNPLAYED:
            _log.warning(
                "This PyAV has no encoder of H.264 or VP9: %s is MPEG-4 Part 2, which "
                "browsers do not play.",
                self._path,
            )
        rate = max(Fraction(self._rate).limit_denominator(1001), _LEAST_RATE)
        options = _ENCODERS[name]
        self._stream = self._container.add_stream(name, rate=rate, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._hear(lambda sound: sound.begin(self._container))

    def _end(self, kind: Any, error: Any, trace: Any) -> None:
        """Writes what the encoder has kept, unless the block has failed."""
        if kind is not None:
            return
        if self._stream is None:
            raise _NothingWritten
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        end = self._last / _TICKS + 1 / self._rate
        self._hear(lambda sound: sound.copy(end))
        self._hear(lambda sound: sound.end())

    def _hear(self, step: Callable[["Sound"], None]) -> None:
        """Does something with the sound, which is left out from where it fails."""
        if self._sound is None:
            return
        try:
            step(self._sound)
        except (self._av.FFmpegError, ValueError, OSError) as error:
            _log.warning(
                "%s: its sound ends early, or is left out: %s.",
                *(self._path, one_line(error)),
            )
            self._sound = None


def _has_encoder(av: Any, name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:  # As PyAV's own error is.
        return False
    return True


class Sound(contextlib.ExitStack):
    """The sound of a video, copied into another as its frames are written."""

    def __init__(self, path: str, start: float):
        """Opens nothing yet.

        Args:
            path: The video that has it.
            start: The time of its first frame on its own clock, in seconds.
        """
        super().__init__()
        self._path = path
        self._start = start
        self._waiting: Any = None

    def begin(self, container: Any) -> None:
        """Adds it to a file that has nothing written yet."""
        source = open_file(self._path, self)
        self.callback(source.close)
        stream = source.streams.audio[0]
        self._container = container
        self._is_copied = stream.codec_context.name in _COPIED
        if self._is_copied:
            self._out = container.add_stream_from_template(stream)
            self._pieces = source.demux(stream)
        else:
            rate = stream.codec_context.sample_rate
            rate = rate if rate in _RATES else max(_RATES)
            self._out = container.add_stream("aac", rate=rate)
            self._pieces = source.decode(stream)

    def copy(self, until: float) -> None:
        """Copies what is heard until so many seconds after the first frame."""
        while True:
            piece = self._waiting or self._next()
            self._waiting = None
            if piece is None:
                return
            seconds = float(piece.pts * piece.time_base) - self._start
            if seconds > until:
                self._waiting = piece
                return
            if seconds >= 0:
                self._write(piece)

    def end(self) -> None:
        """Writes what the encoder has kept, if one is at work."""
        if not self._is_copied:
            for packet in self._out.encode(None):
                self._container.mux(packet)

    def _next(self) -> Any:
        """The next packet or frame that has a time; None at the end, or at damage."""
        av = import_av()
        with contextlib.suppress(av.FFmpegError, ValueError, OSError):
            for piece in self._pieces:
                if piece.pts is not None:
                    return piece
        return None

    def _write(self, piece: Any) -> None:
        shift = math.floor(self._start / piece.time_base)
        piece.pts -= shift
        if not self._is_copied:
            for packet in self._out.encode(piece):
                self._container.mux(packet)
            return
        if piece.dts is not None:
            piece.dts -= shift
        piece.stream = self._out
        self._container.mux(piece)
