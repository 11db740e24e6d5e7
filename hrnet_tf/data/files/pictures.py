"""Files of pictures: what can be read, and how EXIF says that a picture is shown.

Cameras often store a picture lying on its side, with an EXIF orientation (1 to 8; 1 is
upright) by which viewers turn it. Annotations may have been made on either: `--exif`
of the converters and of `hrnet_tf.predict` says which.
"""

import io
import os
import re
import struct
import warnings
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from hrnet_tf.messages import UserError, one_line

# Turn pictures as viewers do, or take the pixels as they are stored.
EXIF_RULES = ("apply", "ignore")

# The most that TensorFlow decodes of a JPEG file, and that Pillow opens.
MAX_PIXELS = 2**29 // 3

# The second two are those of BigTIFF.
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_ORIENTATION = 0x0112
_WIDTH, _HEIGHT = 0x0100, 0x0101  # of TIFF

# Pillow warns at half of the limit, where nothing is wrong yet.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
# OpenCV's own lines about a damaged file say nothing that our sentences do not.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class PictureError(UserError):
    """Bytes that cannot be read as a picture; the message is the end of a sentence."""


def check_size(encoded: bytes) -> None:
    """Refuses an empty file and more than `MAX_PIXELS`. Raises `PictureError`."""
    if not encoded:
        raise PictureError("not an image, or a damaged one: the file is empty")
    if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS:
        raise PictureError(
            "a HEIC file, which cannot be read here; convert it to JPEG or PNG"
        )
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            count = image.width * image.height
    except Image.DecompressionBombError as error:
        (count, _) = map(int, re.findall(r"\d+", str(error)))
    except Exception:  # Pillow's readers raise all kinds at bytes that they do not know
        return
    if count > MAX_PIXELS:
        raise PictureError(
            f"too large: it has {count} pixels, and an image may have at most "
            f"{MAX_PIXELS}"
        )


def damage(encoded: bytes) -> str:
    """What keeps a file from being decoded, for people to read; "" if unknown."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except Image.UnidentifiedImageError:
        return ""
    except MemoryError:
        return ": there is not enough memory for its pixels"
    except Exception as error:  # see `check_size`
        return f": {one_line(error)}"
    return ""


def orientation(file: BinaryIO) -> int:
    """The EXIF orientation of a picture; 1 if there is none, or no picture.

    Reads the file's beginning only.
    """
    try:
        exif = Image.Exif()
        exif.load(_exif(file))
        found = exif.get(_ORIENTATION, 1)
    except Exception:  # whatever is damaged, viewers show it upright
        return 1
    return found if found in range(2, 9) else 1


def stored_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height before a picture is turned; None if they cannot be told."""
    try:
        with Image.open(file) as image:
            if image.format == "TIFF":  # Pillow tells how large it will be turned.
                return image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
            return image.size
    except Exception:  # see `check_size`
        return None


def _exif(file: BinaryIO) -> bytes:
    is_png = file.read(len(_PNG_SIGNATURE)) == _PNG_SIGNATURE
    if not is_png:
        file.seek(0)
        with Image.open(file) as image:
            if image.format == "TIFF":
                # Not a part of the file, but its structure.
                exif = Image.Exif()
                exif[_ORIENTATION] = image.tag_v2.get(_ORIENTATION, 1)
                return exif.tobytes()
            return image.info.get("exif", b"")
    # Pillow would decode all pixels to find what may stand behind them.
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"eXIf":
            return file.read(length)
        file.seek(length + 4, io.SEEK_CUR)
    return b""


def turned(pixels: np.ndarray, by: int) -> np.ndarray:
    """Pixels [H, W, ...] as viewers show them, given their EXIF orientation."""
    if by in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if by in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if by in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def as_stored(pixels: np.ndarray, encoded: bytes) -> np.ndarray:
    """Pixels [H, W, ...] that OpenCV or Pillow decoded, before any turning.

    Both turn TIFF files themselves, whatever they are told.
    """
    if not encoded.startswith(_TIFF_SIGNATURES):
        return pixels
    by = orientation(io.BytesIO(encoded))
    return turned(pixels, {6: 8, 8: 6}.get(by, by))


def decode(encoded: bytes, exif: str = "apply") -> np.ndarray:
    """Decodes a picture in any format that OpenCV or Pillow knows, uint8 [H, W, 3].

    Grey, transparent and 16-bit ones become plain RGB. `exif` is one of `EXIF_RULES`.
    Raises `PictureError`.
    """
    check_size(encoded)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:
        image = None
    pixels = _decode_with_pillow(encoded) if image is None else image[..., ::-1]
    by = 1 if exif == "ignore" else orientation(io.BytesIO(encoded))
    return turned(as_stored(pixels, encoded), by)


def _decode_with_pillow(encoded: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception:  # see `check_size`
        reason = damage(encoded)
        raise PictureError(f"not an image, or a damaged one{reason}") from None
