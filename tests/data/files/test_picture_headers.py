"""Files whose headers lie, repeat themselves or promise more than anybody can hold."""

import dataclasses
import io
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from hrnet_tf.data.files import images, picture_headers, pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.picture_headers import (
    DamagedHeaderError,
    Header,
    read_header,
)

FORMATS = ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF"]


def encoded(kind, size=(7, 5), **options):
    file = io.BytesIO()
    Image.new("RGB", size, (9, 99, 200)).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(autouse=True)
def nothing_large_is_decoded(monkeypatch):
    """Decoding would take memory and time in proportion to what a header says."""
    decode = cv2.imdecode

    def decode_small(content, flags):
        image = decode(content, flags)
        assert image is None or image.size < 1e6
        return image

    monkeypatch.setattr(pictures.cv2, "imdecode", decode_small)
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("kind", FORMATS)
def test_sizes_are_those_of_the_pixels(kind):
    header = read_header(io.BytesIO(encoded(kind)))
    assert (header.format, header.width, header.height) == (kind, 7, 5)
    assert (header.orientation, header.pixels) == (1, 35)
    assert pictures.decode(encoded(kind)).shape == (5, 7, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_limit_holds_for_all_formats(kind):
    content = encoded(kind)
    assert pictures.decode(content, max_pixels=35).shape == (5, 7, 3)
    with pytest.raises(pictures.PictureError, match="it has 35 pixels.*at most 34"):
        pictures.decode(content, max_pixels=34)


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off_headers_are_damaged(kind):
    content = encoded(kind)
    for length in range(len(content)):
        try:
            header = read_header(io.BytesIO(content[:length]))
        except DamagedHeaderError:
            continue
        assert header is None or (header.width, header.height) == (7, 5)


def chunk(kind, content):
    checked = kind + content
    length, check = len(content), zlib.crc32(checked)
    return length.to_bytes(4, "big") + checked + check.to_bytes(4, "big")


def png(width, height, *chunks):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(bytes(height * (1 + 3 * width)) if width < 1000 else b"")
    body = b"".join([head, *chunks, chunk(b"IDAT", rows), chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


JPEG = encoded("JPEG")
FRAME = JPEG.index(b"\xff\xc0")
FRAME_END = FRAME + 19


def jpeg_frame(width, height):
    size = struct.pack(">HH", height, width)
    return JPEG[FRAME : FRAME + 5] + size + JPEG[FRAME + 9 : FRAME_END]


def huge_jpeg(width, height):
    return JPEG[:FRAME] + jpeg_frame(width, height) + JPEG[FRAME_END:]


def with_fake_frame():
    """One frame in a comment, another where decoders look."""
    fake = jpeg_frame(7, 5)
    comment = b"\xff\xfe" + (len(fake) + 2).to_bytes(2, "big") + fake
    return JPEG[:2] + comment + huge_jpeg(65000, 65000)[2:]


def webp(chunk_kind, width, height):
    head = b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    content = head + (height - 1).to_bytes(3, "little")
    body = chunk_kind + len(content).to_bytes(4, "little") + content
    body += encoded("WEBP")[12:]
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def tiff(*entries, big=False):
    if big:
        content = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries))
        layout = "<HHQQ"
    else:
        content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
        layout = "<HHII"
    return content + b"".join(struct.pack(layout, *entry) for entry in entries)


def bmp(width, height):
    content = bytearray(encoded("BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def gif(screen, frame, place=(0, 0), before=b""):
    """Without a palette of all frames, so that the frame is easily found."""
    table = b"\0\0\0\xff\xff\xff"
    start = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + table
    return start + before + b"," + struct.pack("<HHHH", *place, *frame) + b"\0\2\0;"


def ihdr(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


EXIF = chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")
NOTE = b"!\xfe\3a,;\0"


def avif(width, height):
    content = encoded("AVIF")
    place = content.index(b"ispe") + 8
    return content[:place] + struct.pack(">II", width, height) + content[place + 8 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(20_000, 20_000), "too large: it has 400000000 pixels"),
        (png(100_000, 100_000), "too large: it has 10000000000 pixels"),
        (png(2**31 - 1, 2**31 - 1), "too large: it has 46116"),
        (png(0, 5), "its size is 0x5 pixels"),
        (png(9, 9, ihdr(20_000, 20_000)), "it has 2 headers"),
        (png(9, 9, EXIF, ihdr(20_000, 20_000)), "it has 2 headers"),
        (gif((9, 9), (20_000, 20_000)), "too large: it has 400000000 pixels"),
        (gif((9, 9), (1, 60_000), (60_000, 0), NOTE * 2), "it has 3600060000 pixels"),
        (gif((9, 9), (9, 9))[:19] + b";", "no image is found in it"),
        (huge_jpeg(20_000, 20_000), "too large: it has 400000000 pixels"),
        (with_fake_frame(), "too large: it has 4225000000 pixels"),
        (huge_jpeg(7, 0), "its size is 7x0 pixels"),
        (JPEG[:FRAME] + jpeg_frame(9, 9) + JPEG[FRAME:], "it has 2 headers of a frame"),
        (JPEG[:FRAME] + JPEG[FRAME_END:], "it has 0 headers of a frame"),
        (JPEG[:2] + b"\xff\xd8" + JPEG[2:], "it begins twice"),
        (
            JPEG[:FRAME] + b"x" * 20_000 + JPEG[FRAME:],
            "segments do not follow each other",
        ),
        (JPEG[:2] + b"\xff\xe1\0\0" + JPEG[2:], "a segment of it has no length"),
        (JPEG[:2] + b"\xff\xfe\0\2" * 300_000 + JPEG[2:], "it has too many segments"),
        (webp(b"VP8X", 2**24, 200), "too large: it has 3355443200 pixels"),
        (webp(b"ICCP", 9, 9), "it does not begin with its header"),
        (bmp(100_000, -100_000), "too large: it has 10000000000 pixels"),
        (bmp(-5, 5), "its size is -5x5 pixels"),
        (avif(100_000, 100_000), "a damaged one: .*BMFF"),
        (tiff((256, 4, 1, 30_000), (257, 4, 1, 30_000)), "it has 900000000 pixels"),
        (tiff((256, 4, 1, 30_000), (257, 4, 1, 30_000), big=True), "it has 900000000"),
        (
            tiff((256, 3, 1, 9), (257, 3, 1, 9), (322, 4, 1, 2**24), (323, 4, 1, 2**9)),
            "it has 8589934592 pixels",
        ),
        (tiff((256, 3, 1, 9), (256, 3, 1, 9), (257, 3, 1, 9)), "the tag 256 twice"),
        (tiff((256, 3, 1, 9), (273, 4, 2**32 - 1, 8)), "its tags hold more than"),
        (tiff(*[(1000 + i, 7, 10_000, 8) for i in range(7000)]), "its tags hold more"),
        (tiff((256, 3, 1, 9)), "its size is 9x0 pixels"),
        (b"II*\0\xff\xff\xff\xff", "its header is cut off"),
        (b"II*\0\0\0\0\0", "its header is cut off"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "its header is cut off"),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60), "it has 1152921504606846"),
        (
            png(9, 9, *[chunk(b"tEXt", b"a\0b")] * 300_000),
            "it has too many chunks",
        ),
        (
            png(9, 9, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20)))] * 65),
            "more text than picture",
        ),
        (
            png(9, 9, chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2**27)))),
            "more text than picture",
        ),
        (
            png(9, 9, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**27)))),
            "more text than picture",
        ),
    ],
)
def test_pictures_that_are_not_decoded(content, reason):
    with pytest.raises(pictures.PictureError, match=reason):
        pictures.decode(content)


def test_a_header_behind_the_pixels_of_a_png_is_none():
    content = png(9, 9)
    end = content.rindex(b"IEND") - 4
    content = content[:end] + ihdr(20_000, 20_000) + content[end:]
    assert pictures.decode(content).shape == (9, 9, 3)


def test_a_decoder_that_finds_another_size_is_not_believed(tmp_path, monkeypatch):
    for kind in FORMATS:
        content = encoded(kind)
        with pytest.raises(DamagedHeaderError, match="9x5 pixels in one .* 7x5 in"):
            pictures.open_with_pillow(content, Header(kind, 9, 5))
    read = picture_headers.read_header
    for kind in FORMATS:
        fake = dataclasses.replace(read(io.BytesIO(encoded(kind))), width=9)
        monkeypatch.setattr(
            picture_headers, "read_header", lambda file, fake=fake: fake
        )
        with pytest.raises(pictures.PictureError, match="9x5 pixels in one .* 7x5 in"):
            pictures.decode(encoded(kind))
        if kind in ("PNG", "JPEG"):
            path = tmp_path / "a"
            path.write_bytes(encoded(kind))
            with pytest.raises(Unusable, match="9x5 pixels in one .* 7x5 in"):
                images.read_image_file(str(path))


def test_many_scans_of_many_pixels_are_not_decoded():
    content = encoded("JPEG", (64, 64), progressive=True)
    place = content.rindex(b"\xff\xc4")  # the tables of the last scan
    assert picture_headers.count_scans(content) == content.count(b"\xff\xda")
    more = content[:-2] + content[place:-2] * 300 + content[-2:]
    assert pictures.decode(more).shape == (64, 64, 3)
    with pytest.raises(pictures.PictureError, match=r"made of 31\d scans"):
        pictures.decode(more, max_pixels=64 * 64)
    # What follows the picture, such as a film, is not decoded.
    film = content + b"\xff\xda\0\2" * 300
    assert pictures.decode(film, max_pixels=64 * 64).shape == (64, 64, 3)


def test_texts_of_usual_length_are_no_fault():
    texts = [chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20)))] * 3
    damaged = chunk(b"iCCP", b"a\0\0nothing")
    assert pictures.decode(png(9, 9, *texts, damaged)).shape == (9, 9, 3)


@pytest.mark.parametrize("prefix", [b"Exif\0\0", b""])
def test_exif_of_any_size_has_an_orientation(prefix):
    entries = [(0x9000 + i, 7, 2**31, 8) for i in range(5000)]
    content = prefix + tiff(*entries)
    assert picture_headers.exif_orientation(content) is None
    content = prefix + tiff((0x0112, 3, 1, 6), (0x0112, 3, 1, 3))
    assert picture_headers.exif_orientation(content) == 6


def test_a_file_of_another_kind_has_no_header():
    for content in (b"", b"%!PS-Adobe", b"P6 9 9 255 ", np.zeros(99).tobytes()):
        assert read_header(io.BytesIO(content)) is None
