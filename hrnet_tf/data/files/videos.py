"""Videos, streams and cameras, read frame by frame with their true times.

PyAV reads files and streams, by FFmpeg; it is an optional dependency, which only this
module and `video_writing.py` import. Frames are uint8 RGB arrays [height, width, 3],
turned as the file asks, and their times are presentation times: a rate that varies
stays as it is.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from hrnet_tf.data.files import cameras, media, pictures
from hrnet_tf.data.files.media import MediaError
from hrnet_tf.data.files.video import PATIENCE, Video, VideoInfo
from hrnet_tf.input_files import MAX_PIXELS, InputFileError, open_input
from hrnet_tf.messages import one_line
from hrnet_tf.optional_packages import import_package

# FFmpeg's formats of videos. Its others are pictures, text or lists of further files,
# whatever a file is named.
_FORMATS = (
    *("mov", "mp4", "3gp", "avi", "matroska", "webm", "mpeg", "mpegts", "mpegvideo"),
    *("m4v", "h264", "hevc", "asf", "flv", "ogg"),
)
_LIVE = re.compile(r"(rtsps?|rtmps?|srt|udp|rtp|tcp|https?)://", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")

# Frame rate assumed when a file gives none, or one that no camera has: some give the
# unit of their time stamps, such as 1000 or 90000 per second.
_DEFAULT_FRAMES_PER_SECOND = 25.0
_ABSURD_FRAMES_PER_SECOND = 1000.0


def import_av() -> Any:
    """PyAV, or a `MediaError` that says how to install it."""
    try:
        return import_package("av")
    except ImportError as error:
        raise MediaError(
            f"Videos need PyAV ({error}): pip install 'hrnet_tf[video]'."
        ) from None


def is_stream(source: str) -> bool:
    """Whether this is the address of a stream, such as rtsp://host/path."""
    return bool(_LIVE.match(source))


def is_camera(source: str) -> bool:
    """Whether this is the number of a camera, and no file or folder."""
    return source.isdecimal() and not os.path.exists(source)


def is_video(source: str) -> bool:
    """Whether this is named like a video, or is a stream or a camera."""
    return media.is_video(source) or is_stream(source) or is_camera(source)


def _without_password(source: str) -> str:
    """An address without who may read it."""
    return _PASSWORD.sub("", source)


def open_video(source: str, max_pixels: int = MAX_PIXELS) -> Video:
    """Opens a video, or raises `MediaError`; `with` closes it.

    Args:
        source: A file's path, the address of a stream, or the number of a camera.
        max_pixels: The most that a frame may have.
    """
    if is_camera(source):
        return cameras.open_camera(int(source))
    av = import_av()
    name = _without_password(source)
    with contextlib.ExitStack() as stack:
        if is_stream(source):
            container = _open_stream(av, source, name)
        else:
            container = open_file(source, stack)
        stack.callback(container.close)
        if not container.streams.video:
            raise MediaError(f"{name}: it has no pictures, only sound or text.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise MediaError(f"{name}: FFmpeg here has no decoder for its pictures.")
        size = stream.codec_context.width, stream.codec_context.height
        if size[0] * size[1] > max_pixels:
            raise MediaError(
                f"{name} has frames of {size[0]}x{size[1]} pixels; a frame may have at "
                f"most {max_pixels} in all: make it smaller, or allow more with "
                "--max_pixels."
            )
        stream.thread_type = "AUTO"
        frames = _frames(av, container, stream, name)
        first = next((found for found in frames if found is not None), None)
        if first is None:
            raise MediaError(f"{name}: no frame of it can be decoded.")
        info = VideoInfo(
            width=first[1].shape[1],
            height=first[1].shape[0],
            frames_per_second=_rate(stream),
            num_frames=stream.frames or None,
            has_audio=_is_heard(container) and not is_stream(source),
        )
        video = Video(name, info, _chained(first, frames))
        video.push(stack.pop_all())
    return video


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def open_file(path: str, stack: contextlib.ExitStack) -> Any:
    """PyAV's container of a file, which stays open as long as the stack.

    Raises:
        MediaError: If it is no video.
    """
    av = import_av()
    try:
        # FFmpeg gets the bytes: a name could be one of its protocols or patterns.
        file = stack.enter_context(open_input(path))
    except InputFileError as error:
        raise MediaError(str(error)) from None
    try:
        return av.open(
            file,
            options={"format_whitelist": ",".join(_FORMATS)},
            metadata_errors="ignore",
        )
    except (av.FFmpegError, ValueError, OSError) as error:
        picture = pictures.look_at(path)
        raise MediaError(
            f"{path} holds a picture ({picture.format}), not a video: rename it."
            if picture
            else f"{path}: not a video, or one that FFmpeg cannot decode."
        ) from error


def _open_stream(av: Any, address: str, name: str) -> Any:
    # Packets that were lost would be torn pictures.
    options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
    try:
        return av.open(address, options=options, timeout=(PATIENCE, PATIENCE))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"{name} cannot be opened: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """What FFmpeg says, without its numbers and the address."""
    if "Immediate exit" in str(error) or "timed out" in str(error).lower():
        return f"it sent nothing for {PATIENCE:.0f} seconds"
    return one_line(getattr(error, "strerror", None) or error)


def _frames(av: Any, container: Any, stream: Any, name: str) -> Iterator[Any]:
    """Yields (seconds or None, image), and None for a packet that is damaged.

    Raises:
        MediaError: If a stream stalls, or a file cannot be read any more.
    """
    size: tuple[int, int] | None = None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.EOFError:
            packet = None
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{name} ends early: {_reason(error)}.") from None
        if packet is None:
            return
        try:
            decoded = packet.decode()
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError, OSError, MemoryError):
            yield None  # More may follow a damaged spot.
            continue
        for frame in decoded:
            size = size or (frame.width, frame.height)
            yield frame.time, _pixels(frame, size)


def _pixels(frame: Any, size: tuple[int, int]) -> np.ndarray:
    """A frame in RGB, brought to the size of the first one and turned as it asks."""
    image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _is_heard(container: Any) -> bool:
    """Whether there is sound, and a decoder that knows what it is."""
    return any(stream.codec_context for stream in container.streams.audio[:1])


def _rate(stream: Any) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < float(rate) < _ABSURD_FRAMES_PER_SECOND:
            return float(rate)
    return _DEFAULT_FRAMES_PER_SECOND
