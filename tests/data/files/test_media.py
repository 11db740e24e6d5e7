import cv2
import numpy as np
import pytest

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
        media.MediaError, match="broken.jpg: not an image, or a damaged"
    ):
        media.read_image(str(path))


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


def test_a_video_comes_back_as_it_was_written(tmp_path):
    info = media.VideoInfo(width=32, height=24, frames_per_second=12.5, num_frames=None)
    path = str(tmp_path / "v.mp4")
    with media.VideoWriter(path, info) as writer:
        for level in (0, 100, 200):
            writer.write(np.full((24, 32, 3), level, np.uint8))
        assert not (tmp_path / "v.mp4").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    read, frames = media.open_video(path)
    assert (read.width, read.height, read.num_frames) == (32, 24, 3)
    assert read.frames_per_second == pytest.approx(12.5)
    levels = [frame.mean() for frame in frames]
    np.testing.assert_allclose(levels, [0, 100, 200], atol=5)


def test_an_unfinished_video_leaves_nothing(tmp_path):
    info = media.VideoInfo(32, 24, 10.0, None)
    with (
        pytest.raises(RuntimeError),
        media.VideoWriter(str(tmp_path / "v.mp4"), info),
    ):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video")
    with pytest.raises(media.MediaError, match="v.mp4: not a video"):
        media.open_video(str(tmp_path / "v.mp4"))
    with pytest.raises(media.MediaError, match="There is no video"):
        media.open_video(str(tmp_path / "w.mp4"))
