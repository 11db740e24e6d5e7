"""Images and folders of images that are read; videos are in `videos.py`.

Images are uint8 RGB arrays [height, width, 3], turned by their EXIF orientation as
viewers show them; see `data.files.pictures`.
"""

import logging
import os
from collections.abc import Iterator

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

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif"),
)
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".3gp"),
    *(".3g2", ".wmv", ".flv", ".ogv", ".ts", ".mts", ".m2ts"),
)
# What is named when it is left out of a folder, and what to do about it.
_SKIPPED = {
    (".heic", ".heif"): "HEIC files cannot be read here; convert them to JPEG or PNG.",
    (".gif", ".jp2"): "GIF and JPEG 2000 files are left out; convert them to PNG.",
    VIDEO_SUFFIXES: "Videos in a folder are left out; give each as the input.",
}

_log = logging.getLogger(__name__)


class MediaError(UserError):
    """An image or a video that cannot be read or written."""


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
