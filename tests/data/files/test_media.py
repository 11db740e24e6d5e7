import math
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
    with pytest.raises(media.MediaError, match="does not exist"):
        media.open_video(str(tmp_path / "w.mp4"))


class Capture:
    """A video whose header says what a test wants."""

    properties = {
        cv2.CAP_PROP_FRAME_WIDTH: 32,
        cv2.CAP_PROP_FRAME_HEIGHT: 24,
        cv2.CAP_PROP_FRAME_COUNT: 5,
        cv2.CAP_PROP_POS_MSEC: 0,
    }

    def __init__(self, rate, frames):
        self.properties = {**self.properties, cv2.CAP_PROP_FPS: rate}
        self.frames = frames

    def get(self, which):
        return self.properties[which]

    def isOpened(self):
        return True

    def read(self):
        if not self.frames:
            return False, None
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return True, frame

    def release(self):
        pass


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, 1000, 90000])
def test_what_is_no_frame_rate_is_replaced(rate, tmp_path, monkeypatch, log):
    path = tmp_path / "v.webm"
    path.write_bytes(b"")
    monkeypatch.setattr(media.cv2, "VideoCapture", lambda *_: Capture(rate, []))
    info, _ = media.open_video(str(path))
    assert info.frames_per_second == 25
    assert "v.webm gives" in log() and "25 is assumed" in log()


def test_a_frame_that_raises_ends_a_video(tmp_path, monkeypatch, log):
    path = tmp_path / "v.webm"
    path.write_bytes(b"")
    capture = Capture(240, [IMAGE, *[cv2.error("no memory")] * 500, IMAGE])
    monkeypatch.setattr(media.cv2, "VideoCapture", lambda *_: capture)
    info, frames = media.open_video(str(path))
    assert info.frames_per_second == 240 and log() == ""
    assert len(list(frames)) == 1 and frames.missed == 0


def test_frames_after_a_damaged_spot_are_read(tmp_path):
    path = tmp_path / "v.mp4"
    info = media.VideoInfo(160, 120, 10.0, None)
    noise = np.random.default_rng(0)
    with media.VideoWriter(str(path), info) as writer:
        for _ in range(30):
            coarse = noise.integers(0, 256, (30, 40, 3), np.uint8)
            writer.write(cv2.resize(coarse, (160, 120)))
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 4 + len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    _, frames = media.open_video(str(path))
    count = len(list(frames))
    assert 25 <= count < 30 and frames.missed == 30 - count
    assert frames.seconds == pytest.approx(2.9)


def write_video(path):
    info = media.VideoInfo(64, 48, 10.0, None)
    with media.VideoWriter(path, info) as writer:
        for level in range(0, 250, 25):
            writer.write(np.full((48, 64, 3), level, np.uint8))


def codec_of(path):
    capture = cv2.VideoCapture(path)
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").lower()


def test_a_video_whose_rate_varies_keeps_its_time(tmp_path):
    info = media.VideoInfo(64, 48, 10.0, None)
    path = str(tmp_path / "v.mp4")
    times = (0, 0.1, 0.2, 0.5, 0.9, 0.9, 1.0, 99, float("inf"))
    with media.VideoWriter(path, info) as writer:
        for number, seconds in enumerate(times):
            writer.write(np.full((48, 64, 3), 25 * number, np.uint8), seconds)
    _, frames = media.open_video(path)
    levels = [round(frame.mean() / 25) for frame in frames]
    assert levels[:12] == [0, 1, 2, 2, 2, 3, 3, 3, 3, 4, 5, 6]
    assert levels[12:] == [6] * 100 + [7, 8]  # Ten seconds at most.
    assert frames.seconds == pytest.approx((len(levels) - 1) / 10)


def written(path, rate, times):
    """The numbers of the frames that a video of such frames shows."""
    info = media.VideoInfo(64, 48, rate, None)
    with media.VideoWriter(path, info) as writer:
        for number, seconds in enumerate(times):
            writer.write(np.full((48, 64, 3), 20 + 10 * number, np.uint8), seconds)
    _, frames = media.open_video(path)
    return [round((frame.mean() - 20) / 10) for frame in frames]


@pytest.mark.parametrize("jump", [3600, 30, -3])
def test_time_stamps_that_jump_count_once(jump, tmp_path):
    times = [0, *(jump + place / 10 for place in range(4, 24))]
    shown = written(str(tmp_path / "v.mp4"), 10.0, times)
    gap = 100 if jump > 0 else 0
    assert shown == [0] * gap + list(range(21))


def test_a_rate_that_is_too_low_keeps_the_time(tmp_path):
    shown = written(str(tmp_path / "v.mp4"), 10.0, [n / 40 for n in range(21)])
    assert len(shown) == pytest.approx(6, abs=2)
    assert shown == sorted(set(shown)) and shown[-1] >= 16


def test_times_that_do_not_advance_leave_no_frame_out(tmp_path):
    assert written(str(tmp_path / "v.mp4"), 10.0, [0.0] * 9) == list(range(9))


def test_videos_are_vp9_where_opencv_has_it(tmp_path, monkeypatch, log):
    path = str(tmp_path / "v.mp4")
    write_video(path)
    assert codec_of(path) in (b"vp09", b"vp90")
    assert log() == ""
    monkeypatch.setattr(media, "_CODECS", ("none", "mp4v"))
    write_video(path)
    assert codec_of(path) in (b"mp4v", b"fmp4")
    assert f"cannot write VP9: {path} is MPEG-4 Part 2" in log()


def test_videos_play_in_chromium(tmp_path, chromium):
    write_video(str(tmp_path / "v.mp4"))
    (tmp_path / "page.html").write_text("<video src=v.mp4 muted></video>")
    tab = chromium.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    played = tab.evaluate(
        """async () => {
            const video = document.querySelector("video");
            await video.play();
            while (!video.ended) await new Promise(done => setTimeout(done, 50));
            return [video.videoWidth, video.videoHeight, video.duration];
        }"""
    )
    assert played[:2] == [64, 48]
    assert played[2] == pytest.approx(1, abs=0.05)


def test_videos_of_huge_frames_are_not_decoded(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    assert media.open_video(str(path), 64 * 48)[0].width == 64
    with pytest.raises(media.MediaError, match="frames of 64x48 pixels.*--max_pixels"):
        media.open_video(str(path), 64 * 48 - 1)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{other}'\n",
        b"ffconcat version 1.0\nfile other.avi\n",
        b"ffconcat version 1.0\nfile pipe.avi\n",
        b"RIFF\xff\xff\xff\xffAVI LIST",
        b"\x1a\x45\xdf\xa3" + b"\xff" * 50,
        b"\0\0\0\x18ftypisom" + b"\0" * 50,
    ],
)
def test_what_only_begins_like_a_video_is_named(content, tmp_path):
    other = tmp_path / "other.avi"
    writer = cv2.VideoWriter(str(other), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    os.mkfifo(tmp_path / "pipe.avi")
    path = tmp_path / "a.mp4"
    # A list of films is no film: it could name any file.
    path.write_bytes(content.replace(b"{other}", str(other).encode()))
    with pytest.raises(media.MediaError, match="a.mp4: not a video"):
        media.open_video(str(path))


def test_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("other.avi", cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "concat:other.avi").write_bytes(b"no film")
    with pytest.raises(media.MediaError, match="concat:other.avi: not a video"):
        media.open_video("concat:other.avi")


@pytest.mark.parametrize("name", ["a.mp4", "a001.mp4"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff"])
def test_a_picture_named_like_a_video_is_not_decoded(kind, name, tmp_path, monkeypatch):
    given = "rtsp_transport;udp"
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", given)
    path = tmp_path / name
    Image.new("RGB", (64, 48)).save(path, kind)
    with pytest.raises(
        media.MediaError, match=f"{name} holds a picture .*{kind.upper()}"
    ):
        media.open_video(str(path))
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == given


def test_ffmpeg_says_nothing_of_damaged_files(tmp_path, capfd):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    with pytest.raises(media.MediaError):
        media.open_video(str(tmp_path / "a.mp4"))
    assert not capfd.readouterr().err


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(media.MediaError, match="a.jpg is a pipe, not a file"):
        media.find_images(str(tmp_path / "a.jpg"))


def test_a_pipe_is_no_video(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(media.MediaError, match="a.mp4 is a pipe, not a file"):
        media.open_video(str(tmp_path / "a.mp4"))
