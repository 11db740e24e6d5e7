"""Label images as they are stored: grey values, palettes, colours.

What a viewer would blend or round is refused, since labels must be exact.
"""

import dataclasses

import numpy as np
from PIL import Image

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.images import read_file
from hrnet_tf.data.files.picture_headers import Header
from hrnet_tf.messages import one_line


@dataclasses.dataclass(frozen=True)
class LabelImage:
    """A label image.

    Attributes:
        path: Where it is.
        values: Whole numbers [H, W]: grey values or palette indices; of a coloured
            image uint8 [H, W, 3], RGB.
        bits: How many bits a grey value has.
        palette: The colours of all indices, uint8 [256, 3], if there is a palette.
        palette_size: How many of them the file gives.
    """

    path: str
    values: np.ndarray
    bits: int = 8
    palette: np.ndarray | None = None
    palette_size: int = 0

    @property
    def shown(self) -> np.ndarray:
        """Grey values as viewers show them: those of 1, 2 and 4 bits reach to 255."""
        return self.values * (255 // (2**self.bits - 1) if self.bits < 8 else 1)


def read_label_image(path: str, max_pixels: int) -> LabelImage:
    """Reads a label image of at most `max_pixels`. Raises `Unusable`."""
    encoded = read_file(path, "labels")
    try:
        header = pictures.read_header(encoded, max_pixels)
        with pictures.open_with_pillow(encoded, header) as image:
            image.load()
            pictures.check_size(image.size, header)
    except pictures.PictureError as error:
        raise Unusable("unreadable labels", f"{path} is {error}.") from None
    except MemoryError:
        raise Unusable(
            "labels too large for memory",
            f"{path}: there is not enough memory to decode it.",
        ) from None
    except Exception as error:  # Pillow raises all kinds at damaged files.
        raise Unusable(
            "corrupt labels", f"{path} is damaged or not an image: {one_line(error)}."
        ) from None
    if image.format in ("JPEG", "MPO"):
        raise Unusable(
            "labels as JPEG",
            f"{path} is a JPEG file, which does not keep labels exactly; use PNG.",
        )
    return _read(path, image, header, _bits(encoded, image))


def _bits(encoded: bytes, image: Image.Image) -> int:
    """Bits per value, as the header of a PNG file says; else by Pillow's mode."""
    if image.format == "PNG":
        return encoded[24]
    return 1 if image.mode == "1" else 8


def _read(path: str, image: Image.Image, header: Header, bits: int) -> LabelImage:
    mode, array = image.mode, pictures.as_stored(np.asarray(image), header)
    if mode in ("LA", "RGBA"):
        _check_opacity(path, array[..., -1] == 255)
        mode, array = mode[:-1], array[..., :-1]
    if mode in ("L", "RGB") and bits > 8:
        # Pillow drops the lower half of every value.
        raise Unusable(
            "unreadable labels",
            f"{path} has {bits} bits per channel; labels in colour or with an alpha "
            "channel must have 8.",
        )
    if mode == "L":
        # Pillow gives values as viewers show them.
        array = array.reshape(array.shape[:2]) // (255 // (2**bits - 1))
    _check_opacity(path, _is_opaque(array, image.info.get("transparency")))
    if mode == "P":
        colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(colors)] = colors
        return LabelImage(path, array, palette=palette, palette_size=len(colors))
    if mode in ("1", "L"):
        return LabelImage(path, array.astype(np.uint8), bits)
    is_whole = array.ndim == 2 and np.issubdtype(array.dtype, np.integer)
    if mode != "RGB" and not is_whole:
        raise Unusable(
            "unreadable labels",
            f"{path} is an image with the mode {mode}; labels must be a grey, a "
            "palette or an RGB image.",
        )
    return LabelImage(path, array)


def _is_opaque(
    values: np.ndarray, transparent: bytes | int | tuple[int, ...] | None
) -> np.ndarray:
    """Which pixels are, given opacities of the first values, or a transparent one."""
    if isinstance(transparent, bytes):
        opacities = np.full(256, 255)
        opacities[: len(transparent)] = list(transparent)
        return opacities[values] == 255
    if transparent is None:
        return np.full(values.shape[:2], True)
    if values.dtype == bool:
        return values != bool(transparent)
    is_other = values != transparent
    return is_other.any(-1) if is_other.ndim == 3 else is_other


def _check_opacity(path: str, is_opaque: np.ndarray) -> None:
    if count := np.count_nonzero(~is_opaque):
        raise Unusable(
            "transparent labels",
            f"{path} has {count} pixels that are not opaque, so that their labels are "
            "not exact; save it without transparency.",
        )


def read_grey_labels(
    path: str, max_pixels: int, mapping: np.ndarray, allowed: str
) -> np.ndarray:
    """Reads a grey label image as uint8 [H, W]; see `map_values`. Raises `Unusable`."""
    values = read_label_image(path, max_pixels).values
    if values.ndim != 2:
        raise Unusable(
            "coloured labels", f"{path} is an RGB image; labels must be grey."
        )
    return map_values(values, mapping, path, allowed)


def map_values(
    values: np.ndarray, mapping: np.ndarray, path: str, allowed: str
) -> np.ndarray:
    """Turns stored values into class numbers, uint8 of the same shape.

    `mapping` int64 [N] has the class number of each value, or -1. Other values raise
    `Unusable`, whose message names the `path` and the `allowed` ones: "LIP's labels".
    """
    inside = (values >= 0) & (values < len(mapping))
    mapped = np.where(inside, mapping[np.where(inside, values, 0)], -1)
    if (mapped < 0).any():
        wrong = np.unique(values[mapped < 0])
        raise Unusable(
            "unknown label",
            f"{path} holds the value {wrong[0]}, which is not one of {allowed}.",
        )
    return mapped.astype(np.uint8)
