"""What a picture's file says of itself: format, size in pixels, EXIF orientation.

Nothing is decoded, and as little is read as needed. Each format is read as its decoders
read it. Where these could find another size than is found here, as in a JPEG file with
two headers of a frame, the file counts as damaged.
"""

import contextlib
import dataclasses
import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from PIL import AvifImagePlugin

from hrnet_tf.messages import UserError

_MOST_PARTS = 200_000  # segments, chunks; no picture has so many
_MOST_GARBAGE = 10_000  # bytes between the segments of a JPEG file
_LARGEST_EXIF = 2**20  # bytes
_LARGEST_TAGS = 2**26  # bytes: what all tags of a TIFF file hold

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF's
_ORIENTATION = 0x0112
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 0x0100, 0x0101, 0x0142, 0x0143
# Bytes of a value of each type of TIFF; the whole numbers without a sign among them.
_TYPE_SIZES = dict(
    enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1)
) | dict.fromkeys((16, 17, 18), 8)
_WHOLE = (1, 3, 4, 16)
_FAR = 2**62  # beyond the end of any file


class DamagedHeaderError(UserError):
    """A file that is no picture, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What the header of a picture's file says.

    Attributes:
        format: Pillow's name of it.
        width: Of the pixels as they are stored.
        height: The same.
        orientation: By EXIF, 1 to 8; 1 is upright.
        pixels: How many have room in what is decoded at once.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    pixels: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise DamagedHeaderError(f"its size is {self.width}x{self.height} pixels")
        pixels = max(self.pixels, self.width * self.height)
        object.__setattr__(self, "pixels", pixels)


def read_header(file: BinaryIO) -> Header | None:
    """Reads a file's beginning; None if no format is known that begins so.

    Raises `DamagedHeaderError`.
    """
    start = file.read(16)
    for is_start, read in _FORMATS:
        if is_start(start):
            file.seek(0)
            return read(file)
    return None


def _read(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise DamagedHeaderError("its header is cut off")
    return content


def _upright_unless(found: int | None) -> int:
    return found if found is not None and 2 <= found <= 8 else 1


# ---- JPEG ----

_START, _END, _SCAN, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a segment
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# In a scan, the end of its data.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def _read_jpeg(file: BinaryIO) -> Header:
    _read(file, 2)
    frames: list[bytes] = []
    orientation = None
    for marker in _jpeg_markers(file):
        if marker in (_SCAN, _END):
            break
        if marker == _START:
            raise DamagedHeaderError("it begins twice")
        length = int.from_bytes(_read(file, 2), "big") - 2
        if length < 0:
            raise DamagedHeaderError("a segment of it has no length")
        if marker in _FRAMES:
            frames.append(_read(file, length))
        elif marker == _APP1 and orientation is None:
            orientation = exif_orientation(_read(file, length))
        else:
            file.seek(length, io.SEEK_CUR)
    if len(frames) != 1 or len(frames[0]) < 5:
        raise DamagedHeaderError(f"it has {len(frames)} headers of a frame")
    height, width = (int.from_bytes(frames[0][i : i + 2], "big") for i in (1, 3))
    return Header("JPEG", width, height, _upright_unless(orientation))


def _jpeg_markers(file: BinaryIO) -> Iterator[int]:
    garbage = 0
    for _ in range(_MOST_PARTS):
        while (byte := _read(file, 1)) != b"\xff":
            garbage += 1
            if garbage > _MOST_GARBAGE:
                raise DamagedHeaderError("its segments do not follow each other")
        while byte == b"\xff":
            byte = _read(file, 1)
        if byte[0] and byte[0] not in _ALONE:
            yield byte[0]
    raise DamagedHeaderError("it has too many segments")


def count_scans(encoded: bytes) -> int:
    """How often the decoder of a JPEG file goes over its pixels."""
    file = io.BytesIO(encoded)
    _read(file, 2)
    scans = 0
    for marker in _jpeg_markers(file):
        if marker == _END:
            break
        length = int.from_bytes(_read(file, 2), "big")
        file.seek(max(length - 2, 0), io.SEEK_CUR)
        if marker == _SCAN:
            scans += 1
            end = _NEXT_MARKER.search(encoded, file.tell())
            if end is None:
                break
            file.seek(end.start())
    return scans


# ---- PNG ----

# What stands before the compressed part of those chunks that have one.
_COMPRESSED = {
    b"zTXt": re.compile(rb"[^\0]*\0.", re.DOTALL),
    b"iCCP": re.compile(rb"[^\0]*\0.", re.DOTALL),
    b"iTXt": re.compile(rb"[^\0]*\0\x01.[^\0]*\0[^\0]*\0", re.DOTALL),
}


def _read_png(file: BinaryIO) -> Header:
    start = _read(file, 24)
    if start[12:16] != b"IHDR":
        raise DamagedHeaderError("it does not begin with its header")
    width, height = (int.from_bytes(start[i : i + 4], "big") for i in (16, 20))
    orientation = None
    headers = 0
    # The texts of cameras may come after the pixels, whose size is known by then.
    is_before_pixels = True
    for kind, length in _png_chunks(file):
        is_before_pixels &= kind != b"IDAT"
        headers += kind == b"IHDR" and is_before_pixels
        if kind == b"eXIf" and orientation is None:
            orientation = exif_orientation(file.read(min(length, _LARGEST_EXIF)))
    if headers != 1:
        raise DamagedHeaderError(f"it has {headers} headers")
    return Header("PNG", width, height, _upright_unless(orientation))


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kinds and lengths of chunks; the file is at their content."""
    place = 8
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], length
        place += length + 12
    raise DamagedHeaderError("it has too many chunks")


def count_text_bytes(encoded: bytes, most: int) -> int:
    """How much the texts and profiles of a PNG file become; no more than 1 over `most`.

    Its decoder keeps them in memory, whoever reads them.
    """
    file = io.BytesIO(encoded)
    count = 0
    for kind, length in _png_chunks(file):
        before = _COMPRESSED.get(kind)
        if before is None:
            continue
        content = file.read(length)
        if begun := before.match(content):
            with contextlib.suppress(zlib.error):  # Then its decoder has nothing, too.
                left = most + 1 - count
                inflater = zlib.decompressobj()
                count += len(inflater.decompress(content[begun.end() :], left))
        if count > most:
            break
    return count


# ---- BMP, GIF, WebP, AVIF ----


def _read_bmp(file: BinaryIO) -> Header:
    start = _read(file, 26)
    if int.from_bytes(start[14:18], "little") == 12:
        places, size = (18, 20), 2
    else:
        places, size = (18, 22), 4
    # A negative height is that of rows from the top.
    width, height = (
        int.from_bytes(start[i : i + size], "little", signed=size == 4) for i in places
    )
    return Header("BMP", width, abs(height))


def _read_gif(file: BinaryIO) -> Header:
    start = _read(file, 13)
    width, height = (int.from_bytes(start[i : i + 2], "little") for i in (6, 8))
    if start[10] & 0x80:
        file.seek(3 << (start[10] & 7) + 1, io.SEEK_CUR)  # colours
    # The first image may reach beyond the screen, which becomes larger then.
    frame = _gif_frame(file)
    left, top, across, down = (
        int.from_bytes(frame[i : i + 2], "little") for i in (0, 2, 4, 6)
    )
    return Header("GIF", max(width, left + across), max(height, top + down))


def _gif_frame(file: BinaryIO) -> bytes:
    """The first image's place and size."""
    for _ in range(_MOST_PARTS):
        kind = _read(file, 1)
        if kind == b",":
            return _read(file, 8)
        if kind == b";":
            break
        if kind == b"!":
            _read(file, 1)
            while length := _read(file, 1)[0]:
                file.seek(length, io.SEEK_CUR)
    raise DamagedHeaderError("no image is found in it")


def _read_webp(file: BinaryIO) -> Header:
    start = _read(file, 30)
    kind = start[12:16]
    if kind == b"VP8X":
        width, height = (
            int.from_bytes(start[i : i + 3], "little") + 1 for i in (24, 27)
        )
    elif kind == b"VP8 ":
        width, height = (
            int.from_bytes(start[i : i + 2], "little") & 0x3FFF for i in (26, 28)
        )
    elif kind == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        raise DamagedHeaderError("it does not begin with its header")
    orientation = None
    file.seek(12)
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if len(head) < 8:
            break
        if head[:4] == b"EXIF":
            orientation = exif_orientation(file.read(min(length, _LARGEST_EXIF)))
            break
        file.seek(length + length % 2, io.SEEK_CUR)
    return Header("WEBP", width, height, _upright_unless(orientation))


def _read_avif(file: BinaryIO) -> Header:
    # Its size is deep in its boxes. Pillow's library reads these, and no more.
    try:
        with AvifImagePlugin.AvifImageFile(file) as image:
            orientation = exif_orientation(image.info.get("exif", b""))
            width, height = image.size
            return Header("AVIF", width, height, _upright_unless(orientation))
    except DamagedHeaderError:
        raise
    except Exception as error:  # Pillow raises all kinds at damaged files.
        raise DamagedHeaderError(str(error)) from None


def _is_avif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis")


# ---- TIFF, whose structure EXIF has, too ----


def exif_orientation(content: bytes) -> int | None:
    """The orientation in EXIF data; None if there is none, or the data is damaged."""
    try:
        tags = _read_tags(io.BytesIO(content.removeprefix(b"Exif\0\0")))
    except DamagedHeaderError:
        return None
    return tags.get(_ORIENTATION)


def _read_tiff(file: BinaryIO) -> Header:
    tags = _read_tags(file)
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0)
    orientation = _upright_unless(tags.get(_ORIENTATION))
    return Header(
        "TIFF", tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0), orientation, pixels=tile
    )


def _read_tags(file: BinaryIO) -> dict[int, int]:
    """The tags of the first directory that are single whole numbers."""
    start = _read(file, 8)
    if start[:4] not in _TIFF_STARTS:
        raise DamagedHeaderError("it does not begin as TIFF does")
    is_little = start[:1] == b"I"
    is_big = b"+" in start[:4]
    size, count_size = (8, 8) if is_big else (4, 2)

    def number(content: bytes) -> int:
        return int.from_bytes(content, "little" if is_little else "big")

    file.seek(min(number(_read(file, 8) if is_big else start[4:]), _FAR))
    count = number(_read(file, count_size))
    if count > 65535:
        raise DamagedHeaderError(f"it has {count} tags")
    tags: dict[int, int] = {}
    held = 0
    entry_size = 4 + 2 * size
    entries = _read(file, count * entry_size)
    for place in range(0, len(entries), entry_size):
        entry = entries[place : place + entry_size]
        tag, kind = number(entry[:2]), number(entry[2:4])
        length = number(entry[4 : 4 + size])
        value_size = _TYPE_SIZES.get(kind, 1)
        held += length * value_size
        if held > _LARGEST_TAGS:
            raise DamagedHeaderError("its tags hold more than a picture has to tell")
        if length == 1 and kind in _WHOLE:
            # Decoders do not agree on which of two counts.
            if tag in tags and tag != _ORIENTATION:
                raise DamagedHeaderError(f"it has the tag {tag} twice")
            tags.setdefault(tag, number(entry[4 + size : 4 + size + value_size]))
    return tags


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Header]], ...] = (
    (lambda start: start.startswith(b"\xff\xd8\xff"), _read_jpeg),
    (lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"), _read_png),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _read_webp),
    (lambda start: start.startswith(_TIFF_STARTS), _read_tiff),
    (lambda start: start.startswith(b"BM"), _read_bmp),
    (lambda start: start.startswith((b"GIF87a", b"GIF89a")), _read_gif),
    (_is_avif, _read_avif),
)
