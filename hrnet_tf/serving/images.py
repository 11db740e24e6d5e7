"""What may be given as an image: a path, the bytes of a file, pixels, a PIL image."""

import os
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps

from hrnet_tf.data.files import media, pictures
from hrnet_tf.messages import UserError

ImageLike: TypeAlias = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

_ACCEPTED = (
    "give a path, the bytes of an image file, an RGB array of uint8 [height, width, "
    "3], a PIL image, or a list of these"
)


class ImageError(UserError):
    """Something given as an image that is none."""


def is_image(given: object) -> bool:
    """Whether this stands for one image; a stack of arrays stands for several."""
    if isinstance(given, np.ndarray):
        return given.ndim != 4
    return isinstance(given, (str, os.PathLike, bytes, bytearray, Image.Image))


def pixels_of(given: object) -> np.ndarray:
    """Returns the pixels of an image, uint8 [H, W, 3], RGB.

    Files and PIL images are turned by their EXIF orientation, as viewers show them;
    grey, transparent and 16-bit ones become plain RGB.

    Raises:
        ImageError: If it is no image.
        MediaError: If a file cannot be read.
    """
    if isinstance(given, (str, os.PathLike)):
        return media.read_image(os.fspath(given))
    if isinstance(given, (bytes, bytearray)):
        try:
            return pictures.decode(bytes(given), "apply")
        except pictures.PictureError as error:
            raise ImageError(f"The {len(given)} bytes are {error}.") from error
    if isinstance(given, Image.Image):
        return np.array(ImageOps.exif_transpose(given).convert("RGB"))
    if isinstance(given, np.ndarray):
        return _checked(given)
    raise ImageError(f"No image can be made of a {type(given).__name__}: {_ACCEPTED}.")


def _checked(pixels: np.ndarray) -> np.ndarray:
    is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    if not is_rgb or pixels.dtype != np.uint8:
        raise ImageError(
            "No image can be made of an array of "
            f"{pixels.dtype} {list(pixels.shape)}: {_ACCEPTED}."
        )
    return pixels
