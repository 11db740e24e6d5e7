import os
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from hrnet_tf.data.files import media

IMAGE = np.zeros((24, 32, 3), np.uint8)
IMAGE[:, :16] = [250, 120, 10]  # RGB.


def write(path, image=IMAGE):
    cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return str(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".jpg"])
def test_reads_images_as_rgb(suffix, tmp_path):
    image = media.read_image(write(tmp_path / f"a{suffix}"))
    assert image.shape == IMAGE.shape and image.dtype == np.uint8
    assert np.abs(image[:, :12].astype(int) - IMAGE[:, :12]).max() < 30


def test_reads_grey_transparent_and_16_bit_images(tmp_path):
    grey = media.read_image(write(tmp_path / "grey.png", IMAGE[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(IMAGE[..., :1], 3, axis=-1))
    alpha = np.dstack([IMAGE[..., ::-1], np.full((24, 32), 9, np.uint8)])
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    np.testing.assert_array_equal(media.read_image(str(tmp_path / "alpha.png")), IMAGE)
    cv2.imwrite(str(tmp_path / "deep.png"), IMAGE[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(media.read_image(str(tmp_path / "deep.png")), IMAGE)


@pytest.mark.parametrize("content", [b"", b"GIF", b"\xff\xd8\xff\xe0 not a JPEG"])
def test_damaged_images_are_named(content, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(
        media.MediaError, match="broken.jpg: not an image, or (a damaged|of a format)"
    ):
        media.read_image(str(path))


def test_what_is_no_readable_file_is_named(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    # Whoever reads the pipe finds it empty, instead of waiting for ever.
    writer = threading.Thread(
        target=lambda: (tmp_path / "pipe.jpg").write_bytes(b""), daemon=True
    )
    writer.start()
    (tmp_path / "link.jpg").symlink_to("/nowhere.jpg")
    for name, reason in (
        ("folder.jpg", "is a folder, not a file"),
        ("pipe.jpg", "is a pipe, not a file"),
        ("link.jpg", r"does not exist \(it is a link to /nowhere.jpg\)"),
        ("gone.jpg", "does not exist"),
    ):
        with pytest.raises(media.MediaError, match=f"{name} {reason}"):
            media.read_image(str(tmp_path / name))


def test_too_little_memory_is_the_reason(tmp_path, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(media.pictures, "decode", fail)
    with pytest.raises(media.MediaError, match="not enough memory"):
        media.read_image(write(tmp_path / "a.png"))


def test_pictures_are_turned_unless_told_otherwise(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = str(tmp_path / "phone.png")
    Image.fromarray(IMAGE).save(path, exif=exif)
    np.testing.assert_array_equal(media.read_image(path), np.rot90(IMAGE, 3))
    np.testing.assert_array_equal(media.read_image(path, "ignore"), IMAGE)
    header = media.pictures.look_at(path)
    assert (header.orientation, header.width, header.height) == (6, 32, 24)
    assert media.pictures.look_at(str(tmp_path / "gone.png")) is None


def test_files_that_macs_add_are_passed_over(tmp_path, log):
    good = write(tmp_path / "a.jpg")
    for name in ("._a.jpg", ".DS_Store", "b.HEIC", "c.heif"):
        (tmp_path / name).write_bytes(b"something else")
    assert media.find_images(str(tmp_path)) == [good]
    assert "Skipped: 2 " in log() and "b.HEIC" in log() and "c.heif" in log()
    os.remove(good)
    with pytest.raises(media.MediaError, match=r"holds no image.*HEIC.*b\.HEIC"):
        media.find_images(str(tmp_path))


@pytest.mark.parametrize("suffix", [".jfif", ".avif", ".webp", ".tif", ".TIFF"])
def test_all_suffixes_are_found(suffix, tmp_path):
    kind = {".jfif": "JPEG", ".avif": "AVIF", ".webp": "WEBP"}.get(suffix, "TIFF")
    path = str(tmp_path / f"a{suffix}")
    Image.fromarray(IMAGE).save(path, kind)
    assert media.find_images(str(tmp_path)) == [path]
    assert media.read_image(path).shape == IMAGE.shape


def test_a_folder_may_be_named_like_a_video(tmp_path):
    (tmp_path / "clips.mp4").mkdir()
    assert not media.is_video(str(tmp_path / "clips.mp4"))
    assert media.is_video(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("name", ["a.mpg", "a.MPEG", "a.3gp", "a.wmv", "a.ts"])
def test_videos_of_all_kinds_are_known_and_named_in_folders(name, tmp_path, log):
    write(tmp_path / "a.jpg")
    (tmp_path / name).write_bytes(b"a video")
    assert media.is_video(str(tmp_path / name))
    assert media.find_images(str(tmp_path)) == [str(tmp_path / "a.jpg")]
    assert "Videos in a folder are left out" in log() and name in log()


@pytest.mark.parametrize("name", ["a.gif", "a.JP2"])
def test_images_of_other_kinds_are_named_in_folders(name, tmp_path, log):
    write(tmp_path / "a.jpg")
    (tmp_path / name).write_bytes(b"an image")
    assert media.find_images(str(tmp_path)) == [str(tmp_path / "a.jpg")]
    assert "GIF and JPEG 2000 files are left out" in log() and name in log()


def test_finds_images_in_subfolders_and_nothing_else(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    paths = [write(tmp_path / "z.PNG"), write(tmp_path / "b/a.jpg")]
    assert media.find_images(str(tmp_path)) == sorted(paths)
    assert media.find_images(paths[0]) == paths[:1]
    with pytest.raises(media.MediaError, match="There is no file or folder .*gone"):
        media.find_images(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(media.MediaError, match="empty holds no image"):
        media.find_images(str(tmp_path / "empty"))


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(media.MediaError, match="a.jpg is a pipe, not a file"):
        media.find_images(str(tmp_path / "a.jpg"))
