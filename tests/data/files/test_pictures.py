"""Pictures in many formats, turned by EXIF or not, and files that are none."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from hrnet_tf.data.files import pictures

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
FORMATS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "JPEG": {"quality": 95}}


def encoded(kind="PNG", orientation=None, pixels=PIXELS, **options):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    options = {**FORMATS.get(kind, {}), **options}
    Image.fromarray(pixels).save(file, kind, exif=exif, **options)
    return file.getvalue()


def as_pillow_shows(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("kind", [*FORMATS, "AVIF", "BigTIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_viewers_turn_them(kind, orientation):
    options = {}
    if kind == "BigTIFF":
        kind, options = "TIFF", {"big_tiff": True}
    content = encoded(kind, orientation, **options)
    header = pictures.read_header(content)
    assert (header.width, header.height) == PIXELS.shape[1::-1]
    assert header.orientation == orientation
    shown = pictures.decode(content)
    if kind == "TIFF":  # Pillow turns it while it loads, and then knows nothing of it.
        expected = pictures.turned(PIXELS, orientation)
    else:
        expected = as_pillow_shows(content)
    np.testing.assert_array_equal(shown, expected)
    stored = pictures.decode(content, "ignore")
    np.testing.assert_array_equal(stored, pictures.decode(encoded(kind)))
    assert stored.shape == PIXELS.shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned(orientation):
    expected = as_pillow_shows(encoded("PNG", orientation))
    np.testing.assert_array_equal(pictures.turned(PIXELS, orientation), expected)
    labels = pictures.turned(PIXELS[..., 0], orientation)
    np.testing.assert_array_equal(labels, expected[..., 0])


def test_exif_behind_the_pixels_of_a_png_is_found_without_decoding_them():
    content = encoded("PNG", 6)
    start = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start : start + length], content[:start]
    rest += content[start + length :]
    moved = rest[:-12] + chunk + rest[-12:]
    assert moved.index(b"eXIf") > moved.index(b"IDAT")
    assert pictures.read_header(moved).orientation == 6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exif", [b"", b"\0garbage", b"MM\0*\0\0\0\x08\xff"])
def test_damaged_exif_is_no_orientation(exif):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", exif=b"Exif\0\0" + exif)
    assert pictures.read_header(file.getvalue()).orientation == 1
    assert pictures.decode(file.getvalue()).shape == PIXELS.shape


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientations_that_do_not_exist_are_none(orientation):
    assert pictures.read_header(encoded("JPEG", orientation)).orientation == 1


def huge_png():
    """The beginning of a picture of 33000x33000 pixels."""
    content = bytearray(encoded())
    content[16:24] = (33000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"no picture", "^not an image, or of a format that is not read here"),
        (encoded("JPEG", pixels=np.tile(PIXELS, (20, 20, 1)))[:9000], "truncated"),
        (encoded("PNG", pixels=np.tile(PIXELS, (20, 20, 1)))[:500], "damaged one: "),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC file.*convert it to JPEG or PNG"),
        (huge_png(), r"too large: it has 1089000000 pixels.*at most 250000000"),
    ],
)
def test_what_cannot_be_read_has_a_reason(content, sentence):
    with pytest.raises(pictures.PictureError, match=sentence):
        pictures.decode(content)


def test_opencv_and_pillow_stand_in_for_each_other(monkeypatch):
    def fail(*arguments):
        raise pictures.cv2.error("no")

    monkeypatch.setattr(pictures.cv2, "imdecode", fail)
    np.testing.assert_array_equal(pictures.decode(encoded()), PIXELS)
