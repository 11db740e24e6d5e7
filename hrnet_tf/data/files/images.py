"""The bytes of image files for records, checked by decoding them.

Training decodes the pixels as they are stored, so that a picture which annotations know
as viewers show it must be stored that way: `--exif=apply` turns it.
"""

import dataclasses
import os
import re

import cv2
import numpy as np

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.picture_headers import DamagedHeaderError
from hrnet_tf.input_files import (
    MAX_PIXELS,
    TOO_LARGE,
    InputFileError,
    is_remote,
    read_bytes,
)

_SIGNATURES = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"  # of JPEG and PNG
# The most that TensorFlow decodes, in training.
_MOST_IN_RECORDS = 2**29 // 3
_JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class ImageRules:
    """How image files are read, as flags of the converters say.

    Attributes:
        exif: "apply" turns pictures by their EXIF orientation.
        max_pixels: The most that an image may have.
        allow_outside: Whether names of files may lead out of the folder of images.
    """

    exif: str | None = None
    max_pixels: int = MAX_PIXELS
    allow_outside: bool = False


DEFAULT_RULES = ImageRules()


def read_image_file(
    path: str, identity: str = "", rules: ImageRules = DEFAULT_RULES
) -> tuple[bytes, int, int]:
    """Reads a JPEG or PNG file that decodes completely, or raises `Unusable`.

    Messages show `identity` after the path, such as " (image 7)". With `exif` "apply"
    a picture with an EXIF orientation is turned and encoded anew, as JPEG of quality
    95, or as PNG if it was one.

    Returns:
        Its bytes, and the image's height and width.
    """
    encoded = read_file(path, "image", identity)
    return check_encoded(encoded, f"{path}{identity}", rules)


def check_encoded(
    encoded: bytes, source: str, rules: ImageRules = DEFAULT_RULES
) -> tuple[bytes, int, int]:
    """As `read_image_file`, of bytes; messages begin with their `source`."""
    # Commands that only look at labels are not to wait for it.
    import tensorflow as tf

    from hrnet_tf.ops.images import decode_image

    if encoded and not encoded.startswith(_SIGNATURES):
        raise Unusable(
            "not JPEG or PNG",
            f"{source} is neither a JPEG nor a PNG file; convert it to one of these.",
        )
    try:
        header = pictures.read_header(encoded, rules.max_pixels)
    except pictures.PictureError as error:
        raise Unusable("unreadable image", f"{source} is {error}.") from None
    if header.pixels > _MOST_IN_RECORDS:
        raise Unusable(
            "unreadable image",
            f"{source} has {header.pixels} pixels, and TensorFlow decodes at "
            f"most {_MOST_IN_RECORDS}; make it smaller.",
        )
    try:
        # Training decodes with the same function: what passes here cannot stop a run
        # there. It refuses truncated files, where others fill the missing rows with
        # grey.
        pixels = decode_image(encoded)
        height, width = pixels.shape[:2]
        pictures.check_size((width, height), header)
        if rules.exif == "apply" and header.orientation != 1:
            upright = pictures.turned(pixels.numpy(), header.orientation)
            encoded = _encode(upright, as_png=header.format == "PNG")
            return encoded, *upright.shape[:2]
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise Unusable(
            "image too large for memory",
            f"{source}: there is not enough memory to decode it.",
        ) from None
    except (tf.errors.InvalidArgumentError, DamagedHeaderError):
        raise Unusable(
            "corrupt image",
            f"{source} is damaged or truncated: it does not decode"
            f"{pictures.damage(encoded, header)}.",
        ) from None
    return encoded, height, width


def _encode(pixels: np.ndarray, as_png: bool) -> bytes:
    suffix, options = ".png", []
    if not as_png:
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cv2.imencode(suffix, pixels[..., ::-1], options)[1].tobytes()


def path_below(folder: str, name: str, allow_outside: bool = False) -> str:
    """The path of a file, by its name in a folder.

    Raises `Unusable` if the name, or a link, leads out of the folder, unless allowed.
    """
    path = os.path.join(folder, name)
    if allow_outside or _is_below(folder, path, name):
        return path
    raise Unusable(
        "image outside the folder",
        f"{name} leads out of {folder}: correct it, or allow files from anywhere with "
        "--allow_outside.",
    )


def _is_below(folder: str, path: str, name: str) -> bool:
    if not is_plain_name(name):
        return False
    if is_remote(folder) or not can_be_path(path):
        return True  # Nobody knows links there; the other cannot be read.
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def is_plain_name(name: str) -> bool:
    """Whether a name with folders in it stays in the folder where it begins."""
    return not os.path.isabs(name) and ".." not in name.split("/")


def can_be_path(text: str) -> bool:
    """Whether a text can name a file."""
    return bool(text) and is_plain(text)


def is_plain(text: str) -> bool:
    """Whether UTF-8 can hold a text, which has no NUL."""
    return not re.search("[\0\ud800-\udfff]", text)


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
