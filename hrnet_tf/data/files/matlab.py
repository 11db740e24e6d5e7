"""Arrays of numbers in MATLAB's files of version 5, which versions 6 and 7 write, too.

A file is a header and elements, each with a type and a length; those of version 7 are
compressed. An array is an element of four: flags with its class, its shape, its name
and its numbers. SciPy reads all kinds of values, and ends the process at some damaged
files; here is what data sets need.
"""

import math
import struct
import zlib
from collections.abc import Collection, Iterator

import numpy as np

_HEADER, _TAG = 128, 8  # bytes
_MATRIX, _COMPRESSED = 14, 15
# Types of elements.
_TYPES = dict(
    zip(
        (1, 2, 3, 4, 5, 6, 7, 9, 12, 13),
        ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"),
        strict=True,
    )
)
# Classes of arrays of numbers, from double to uint64; others are texts, cells and more.
_NUMERIC = range(6, 16)
_IS_COMPLEX = 0x0800
_MOST_AXES = 8


def read_arrays(
    content: bytes, names: Collection[str], most: int
) -> dict[str, np.ndarray]:
    """The arrays of numbers that have one of the names.

    Numbers may have a smaller type than MATLAB's. Raises `ValueError` if the content is
    no such file, is damaged, or holds more than `most` bytes once it is unpacked.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None:
        raise ValueError("it does not begin as MATLAB's files of version 5 to 7 do")
    arrays = (
        _read_array(matrix, order, names)
        for matrix in _matrices(content[_HEADER:], order, most)
    )
    return {name: array for name, array in arrays if array is not None}


def _matrices(content: bytes, order: str, most: int) -> Iterator[bytes]:
    """The arrays of a file, unpacked."""
    for kind, data in _elements(content, order, is_file=True):
        matrix = kind, data
        if kind == _COMPRESSED:
            unpacked = _unpacked(data, most)
            most -= len(unpacked)
            matrix = next(_elements(unpacked, order), (0, b""))
        if matrix[0] != _MATRIX:
            raise ValueError("an element is no array")
        yield matrix[1]


def _elements(
    content: bytes, order: str, is_file: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The type and the bytes of each element, one after the other."""
    start = 0
    while start + _TAG <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, start)
        if kind >> 16:  # A short one, within its tag.
            kind, length, begin = kind & 0xFFFF, kind >> 16, start + _TAG // 2
            end = start + _TAG
            if length > _TAG // 2:
                raise ValueError("an element is longer than it can be")
        else:
            begin = start + _TAG
            end = begin + length
            # Compressed ones follow each other without a gap.
            if not (is_file and kind == _COMPRESSED):
                end += -length % 8
        if begin + length > len(content):
            raise ValueError("it ends within an element")
        yield kind, content[begin : begin + length]
        start = end


def _unpacked(data: bytes, most: int) -> bytes:
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, max(most, 1))
    except zlib.error as error:
        raise ValueError(f"an element cannot be unpacked: {error}") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("an element is cut, or larger than it may be")
    return content


def _read_array(
    data: bytes, order: str, names: Collection[str]
) -> tuple[str, np.ndarray | None]:
    """Name and numbers; None if these are of another kind, or not wanted."""
    parts = []
    for part in _elements(data, order):
        parts.append(part)
        if len(parts) == 4:
            break
    if len(parts) < 3 or len(parts[0][1]) < 4 or len(parts[1][1]) % 4:
        raise ValueError("an array has no class, shape or name")
    flags = struct.unpack_from(f"{order}I", parts[0][1])[0]
    axes = len(parts[1][1]) // 4
    shape = struct.unpack(f"{order}{axes}i", parts[1][1])
    name = parts[2][1].decode("latin-1")
    if name not in names or flags & 0xFF not in _NUMERIC or flags & _IS_COMPLEX:
        return name, None
    kind, numbers = parts[3] if len(parts) > 3 else (0, b"")
    if kind not in _TYPES or axes > _MOST_AXES or min(shape, default=-1) < 0:
        raise ValueError(f"{name} is no array of numbers")
    dtype = np.dtype(f"{order}{_TYPES[kind]}")
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise ValueError(f"{name} has not as many numbers as its shape says")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F")
    return name, array.astype(dtype.newbyteorder("="))
