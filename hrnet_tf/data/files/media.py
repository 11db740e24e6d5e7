"""Images, folders of images and videos, in and out.

Images are uint8 RGB arrays [height, width, 3], turned by their EXIF orientation as
viewers show them; see `data.files.pictures`.
"""

import contextlib
import dataclasses
import logging
import math
import os
from collections.abc import Iterator

import cv2
import numpy as np

from hrnet_tf.data.files import pictures
from hrnet_tf.input_files import (
    MAX_PIXELS,
    MISSING,
    InputFileError,
    is_remote,
    open_input,
    read_bytes,
)
from hrnet_tf.messages import UserError, listed
from hrnet_tf.output_files import written_whole

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif"),
)
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".3gp"),
    *(".3g2", ".wmv", ".flv", ".ogv", ".ts", ".mts", ".m2ts"),
)
# FFmpeg's formats of these. Its others are pictures, text or lists of further files,
# whatever a file is named.
_VIDEO_FORMATS = (
    *("mov", "mp4", "3gp", "avi", "matroska", "webm", "mpeg", "mpegts", "mpegvideo"),
    *("m4v", "h264", "hevc", "asf", "flv", "ogg"),
)
_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# FFmpeg's own lines about a damaged file say nothing that our sentences do not.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# What is named when it is left out of a folder, and what to do about it.
_SKIPPED = {
    (".heic", ".heif"): "HEIC files cannot be read here; convert them to JPEG or PNG.",
    (".gif", ".jp2"): "GIF and JPEG 2000 files are left out; convert them to PNG.",
    VIDEO_SUFFIXES: "Videos in a folder are left out; give each as the input.",
}

# Frame rate assumed when a file gives none, or one that no camera has: some give the
# unit of their time stamps, such as 1000 or 90000 per second.
_DEFAULT_FRAMES_PER_SECOND = 25.0
_ABSURD_FRAMES_PER_SECOND = 1000.0

# Seconds: time stamps that are further apart are taken for mistakes.
_LONGEST_GAP = 10.0

# Failed reads in a row after which a video is over: its end looks like damage.
_MOST_MISSES = 500

# VP9 plays in browsers; MPEG-4 Part 2 is what every OpenCV can write.
_CODECS = ("vp09", "mp4v")

_log = logging.getLogger(__name__)


class MediaError(UserError):
    """An image or a video that cannot be read or written."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself."""

    width: int  # of its frames, in pixels
    height: int
    frames_per_second: float
    num_frames: int | None  # an estimate; None if it does not say


def is_video(path: str) -> bool:
    """Whether a path is named like a video, and no folder."""
    return path.lower().endswith(VIDEO_SUFFIXES) and not os.path.isdir(path)


def is_hidden(name: str) -> bool:
    """Whether a file is one of those that Macs add: ._photo.jpg, .DS_Store."""
    return name.startswith("._") or name == ".DS_Store"


def find_images(path: str) -> list[str]:
    """Lists the images of a folder and its subfolders, in alphabetical order.

    A file stands for itself, whatever its name. What Macs add is passed over, and what
    cannot be looked at is named in the log. Raises `MediaError` if there is no such
    path, or no image in it.
    """
    if not _is_folder(path):
        try:
            open_input(path).close()
        except InputFileError as error:
            if error.fault == MISSING:
                raise MediaError(f"There is no file or folder {path}.") from None
            raise MediaError(str(error)) from None
        return [path]
    files = [
        os.path.join(folder, name)
        for folder, _, names in _walk(path)
        for name in names
        if not is_hidden(name)
    ]
    found = sorted(name for name in files if name.lower().endswith(IMAGE_SUFFIXES))
    told = _skipped(files)
    if not found:
        sentence = (
            f"{path} holds no image: none of its files ends in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
        raise MediaError(" ".join([sentence, *told]))
    for sentence in told:
        _log.warning("%s", sentence)
    return found


def _is_folder(path: str) -> bool:
    if not is_remote(path):
        return os.path.isdir(path)
    import tensorflow as tf

    return tf.io.gfile.isdir(path)


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    if not is_remote(folder):
        return os.walk(folder, onerror=_tell_of_folder)
    import tensorflow as tf

    return tf.io.gfile.walk(folder)


def _skipped(files: list[str]) -> list[str]:
    """Names those files that people could take for images, or want predicted."""
    told = []
    for suffixes, reason in _SKIPPED.items():
        names = sorted(name for name in files if name.lower().endswith(suffixes))
        if names:
            told.append(f"{reason} Skipped: {len(names)} ({listed(names)}).")
    return told


def _tell_of_folder(error: OSError) -> None:
    _log.warning("The folder %s is skipped: %s.", error.filename, error.strerror)


def read_image(
    path: str, exif: str = "apply", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Reads an image; grey, transparent and 16-bit ones become plain RGB.

    Args:
        path: A file.
        exif: "apply" turns the image as viewers do, "ignore" leaves it as stored.
        max_pixels: The most that an image may have.

    Raises:
        MediaError: If it cannot be read.
    """
    try:
        return pictures.decode(read_bytes(path), exif, max_pixels)
    except InputFileError as error:
        raise MediaError(str(error)) from None
    except pictures.PictureError as error:
        raise MediaError(f"{path}: {error}.") from error
    except MemoryError:
        raise MediaError(f"{path}: there is not enough memory to read it.") from None


def open_video(path: str, max_pixels: int = MAX_PIXELS) -> tuple[VideoInfo, "Frames"]:
    """Opens a video of frames of at most `max_pixels`, or raises `MediaError`.

    Returns:
        What it says about itself, and its frames one by one, to the last that can be
        decoded.
    """
    try:
        open_input(path).close()
    except InputFileError as error:
        raise MediaError(str(error)) from None
    capture = _open_capture(path)
    width, height, rate, count = (
        capture.get(which)
        for which in (
            cv2.CAP_PROP_FRAME_WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT,
            cv2.CAP_PROP_FPS,
            cv2.CAP_PROP_FRAME_COUNT,
        )
    )
    if not capture.isOpened() or width <= 0 or height <= 0:
        capture.release()
        picture = pictures.look_at(path)
        raise MediaError(
            f"{path} holds a picture ({picture.format}), not a video: rename it."
            if picture
            else f"{path}: not a video, or one that OpenCV cannot decode."
        )
    if width * height > max_pixels:
        capture.release()
        raise MediaError(
            f"{path} has frames of {width:.0f}x{height:.0f} pixels; a frame may have "
            f"at most {max_pixels} in all: make it smaller, or allow more with "
            "--max_pixels."
        )
    if not 0 < rate < _ABSURD_FRAMES_PER_SECOND or not math.isfinite(rate):
        _log.warning(
            "%s gives %g frames per second, which no camera takes; %g is assumed.",
            *(path, rate, _DEFAULT_FRAMES_PER_SECOND),
        )
        rate = _DEFAULT_FRAMES_PER_SECOND
    info = VideoInfo(
        width=int(width),
        height=int(height),
        frames_per_second=rate,
        num_frames=int(count) if count > 0 else None,
    )
    return info, Frames(capture)


def _open_capture(path: str) -> cv2.VideoCapture:
    given = os.environ.get(_FFMPEG_OPTIONS)
    allowed = f"format_whitelist;{','.join(_VIDEO_FORMATS)}"
    os.environ[_FFMPEG_OPTIONS] = "|".join(filter(None, (given, allowed)))
    try:
        # A relative path could be a protocol of FFmpeg: concat:other.mp4. Others of
        # OpenCV's readers take a number in a name for that of a picture.
        return cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    finally:
        os.environ.pop(_FFMPEG_OPTIONS)
        if given is not None:
            os.environ[_FFMPEG_OPTIONS] = given


class Frames(Iterator[np.ndarray]):
    """The frames of a video.

    Attributes:
        seconds: When the last one is shown, after the first one.
        missed: How many reads failed before the last one.
    """

    def __init__(self, capture: cv2.VideoCapture):
        self.seconds = 0.0
        self.missed = 0
        self._capture = capture
        self._start: float | None = None

    def __next__(self) -> np.ndarray:
        # More may follow a damaged spot.
        for misses in range(_MOST_MISSES):
            try:
                is_read, frame = self._capture.read()
            except cv2.error:  # Such as a frame that is too large for memory.
                continue
            if is_read:
                self._count(misses)
                return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()
        raise StopIteration

    def _count(self, misses: int) -> None:
        self.missed += misses
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._start is None:
            self._start = seconds
        self.seconds = seconds - self._start


class VideoWriter(contextlib.ExitStack):
    """Writes an MP4 video; it appears under its name when all of it is written."""

    def __init__(self, path: str, info: VideoInfo):
        """Writes nothing yet: the file is opened on entering the `with` block."""
        super().__init__()
        self._path = path
        self._info = info
        self._count = 0
        self._last: np.ndarray | None = None
        self._last_seconds = 0.0
        self._shift = 0.0  # what is added to the frames' times, in frames

    def __enter__(self) -> "VideoWriter":
        """Opens a file beside `path`, or raises `MediaError`."""
        partial = self.enter_context(written_whole(self._path))
        for codec in _CODECS:
            self._writer = cv2.VideoWriter(
                partial,
                cv2.VideoWriter.fourcc(*codec),
                self._info.frames_per_second,
                (self._info.width, self._info.height),
            )
            if self._writer.isOpened():
                break
            self._writer.release()
        else:
            raise MediaError(f"OpenCV cannot write an MP4 video to {self._path}.")
        if codec != _CODECS[0]:
            _log.warning(
                "This OpenCV cannot write VP9: %s is MPEG-4 Part 2, which browsers do "
                "not play.",
                self._path,
            )
        self.callback(self._writer.release)
        return self

    def write(self, frame: np.ndarray, seconds: float = 0.0) -> None:
        """Appends a frame, uint8 [height, width, 3], RGB.

        `seconds` is when it is due, so that a video whose rate varies takes as long as
        before: the one before is repeated until then, and a frame that is too late is
        left out. Times that do not advance, or jump, say nothing.
        """
        gap = self._gap(seconds)
        if gap < -1.5:
            return
        current = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        before = current if self._last is None else self._last
        for picture in [*[before] * round(gap), current]:
            self._writer.write(picture)
            self._count += 1
        self._last = current

    def _gap(self, seconds: float) -> float:
        """How many frames are missing before one that is due then."""
        rate = self._info.frames_per_second
        if not math.isfinite(seconds):
            return 0.0
        gap = seconds * rate + self._shift - self._count
        most = _LONGEST_GAP * rate
        usable = min(gap, most) if seconds > self._last_seconds else 0.0
        self._shift += usable - gap
        self._last_seconds = seconds
        return usable
