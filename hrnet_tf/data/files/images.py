"""The bytes of image files for records, checked by decoding them.

Training decodes the pixels as they are stored, so that a picture which annotations know
as viewers show it must be stored that way: `--exif=apply` turns it.
"""

import io
import re

import cv2
import numpy as np
import tensorflow as tf

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.input_files import TOO_LARGE, InputFileError, open_input, read_bytes

_JPEG_SIGNATURE, _PNG_SIGNATURE = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_QUALITY = 95


def read_image_file(
    path: str, identity: str = "", exif: str | None = None
) -> tuple[bytes, int, int]:
    """Reads a JPEG or PNG file that decodes completely, or raises `Unusable`.

    Messages show `identity` after the path, such as " (image 7)". With `exif` "apply"
    a picture with an EXIF orientation is turned and encoded anew, as JPEG of quality
    95, or as PNG if it was one.

    Returns:
        Its bytes, and the image's height and width.
    """
    encoded = read_file(path, "image", identity)
    pixels = decode_stored(encoded, f"{path}{identity}")
    by = pictures.orientation(io.BytesIO(encoded))
    if exif == "apply" and by != 1:
        try:
            upright = pictures.turned(pixels.numpy(), by)
            encoded = _encode(upright, encoded.startswith(_PNG_SIGNATURE))
        except MemoryError:
            raise _too_large(f"{path}{identity}") from None
        return encoded, *upright.shape[:2]
    height, width = pixels.shape[:2]
    return encoded, height, width


def decode_stored(encoded: bytes, source: str) -> tf.Tensor:
    """The pixels of a JPEG or PNG file as training decodes them, uint8 [H, W, 3].

    Raises `Unusable`, whose sentence begins with the `source`.
    """
    try:
        pictures.check_size(encoded)
    except pictures.PictureError as error:
        raise Unusable("unreadable image", f"{source} is {error}.") from None
    if not encoded.startswith((_JPEG_SIGNATURE, _PNG_SIGNATURE)):
        raise Unusable(
            "not JPEG or PNG",
            f"{source} is neither a JPEG nor a PNG file; convert it to one of these.",
        )
    try:
        # Training decodes with the same function: what passes here cannot stop a run
        # there. It refuses truncated files, where others fill the missing rows with
        # grey.
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise _too_large(source) from None
    except tf.errors.InvalidArgumentError:
        raise Unusable(
            "corrupt image",
            f"{source} is damaged or truncated: it does not decode"
            f"{pictures.damage(encoded)}.",
        ) from None


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
