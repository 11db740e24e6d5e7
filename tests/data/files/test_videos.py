"""Videos are read and written with their true times; bad ones get a sentence."""

import math
import os
import sys
import types

import cv2
import numpy as np
import pytest
from films import read_film, turn_film, write_film, write_sound
from PIL import Image

from hrnet_tf.data.files import cameras, media, video_writing, videos
from hrnet_tf.data.files.video import Clock

av = pytest.importorskip("av", reason="needs the extra `video`")


def write_avi(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()


def test_a_video_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "v.mp4"
    with video_writing.VideoWriter(str(path), 12.5) as writer:
        for number, level in enumerate((0, 100, 200)):
            writer.write(np.full((24, 32, 3), level, np.uint8), number / 12.5)
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    info, times, levels = read_film(path)
    assert (info.width, info.height, info.num_frames) == (32, 24, 3)
    assert info.frames_per_second == pytest.approx(12.5)
    assert not info.has_audio
    np.testing.assert_allclose(times, [0, 0.08, 0.16])
    np.testing.assert_allclose(levels, [0, 100, 200], atol=5)


def test_colors_come_back(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = [200, 60, 30], [20, 90, 210]
    with video_writing.VideoWriter(str(tmp_path / "v.mp4"), 10) as writer:
        writer.write(image, 0.0)
    with videos.open_video(str(tmp_path / "v.mp4")) as video:
        ((_, found),) = video
    for column in (12, 50):
        np.testing.assert_allclose(found[24, column], image[24, column], atol=12)


def test_times_of_a_rate_that_varies_stay(tmp_path):
    times = [0, 0.1, 0.15, 0.9, 0.95, 12.0]
    path = write_film(tmp_path / "v.mp4", [20, 40, 60, 80, 100, 120], times)
    _, found, levels = read_film(path)
    np.testing.assert_allclose(found, times, atol=1e-4)
    np.testing.assert_allclose(levels, [20, 40, 60, 80, 100, 120], atol=4)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_is_turned_as_phones_ask(degrees, tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 250
    path = tmp_path / "v.mp4"
    with video_writing.VideoWriter(str(path), 10) as writer:
        writer.write(image, 0.0)
    turn_film(path, degrees)
    with videos.open_video(str(path)) as video:
        ((_, found),) = video
    expected = np.rot90(image, -degrees // 90)
    assert found.shape == expected.shape
    assert (video.info.height, video.info.width) == expected.shape[:2]
    assert np.abs(found.astype(int) - expected).mean() < 10
    _, by_opencv = cv2.VideoCapture(str(path)).read()
    assert np.abs(by_opencv.astype(int) - expected).mean() < 10


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [("v.mp4", "aac", "aac"), ("v.avi", "pcm_s16le", "aac")],
)
def test_sound_is_kept(name, codec, kept, tmp_path):
    source = write_sound(tmp_path / name, codec=codec)
    path = str(tmp_path / "out.mp4")
    with videos.open_video(source) as video:
        assert video.info.has_audio
        sound = video_writing.Sound(source, video.start)
        with video_writing.VideoWriter(path, 10, sound) as writer:
            for seconds, image in video:
                writer.write(image, seconds)
    with av.open(path) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == kept
        pieces = list(container.decode(stream))
        end = pieces[-1].time + pieces[-1].samples / pieces[-1].sample_rate
        loudness = np.abs(pieces[len(pieces) // 2].to_ndarray()).max()
    assert end == pytest.approx(2.0, abs=0.1)
    assert loudness > 0.1
    assert len(read_film(path)[1]) == 20


def test_sound_that_fails_leaves_the_pictures(tmp_path, log):
    path = str(tmp_path / "out.mp4")
    sound = video_writing.Sound(str(tmp_path / "silent.mp4"), 0)
    sound.begin = lambda container: (_ for _ in ()).throw(ValueError("no sound"))
    with video_writing.VideoWriter(path, 10, sound) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert "its sound ends early, or is left out: no sound." in log()
    assert len(read_film(path)[1]) == 1


def test_pictures_that_nobody_decodes_are_named(tmp_path):
    source = tmp_path / "v.mp4"
    write_sound(source)
    content = source.read_bytes().replace(b"mp4v", b"zzzz").replace(b"esds", b"esdx")
    source.write_bytes(content)
    with pytest.raises(media.MediaError, match="no decoder for its pictures"):
        videos.open_video(str(source))


def test_a_picture_an_hour_is_a_video(tmp_path):
    path = write_film(tmp_path / "v.mp4", [90] * 2, [0, 3500], rate=1 / 3600)
    assert read_film(path)[1] == [0, 3500]


def test_sound_ends_with_the_frames(tmp_path):
    source, path = write_sound(tmp_path / "v.mp4"), str(tmp_path / "out.mp4")
    with video_writing.VideoWriter(path, 10, video_writing.Sound(source, 0)) as writer:
        for number in range(5):
            writer.write(np.zeros((48, 64, 3), np.uint8), number / 10)
    with av.open(path) as container:
        last = [piece.time for piece in container.decode(audio=0)][-1]
    assert last == pytest.approx(0.5, abs=0.06)


def test_an_unfinished_video_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError),
        video_writing.VideoWriter(str(tmp_path / "v.mp4"), 10) as writer,
    ):
        writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_sides_may_be_odd(tmp_path):
    path = write_film(tmp_path / "v.mp4", [90, 90], size=(47, 65))
    info, _, levels = read_film(path)
    assert (info.width, info.height) == (66, 48)
    np.testing.assert_allclose(levels, 90, atol=3)


def codec_of(path):
    with av.open(path) as container:
        return container.streams.video[0].codec_context.name


def test_videos_are_h264_where_pyav_has_it(tmp_path, monkeypatch, log):
    assert codec_of(write_film(tmp_path / "v.mp4", [10, 20])) == "h264"
    assert log() == ""
    encoders = video_writing._ENCODERS
    monkeypatch.setattr(
        video_writing,
        "_ENCODERS",
        {"no_such": {}, "libvpx-vp9": encoders["libvpx-vp9"]},
    )
    assert codec_of(write_film(tmp_path / "v.mp4", [10, 20])) in ("vp9", "libvpx-vp9")
    monkeypatch.setattr(video_writing, "_ENCODERS", {"mpeg4": encoders["mpeg4"]})
    assert codec_of(write_film(tmp_path / "v.mp4", [10, 20])) == "mpeg4"
    assert "v.mp4 is MPEG-4 Part 2, which browsers do not play" in log()


def test_videos_play_in_chromium(tmp_path, chromium):
    write_film(tmp_path / "v.mp4", range(0, 250, 25))
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


# ---- times ----


def advanced(*times, rate=10.0):
    clock = Clock(rate)
    return [round(clock.advance(seconds), 6) for seconds in times], clock.corrected


def test_times_count_from_the_first_frame():
    assert advanced(7.0, 7.1, 7.35) == ([0, 0.1, 0.35], 0)
    assert advanced(0, 20) == ([0, 20], 0)


def test_times_that_are_missing_follow_the_rate():
    assert advanced(0, None, None, 0.3) == ([0, 0.1, 0.2, 0.3], 2)
    assert advanced(None, None) == ([0, 0.1], 2)
    assert advanced(0, math.nan, 0.2) == ([0, 0.1, 0.2], 1)


def test_times_that_go_back_or_jump_count_once():
    assert advanced(100, 100.1, 3, 3.1, 3.2) == ([0, 0.1, 0.2, 0.3, 0.4], 1)
    assert advanced(0, 0.1, 90000, 90000.1) == ([0, 0.1, 0.2, 0.3], 1)


def test_a_time_that_stands_still_moves_no_other():
    assert advanced(0, 0.1, 0.1, 0.2) == ([0, 0.1, 0.101, 0.2], 1)
    assert advanced(0, 0.1, 0.05, 0.2) == ([0, 0.1, 0.101, 0.2], 1)


# ---- what is no video ----


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video")
    with pytest.raises(media.MediaError, match="v.mp4: not a video"):
        videos.open_video(str(tmp_path / "v.mp4"))
    with pytest.raises(media.MediaError, match="does not exist"):
        videos.open_video(str(tmp_path / "w.mp4"))


def test_a_video_without_frames_is_named(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(media.MediaError, match="v.mp4: it has no pictures, only sound"):
        videos.open_video(str(tmp_path / "v.mp4"))


def test_frames_after_a_damaged_spot_are_read(tmp_path):
    path = tmp_path / "v.mp4"
    noise = np.random.default_rng(0)
    with video_writing.VideoWriter(str(path), 10) as writer:
        for number in range(30):
            coarse = noise.integers(0, 256, (30, 40, 3), np.uint8)
            writer.write(cv2.resize(coarse, (160, 120)), number / 10)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 4 + len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with videos.open_video(str(path)) as video:
        times = [seconds for seconds, _ in video]
    assert 25 <= len(times) <= 30 and len(times) + video.missed <= 30
    assert times[-1] == pytest.approx(2.9)


def test_videos_of_huge_frames_are_not_decoded(tmp_path):
    path = tmp_path / "a.avi"
    write_avi(path)
    with videos.open_video(str(path), 64 * 48) as video:
        assert video.info.width == 64
    with pytest.raises(media.MediaError, match="frames of 64x48 pixels.*--max_pixels"):
        videos.open_video(str(path), 64 * 48 - 1)


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
    write_avi(other)
    os.mkfifo(tmp_path / "pipe.avi")
    path = tmp_path / "a.mp4"
    # A list of films is no film: it could name any file.
    path.write_bytes(content.replace(b"{other}", str(other).encode()))
    with pytest.raises(media.MediaError, match="a.mp4: (not a vid|it has no pict)"):
        videos.open_video(str(path))


def test_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_avi("other.avi")
    (tmp_path / "concat:other.avi").write_bytes(b"no film")
    with pytest.raises(media.MediaError, match="concat:other.avi: not a video"):
        videos.open_video("concat:other.avi")


@pytest.mark.parametrize("name", ["a.mp4", "a001.mp4", "a%03d.mp4"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff"])
def test_a_picture_named_like_a_video_is_not_decoded(kind, name, tmp_path):
    path = tmp_path / name
    Image.new("RGB", (64, 48)).save(path, kind)
    with pytest.raises(
        media.MediaError, match=f"{name} holds a picture .*{kind.upper()}"
    ):
        videos.open_video(str(path))


def test_ffmpeg_says_nothing_of_damaged_files(tmp_path, capfd):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    with pytest.raises(media.MediaError):
        videos.open_video(str(tmp_path / "a.mp4"))
    assert not capfd.readouterr().err


def test_a_pipe_is_no_video(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(media.MediaError, match="a.mp4 is a pipe, not a file"):
        videos.open_video(str(tmp_path / "a.mp4"))


@pytest.mark.parametrize("left", [None, types.ModuleType("av")])
def test_without_pyav_a_sentence_says_how_to_get_it(left, tmp_path, monkeypatch):
    path = write_film(tmp_path / "v.mp4", [10])
    monkeypatch.setitem(sys.modules, "av", left)
    with pytest.raises(media.MediaError, match="need PyAV .*pip install 'hrnet_tf"):
        videos.open_video(path)
    with (
        pytest.raises(media.MediaError, match="need PyAV"),
        video_writing.VideoWriter(str(tmp_path / "w.mp4"), 10),
    ):
        pass


# ---- streams and cameras ----


def test_streams_and_cameras_are_known_by_their_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert videos.is_stream("rtsp://10.0.0.2/live") and videos.is_stream("HTTP://a/b")
    assert not videos.is_stream("gs://bucket/a.mp4") and not videos.is_stream("a.mp4")
    assert videos.is_camera("0") and not videos.is_camera("a0")
    (tmp_path / "7").mkdir()
    assert not videos.is_camera("7")
    assert not videos.is_camera("-1")


def test_a_stream_that_is_not_there_gets_a_sentence_without_its_password():
    with pytest.raises(media.MediaError, match="cannot be opened: ") as caught:
        videos.open_video("rtsp://me:secret@127.0.0.1:9/live")
    assert "rtsp://127.0.0.1:9/live" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_camera_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(cameras, "camera_numbers", list)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(media.MediaError, match="no camera 3: this machine has none"):
        videos.open_video("3")
    monkeypatch.setattr(cameras, "camera_numbers", lambda: [0, 2])
    with pytest.raises(media.MediaError, match="no camera 3: this machine has 0, 2"):
        videos.open_video("3")
    with pytest.raises(media.MediaError, match="Camera 2 cannot be opened"):
        videos.open_video("2")


class Camera:
    """What OpenCV opens, with frames that a test gives."""

    def __init__(self, frames):
        self.frames, self.is_released = list(frames), False

    def isOpened(self):
        return True

    def get(self, which):
        return 0.0

    def read(self):
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self):
        self.is_released = True


def test_a_camera_that_falls_silent_ends_with_a_sentence(monkeypatch):
    camera = Camera([np.full((4, 6, 3), [1, 2, 3], np.uint8)] * 3)
    monkeypatch.setattr(cameras, "camera_numbers", lambda: [0])
    monkeypatch.setattr(cameras.cv2, "VideoCapture", lambda number: camera)
    monkeypatch.setattr(cameras, "PATIENCE", 0.1)
    found = []
    with (
        pytest.raises(media.MediaError, match="Camera 0 sends nothing for 0 seconds"),
        videos.open_video("0") as video,
    ):
        assert (video.info.width, video.info.height) == (6, 4)
        found.extend(video)
    assert camera.is_released
