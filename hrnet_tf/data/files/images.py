"""The bytes of image files for records, checked by decoding them.

Training decodes the pixels as they are stored, so that a picture which annotations know
as viewers show it must be stored that way: `--exif=apply` turns it.
"""

import re

import cv2
import numpy as np
import tensorflow as tf

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.picture_headers import Header
from hrnet_tf.input_files import (
    MAX_PIXELS,
    TOO_LARGE,
    InputFileError,
    open_input,
    read_bytes,
)

# The most that TensorFlow decodes, in training.
_MOST_IN_RECORDS = 2**29 // 3
_JPEG_QUALITY = 95


def read_image_file(
    path: str,
    identity: str = "",
    exif: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[bytes, int, int]:
    """Reads a JPEG or PNG file that decodes completely, or raises `Unusable`.

    Messages show `identity` after the path, such as " (image 7)". With `exif` "apply"
    a picture with an EXIF orientation is turned and encoded anew, as JPEG of quality
    95, or as PNG if it was one. More than `max_pixels` are refused.

    Returns:
        Its bytes, and the image's height and width.
    """
    encoded = read_file(path, "image", identity)
    pixels, header = decode_stored(encoded, f"{path}{identity}", max_pixels)
    if exif == "apply" and header.orientation != 1:
        try:
            upright = pictures.turned(pixels.numpy(), header.orientation)
            encoded = _encode(upright, as_png=header.format == "PNG")
        except MemoryError:
            raise _too_large(f"{path}{identity}") from None
        return encoded, *upright.shape[:2]
    height, width = pixels.shape[:2]
    return encoded, height, width


def decode_stored(
    encoded: bytes, source: str, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, Header]:
    """Decodes a JPEG or PNG file as training does: uint8 [H, W, 3], and its header.

    Raises `Unusable`, whose sentence begins with the `source`.
    """
    try:
        header = pictures.read_header(encoded, max_pixels)
    except pictures.PictureError as error:
        raise Unusable("unreadable image", f"{source} is {error}.") from None
    if header.pixels > _MOST_IN_RECORDS:
        raise Unusable(
            "unreadable image",
            f"{source} has {header.pixels} pixels, and TensorFlow decodes at most "
            f"{_MOST_IN_RECORDS}; make it smaller.",
        )
    if header.format not in ("JPEG", "PNG"):
        raise Unusable(
            "not JPEG or PNG",
            f"{source} is neither a JPEG nor a PNG file; convert it to one of these.",
        )
    try:
        # Training decodes with the same function: what passes here cannot stop a run
        # there. It refuses truncated files, where others fill the missing rows with
        # grey.
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise _too_large(source) from None
    except tf.errors.InvalidArgumentError:
        raise Unusable(
            "corrupt image",
            f"{source} is damaged or truncated: it does not decode"
            f"{pictures.damage(encoded, header)}.",
        ) from None
    return pixels, header


def _too_large(source: str) -> Unusable:
    return Unusable(
        "image too large for memory",
        f"{source}: there is not enough memory to decode it.",
    )


def _encode(pixels: np.ndarray, as_png: bool) -> bytes:
    suffix, options = ".png", []
    if not as_png:
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cv2.imencode(suffix, pixels[..., ::-1], options)[1].tobytes()


def can_be_path(text: str) -> bool:
    """Whether a text can name a file."""
    return bool(text) and is_plain(text)


def is_plain(text: str) -> bool:
    """Whether UTF-8 can hold a text, which has no NUL."""
    return not re.search("[\0\ud800-\udfff]", text)


def orientation_of(path: str) -> int:
    """The EXIF orientation of an image file, 1 to 8; 1 if it cannot be read."""
    try:
        with open_input(path) as file:
            return pictures.orientation(file)
    except InputFileError:
        return 1


def read_file(path: str, kind: str, identity: str = "") -> bytes:
    """Reads a file, or raises `Unusable`; faults are counted by its `kind`: "image"."""
    if not can_be_path(path):
        raise Unusable(f"missing {kind}", f"{path!r} cannot be the name of a file.")
    try:
        return read_bytes(path)
    except InputFileError as error:
        fault = error.fault
        what = f"{kind} {fault}" if fault == TOO_LARGE else f"{fault} {kind}"
        raise Unusable(what, f"{path}{identity} {error.reason}.") from None
