"""Label Studio's brush strokes: run lengths of its own, of RGBA values in bits.

After the number of values (32 bits) and of bits in each (5, less 1) there are four
lengths (4 bits each, less 1). Then come blocks: a bit for "one value repeated", two
bits that choose a length, in so many bits how many values there are, less 1, and the
value or the values.
"""

import numpy as np

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools import masks
from hrnet_tf.messages import shown

_MOST_BYTES = 2**28


class _Bits:
    """Reads numbers of any number of bits, one after another."""

    def __init__(self, content: bytes):
        self._content = content
        self._place = 0

    def read(self, count: int) -> int:
        """The next number; raises `Unusable` at the end."""
        first, last = self._place, self._place + count
        if last > 8 * len(self._content):
            raise Unusable("bad brush", "the brush strokes (rle) are cut off.")
        part = self._content[first // 8 : (last + 7) // 8]
        self._place = last
        return int.from_bytes(part, "big") >> (-last % 8) & ((1 << count) - 1)


def read_brush(runs: list, width: int, height: int) -> np.ndarray:
    """The mask, bool [height, width], of strokes on an image. Raises `Unusable`."""
    if len(runs) > _MOST_BYTES or not all(
        type(byte) is int and 0 <= byte < 256 for byte in runs
    ):
        raise Unusable(
            "bad brush", f"rle is {shown(runs)}; it must be a list of bytes, 0 to 255."
        )
    masks.check_pixels(width, height)
    bits = _Bits(bytes(runs))
    total = bits.read(32)
    if total != 4 * width * height:
        raise Unusable(
            "bad brush",
            f"the brush strokes (rle) have {total} values; an image of "
            f"{width}x{height} needs {4 * width * height}.",
        )
    size = bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(total, bool)
    place = 0
    while place < total:
        is_run = bits.read(1)
        end = place + 1 + bits.read(lengths[bits.read(2)])
        if is_run:
            values[place:end] = bits.read(size) > 0
        else:
            part = [bits.read(size) > 0 for _ in range(min(end, total) - place)]
            values[place:end] = part
        place = end
    # Opaque is what was painted.
    return values.reshape(height, width, 4)[..., 3]
