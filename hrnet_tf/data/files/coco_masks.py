"""Checks masks of COCO files before pycocotools' C code, which trusts them, sees them.

A mask is a list of polygons, or run lengths: `size` [height, width] and `counts`, a
list of numbers or COCO's compressed text.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.messages import shown, shown_at

_KIND = "bad mask"
# Characters of the compressed text carry 6 bits from "0" on: 5 of a number and one that
# says whether the number goes on.
_FIRST, _LAST = ord("0"), ord("0") + 63
_GOES_ON, _SIGN = 0x20, 0x10
# Characters of one number: 35 bits, more than the pixels of any image.
_LONGEST = 7
# Times the sum of an image's sides. pycocotools needs memory in proportion.
_LONGEST_OUTLINE = 200


def read_mask(
    entry: dict[str, Any], height: int, width: int, advice: str
) -> dict[str, Any]:
    """Compresses the `segmentation` of an object, which must cover a pixel.

    Raises `Unusable`, with `advice` for objects without a mask, if it cannot be used.
    """
    rle = compress(entry, height, width, advice)
    if not coco_mask.area(rle):
        raise Unusable(
            "empty mask",
            f"segmentation covers no pixel of the {width}x{height} image. "
            f"{advice}".rstrip(),
        )
    return rle


def compress(
    entry: dict[str, Any], height: int, width: int, advice: str = ""
) -> dict[str, Any]:
    """Compresses a `segmentation`: polygons, or run lengths of either kind.

    Raises `Unusable` if it is neither, or belongs to an image of another size.
    """
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, list) and segmentation:
        for polygon in segmentation:
            _check_polygon(polygon, height, width)
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(
        segmentation
    ):
        raise Unusable(
            _KIND,
            f"segmentation is {shown_at('segmentation', entry)}; it must be a list of "
            f"polygons or an object with size and counts. {advice}".rstrip(),
        )
    size, counts = segmentation["size"], segmentation["counts"]
    if size != [height, width]:
        raise Unusable(
            _KIND,
            f"segmentation has the size {shown(size)}; the image has "
            f"{[height, width]}.",
        )
    runs = _read_counts(counts)
    num_pixels = height * width
    # Without the first check, the sum could exceed 64 bits.
    if np.abs(runs).max() > num_pixels or not _adds_up(runs, num_pixels):
        raise Unusable(
            _KIND, "segmentation's counts do not add up to the image's pixels."
        )
    rle = {"size": [height, width], "counts": counts}
    if isinstance(counts, list):
        return coco_mask.frPyObjects(rle, height, width)
    return rle


def _check_polygon(polygon: Any, height: int, width: int) -> None:
    if not is_number_list(polygon) or len(polygon) < 6 or len(polygon) % 2:
        raise Unusable(
            _KIND,
            f"segmentation holds the polygon {shown(polygon)}; it must be numbers x, y "
            "of three points or more.",
        )
    # pycocotools walks along the outline in fifths of pixels, off the image too.
    points = np.array([*polygon, *polygon[:2]], np.float64).reshape(-1, 2)
    length = np.abs(np.diff(points, axis=0)).max(axis=1).sum()
    if np.abs(points[0]).max() + length > _LONGEST_OUTLINE * (height + width + 4):
        raise Unusable(
            _KIND,
            f"segmentation holds the polygon {shown(polygon)}, whose outline reaches "
            f"far beyond the {width}x{height} image.",
        )


def _read_counts(counts: Any) -> np.ndarray:
    """Run lengths, int64; those of text are decoded. Raises `Unusable`."""
    if isinstance(counts, str) and counts:
        return _decompress(counts)
    is_whole = isinstance(counts, list) and all(
        type(count) is int and abs(count) < 2**62 for count in counts
    )
    if not is_whole or not counts:
        raise Unusable(
            _KIND,
            f"segmentation's counts are {shown(counts)}; they must be COCO's "
            "compressed text, or a list of whole numbers, the lengths of runs.",
        )
    return np.array(counts, np.int64)


def _adds_up(runs: np.ndarray, num_pixels: int) -> bool:
    """Whether lengths of runs cover so many pixels, none of them negative."""
    return len(runs) <= num_pixels + 1 and runs.min() >= 0 and runs.sum() == num_pixels


def _decompress(text: str) -> np.ndarray:
    """COCO's compressed run lengths, as rleFrString of its maskApi.c reads them."""
    encoded = text.encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(encoded, np.uint32).astype(np.int64)
    if codes.min() < _FIRST or codes.max() > _LAST:
        is_bytes = text.startswith(("b'", 'b"'))
        advice = ": Python prints bytes so; write the text between the quotes"
        raise Unusable(
            _KIND,
            f"segmentation's counts {shown(text)} are no compressed run lengths"
            f"{advice if is_bytes else ''}.",
        )
    codes -= _FIRST
    ends = np.flatnonzero(codes & _GOES_ON == 0)
    starts = np.concatenate([[0], ends + 1])[: len(ends)]
    lengths = ends + 1 - starts
    if not ends.size or ends[-1] != len(codes) - 1 or lengths.max() > _LONGEST:
        raise Unusable(
            _KIND, f"segmentation's counts {shown(text)} are cut off or damaged."
        )
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((codes & 0x1F) << 5 * places, starts)
    runs -= np.where(codes[ends] & _SIGN, np.int64(1) << 5 * lengths, 0)
    # From the fourth on, numbers are differences to the run before last. No text fits
    # into memory whose 35-bit numbers add up to 64 bits.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def is_number_list(values: Any) -> bool:
    """Whether this is a list of numbers; NaN, infinite and absurdly large are not."""
    return isinstance(values, list) and all(
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -1e9 < value < 1e9
        for value in values
    )
