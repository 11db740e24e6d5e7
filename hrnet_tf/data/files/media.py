"""Images, folders of images and videos, in and out.

Images are uint8 RGB arrays [height, width, 3]. EXIF orientation is ignored, as COCO's
annotations do.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator

import cv2
import numpy as np

from hrnet_tf.messages import UserError
from hrnet_tf.output_files import written_whole

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")

# Frame rate assumed when a file gives none.
_DEFAULT_FRAMES_PER_SECOND = 25.0


class MediaError(UserError):
    """An image or a video that cannot be read or written."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself."""

    width: int  # of its frames, in pixels
    height: int
    frames_per_second: float
    num_frames: int | None  # as it claims; None if it does not say


def is_video(path: str) -> bool:
    """Whether a file is named like a video."""
    return path.lower().endswith(VIDEO_SUFFIXES)


def find_images(path: str) -> list[str]:
    """Lists the images of a folder and its subfolders, in alphabetical order.

    A file stands for itself, whatever its name. Raises `MediaError` if there is no such
    path, or no image in it.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise MediaError(f"There is no file or folder {path}.")
    found = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name.lower().endswith(IMAGE_SUFFIXES)
    )
    if not found:
        raise MediaError(
            f"{path} holds no image: none of its files ends in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def read_image(path: str) -> np.ndarray:
    """Reads an image; grey, transparent and 16-bit ones become plain RGB.

    Raises:
        MediaError: If it cannot be read.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}.") from error
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(content, flags) if content.size else None
    if image is None:
        raise MediaError(f"{path}: not an image, or a damaged one.")
    return np.ascontiguousarray(image[..., ::-1])


def open_video(path: str) -> tuple[VideoInfo, Iterator[np.ndarray]]:
    """Opens a video, or raises `MediaError`.

    Returns:
        What it says about itself, and its frames one by one, to the last that can be
        decoded.
    """
    if not os.path.isfile(path):
        raise MediaError(f"There is no video {path}.")
    capture = cv2.VideoCapture(path)
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
        raise MediaError(f"{path}: not a video, or one that OpenCV cannot decode.")
    info = VideoInfo(
        width=int(width),
        height=int(height),
        frames_per_second=rate if rate > 0 else _DEFAULT_FRAMES_PER_SECOND,
        num_frames=int(count) if count > 0 else None,
    )
    return info, _frames(capture)


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        capture.release()


class VideoWriter(contextlib.ExitStack):
    """Writes an MP4 video; it appears under its name when all of it is written."""

    def __init__(self, path: str, info: VideoInfo):
        """Writes nothing yet: the file is opened on entering the `with` block."""
        super().__init__()
        self._path = path
        self._info = info

    def __enter__(self) -> "VideoWriter":
        """Opens a file beside `path`, or raises `MediaError`."""
        self._writer = cv2.VideoWriter(
            self.enter_context(written_whole(self._path)),
            cv2.VideoWriter.fourcc(*"mp4v"),
            self._info.frames_per_second,
            (self._info.width, self._info.height),
        )
        if not self._writer.isOpened():
            raise MediaError(f"OpenCV cannot write an MP4 video to {self._path}.")
        self.callback(self._writer.release)
        return self

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame, uint8 [height, width, 3], RGB."""
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))
