"""What may be given as an image: a path, the bytes of a file, pixels, a PIL image."""

import os
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from hrnet_tf.data.files import media, pictures
from hrnet_tf.messages import UserError, one_line

ImageLike: TypeAlias = (
    str | os.PathLike[str] | bytes | BinaryIO | np.ndarray | Image.Image
)

_BYTES = (bytes, bytearray, memoryview)

_ACCEPTED = (
    "give a path, an open file or its bytes, an RGB array of uint8 [height, width, 3], "
    "a PIL image, or a list of these"
)


class ImageError(UserError):
    """Something given as an image that is none."""


def is_image(given: object) -> bool:
    """Whether this stands for one image; a stack of arrays stands for several."""
    if hasattr(given, "ndim"):
        return given.ndim != 4
    is_file = hasattr(given, "read")  # Which has lines, but no images.
    return is_file or isinstance(given, (str, os.PathLike, *_BYTES, Image.Image))


def pixels_of(given: Any) -> np.ndarray:
    """Returns the pixels of an image, uint8 [H, W, 3], RGB.

    Files and PIL images are turned by their EXIF orientation, as viewers show them;
    grey, transparent and 16-bit ones become plain RGB.

    Raises:
        ImageError: If it is no image.
        MediaError: If a file cannot be read.
    """
    if isinstance(given, (str, os.PathLike)):
        return media.read_image(os.fsdecode(given))
    if isinstance(given, Image.Image):
        return _checked(_pixels_of_pillow(given))
    if hasattr(given, "read"):
        given = given.read()
    elif hasattr(given, "numpy"):  # A tensor of TensorFlow or PyTorch.
        given = given.numpy()
    if isinstance(given, _BYTES):
        try:
            return pictures.decode(bytes(given), "apply")
        except pictures.PictureError as error:
            raise ImageError(f"The {len(given)} bytes are {error}.") from error
    if isinstance(given, np.ndarray):
        return _checked(given)
    raise ImageError(f"No image can be made of a {type(given).__name__}: {_ACCEPTED}.")


def _pixels_of_pillow(image: Image.Image) -> np.ndarray:
    try:
        return pictures.pixels_of_pillow(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow raises all kinds at damaged files.
        raise ImageError(f"The PIL image cannot be read: {one_line(error)}.") from error


def _checked(pixels: np.ndarray) -> np.ndarray:
    is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    if not is_rgb or pixels.dtype != np.uint8:
        raise ImageError(
            "No image can be made of an array of "
            f"{pixels.dtype} {list(pixels.shape)}: {_ACCEPTED}."
        )
    return pixels
