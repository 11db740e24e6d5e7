"""Files of pictures: what can be read, and how EXIF says that a picture is shown.

Cameras often store a picture lying on its side, with an EXIF orientation (1 to 8; 1 is
upright) by which viewers turn it. Annotations may have been made on either: `--exif`
of the converters and of `hrnet_tf.predict` says which.
"""

import contextlib
import io
import os
import warnings

import cv2
import numpy as np
from PIL import Image

from hrnet_tf.data.files import picture_headers
from hrnet_tf.data.files.picture_headers import DamagedHeaderError, Header
from hrnet_tf.input_files import MAX_PIXELS, InputFileError, is_remote, open_input
from hrnet_tf.messages import UserError, one_line

# Turn pictures as viewers do, or take the pixels as they are stored.
EXIF_RULES = ("apply", "ignore")

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
# Times that the decoder of a JPEG file may go over as many pixels as an image may have.
# Those of cameras need about ten.
_MOST_SCANS = 16
_MOST_TEXT = 2**26  # bytes
_OF_PILLOW = ("AVIF", "GIF")  # OpenCV takes twice the memory for them.
_BAND = 256  # rows that are converted at once

# Pillow warns of what is below our limit, or is no fault of the pixels.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
# OpenCV's own lines about a damaged file say nothing that our sentences do not.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class PictureError(UserError):
    """Bytes that cannot be read as a picture; the message is the end of a sentence."""


def read_header(encoded: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """What a picture's file says of itself; refuses what should not be decoded.

    That is what has more than `max_pixels`, no format that is known, or a damaged
    header. Raises `PictureError`.
    """
    if not encoded:
        raise PictureError("not an image, or a damaged one: the file is empty")
    if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS:
        raise PictureError(
            "a HEIC file, which cannot be read here; convert it to JPEG or PNG"
        )
    try:
        header = picture_headers.read_header(io.BytesIO(encoded))
        if header is None:
            raise PictureError(
                "not an image, or of a format that is not read here; convert it to "
                "JPEG or PNG"
            )
        if header.pixels > max_pixels:
            raise PictureError(
                f"too large: it has {header.pixels} pixels, and an image may have at "
                f"most {max_pixels}; make it smaller, or allow more with --max_pixels"
            )
        _check_effort(encoded, header, max_pixels)
    except DamagedHeaderError as error:
        raise PictureError(f"not an image, or a damaged one: {error}") from None
    return header


def _check_effort(encoded: bytes, header: Header, max_pixels: int) -> None:
    """Refuses what takes its decoder much more than its pixels do."""
    if header.format == "JPEG":
        scans = picture_headers.count_scans(encoded)
        if scans * header.pixels > _MOST_SCANS * max_pixels:
            raise PictureError(
                f"made of {scans} scans, which would take minutes to decode; save it "
                "anew"
            )
    if header.format == "PNG":
        count = picture_headers.count_text_bytes(encoded, _MOST_TEXT)
        if count > _MOST_TEXT:
            raise PictureError(
                f"more text than picture: it holds more than {_MOST_TEXT} bytes of "
                "texts and profiles; save it without"
            )


def open_with_pillow(encoded: bytes, header: Header) -> Image.Image:
    """Pillow's image of a file whose header has been read; its pixels are not yet.

    Raises `DamagedHeaderError` if Pillow finds another size, and much else.
    """
    # Not `Image.open`, which has a limit of its own, and more formats.
    Image.init()
    make, _ = Image.OPEN[header.format]
    image = make(io.BytesIO(encoded), "")
    check_size(image.size, header)
    return image


def pixels_of_pillow(image: Image.Image) -> np.ndarray:
    """Pillow's image as uint8 [H, W, 3], RGB; of 16 bits the upper eight count."""
    if image.mode.startswith("I;16"):  # `convert` would make all above 255 white.
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=-1)
    return np.array(image.convert("RGB"))


def check_size(found: tuple[int, int], header: Header) -> None:
    """Raises `DamagedHeaderError` if a decoder finds another width and height."""
    size = (header.width, header.height)
    # Decoders turn TIFF files themselves.
    if found != size and not (header.format == "TIFF" and found == size[::-1]):
        raise DamagedHeaderError(
            f"its size is {size[0]}x{size[1]} pixels in one place, and "
            f"{found[0]}x{found[1]} in another"
        )


def damage(encoded: bytes, header: Header) -> str:
    """What keeps a file from being decoded, for people to read; "" if unknown."""
    try:
        with open_with_pillow(encoded, header) as image:
            image.load()
    except MemoryError:
        return ": there is not enough memory for its pixels"
    except Exception as error:  # Pillow raises all kinds at damaged files.
        return f": {one_line(error)}"
    return ""


def look_at(path: str) -> Header | None:
    """What a picture's file says of itself; None if it cannot be told.

    Reads the file's beginning only.
    """
    try:
        with open_input(path) as file:
            return picture_headers.read_header(file)
    except (DamagedHeaderError, InputFileError, OSError):
        return None
    except Exception:
        if not is_remote(path):
            raise
        return None  # TensorFlow's errors, which are not imported for other files.


def turned(pixels: np.ndarray, by: int) -> np.ndarray:
    """Pixels [H, W, ...] as viewers show them, given their EXIF orientation."""
    if by in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if by in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if by in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def as_stored(pixels: np.ndarray, header: Header) -> np.ndarray:
    """Pixels [H, W, ...] that OpenCV or Pillow decoded, before any turning.

    Both turn TIFF files themselves, whatever they are told.
    """
    by = header.orientation
    if header.format == "TIFF":
        return turned(pixels, {6: 8, 8: 6}.get(by, by))
    return pixels


def decode(
    encoded: bytes, exif: str = "apply", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decodes a picture of a format that `read_header` knows, uint8 [H, W, 3].

    Grey, transparent and 16-bit ones become plain RGB. `exif` is one of `EXIF_RULES`.
    Raises `PictureError`.
    """
    header = read_header(encoded, max_pixels)
    pixels = None
    if header.format not in _OF_PILLOW:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        with contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if pixels is None:
        pixels = _decode_with_pillow(encoded, header)
    try:
        check_size((pixels.shape[1], pixels.shape[0]), header)
    except DamagedHeaderError as error:
        raise PictureError(f"not an image, or a damaged one: {error}") from None
    by = 1 if exif == "ignore" else header.orientation
    return turned(as_stored(pixels, header), by)


def _decode_with_pillow(encoded: bytes, header: Header) -> np.ndarray:
    try:
        with open_with_pillow(encoded, header) as image:
            image.load()
            width, height = image.size
            pixels = np.empty((height, width, 3), np.uint8)
            # In bands: Pillow would hold copies of the whole.
            for top in range(0, height, _BAND):
                band = image.crop((0, top, width, min(top + _BAND, height)))
                pixels[top : top + _BAND] = pixels_of_pillow(band)
            return pixels
    except Exception:  # see `damage`
        reason = damage(encoded, header)
        raise PictureError(f"not an image, or a damaged one{reason}") from None
