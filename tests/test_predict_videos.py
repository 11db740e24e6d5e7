"""hrnet_tf.predict on videos, streams, cameras and images that are frames."""

import json
import os
import signal
import sys

import cv2
import numpy as np
import pytest
from fake_pose import FakePredictor
from films import read_film, write_film, write_sound

from hrnet_tf import predict
from hrnet_tf.api import loading
from hrnet_tf.data.files import media, video_writing, videos
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.people.predictor import TwoStagePredictor
from hrnet_tf.serving.predictor import DEFAULT_STYLE

av = pytest.importorskip("av", reason="needs the extra `video`")

RESULTS = ["results.json", "results.jsonl"]


class Detector:
    """Finds two people who walk, and counts its looks."""

    looks = 0

    def find_people(self, image, category_id=None, least_score=None):
        Detector.looks += 1
        # Frames get brighter by 10, and people go as many pixels.
        shift = round(float(image.mean()) / 10)
        boxes = np.array([[5 + shift, 10, 16, 30], [40 - shift, 12, 16, 32]], float)
        return Boxes.of(boxes[:: 1 if Detector.looks % 2 else -1])


class People(TwoStagePredictor):
    """The two, around the fake pose model."""

    def __init__(self, style):
        self.style, self._pose, self._detector = style, FakePredictor(style), Detector()
        self.batches_any_sizes = False

    class metadata:
        task = "people"
        category_id = 1
        box_score_threshold = 0.3

    sources = ()


@pytest.fixture(autouse=True)
def fake_model(monkeypatch):
    monkeypatch.setattr(
        FakePredictor, "predict_people", with_bodies(FakePredictor.predict_people)
    )
    monkeypatch.setattr(Detector, "looks", 0)
    made = {"model": FakePredictor, "people": People}
    monkeypatch.setattr(
        loading, "load", lambda path, style=DEFAULT_STYLE, **_: made[path](style)
    )


def with_bodies(predict_people):
    """Keypoints across the box in place of all in its middle."""
    spread = np.linspace(0.1, 0.9, 17)

    def predict(self, image, boxes):
        keypoints, scores = predict_people(self, image, boxes)
        if len(boxes):
            keypoints[..., 1] = boxes[:, 1:2] + spread * boxes[:, 3:]
            keypoints[:, ::2, 0] += 0.4 * boxes[:, 2:3]
            keypoints[:, 1::2, 0] -= 0.4 * boxes[:, 2:3]
        return keypoints, scores

    return predict


@pytest.fixture
def film(tmp_path):
    """Three grey frames of 64x48."""
    return write_film(tmp_path / "v.mp4", [90] * 3)


@pytest.fixture
def walk(tmp_path):
    """Twelve frames in which two people walk, which are not drawn."""
    return write_film(tmp_path / "walk.mp4", range(0, 120, 10))


def run(tmp_path, *flags, model="model"):
    output = f"--output_dir={tmp_path / 'out'}"
    return predict.main(["predict", f"--model={model}", output, *map(str, flags)])


def read_results(tmp_path):
    return json.loads((tmp_path / "out/results.json").read_text())


def test_a_video_becomes_a_video(tmp_path):
    write_film(tmp_path / "walk.avi.mp4", [90] * 3)
    boxes = [{"image_id": 1, "bbox": [10, 10, 20, 20], "score": 1, "category_id": 1}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    flags = [f"--input={tmp_path}/walk.avi.mp4", f"--boxes={tmp_path / 'boxes.json'}"]
    assert run(tmp_path, *flags) == 0
    (row,) = read_results(tmp_path)
    assert (row["image_id"], row["file_name"]) == (1, "walk.avi.mp4")
    assert row["seconds"] == pytest.approx(0.1) and "track_id" not in row
    with videos.open_video(str(tmp_path / "out/walk.avi.mp4")) as video:
        changes = [np.abs(frame.astype(int) - 90).max() for _, frame in video]
    assert (video.info.width, video.info.height) == (64, 48)
    assert changes[0] < 20 < 50 < changes[1] and changes[2] < 40


def test_frames_keep_their_times_and_the_sound_stays(tmp_path):
    source = write_sound(tmp_path / "v.mp4")
    assert run(tmp_path, f"--input={source}", "--whole_image") == 0
    with av.open(str(tmp_path / "out/v.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    times = [0, 0.05, 0.4, 1.1]
    source = write_film(tmp_path / "w.mp4", [90] * 4, times)
    assert run(tmp_path, f"--input={source}", "--whole_image", "--overwrite") == 0
    np.testing.assert_allclose(read_film(tmp_path / "out/w.mp4")[1], times, atol=1e-4)
    found = [row["seconds"] for row in read_results(tmp_path)]
    np.testing.assert_allclose(found, times, atol=1e-4)


def test_people_keep_their_numbers(walk, tmp_path):
    flags = [f"--input={walk}", "--track", "--detect_every=4"]
    assert run(tmp_path, *flags, model="people") == 0
    rows = read_results(tmp_path)
    assert len(rows) == 24 and Detector.looks == 3
    for number in (1, 2):
        own = [row for row in rows if row["track_id"] == number]
        assert [row["image_id"] for row in own] == list(range(12))
        # Of one person, whatever the detector's order.
        sides = [row["bbox"][0] for row in own]
        assert max(sides) - min(sides) < 14
    lines = (tmp_path / "out/results.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["seconds"] == pytest.approx(0.1)


def test_smoothing_is_asked_for(walk, tmp_path):
    found = []
    for flags in ([], ["--track"], ["--track", "--smooth"]):
        flags += ["--detect_every=1"] if flags else []
        flags += [f"--input={walk}", "--no_pictures", "--overwrite"]
        assert run(tmp_path, *flags, model="people") == 0
        rows = sorted(read_results(tmp_path), key=lambda row: row["bbox"][0])
        found.append(np.array([row["keypoints"] for row in rows]))
        Detector.looks = 0
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[1] - found[2]).max() > 0.1


def test_images_of_a_folder_are_frames_with_track(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(6):
        image = np.full((48, 64, 3), 10 * number, np.uint8)
        cv2.imwrite(str(folder / f"f{8 + number}.png"), image)
    flags = [f"--input={folder}", "--track", "--frames_per_second=20"]
    assert run(tmp_path, *flags, model="people") == 0
    rows = read_results(tmp_path)
    assert [row["seconds"] for row in rows[::2]] == [0, 0.05, 0.1, 0.15, 0.2, 0.25]
    # Numbers go by their value: f10 comes after f9.
    assert [row["image_id"] for row in rows[::2]] == [8, 9, 10, 11, 12, 13]
    assert {row["track_id"] for row in rows} == {1, 2} and Detector.looks == 1
    assert (tmp_path / "out/f11.png").exists()


def test_images_of_two_folders_are_not_one_video(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "clips" / name / "1.png"), np.zeros((48, 64, 3)))
    flags = [f"--input={tmp_path}/clips", "--track"]
    assert run(tmp_path, *flags, model="people") == 1
    assert "there are 2 folders of images: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--smooth"], "--smooth goes with --track"),
        (["--detect_every=3"], "--detect_every goes with --track"),
        (["--track", "--detect_every=3"], "--detect_every goes with --detector"),
        (["--track", "--frames_per_second=25"], "goes with a folder of images"),
        (["--track", "--resume"], "--resume goes with images"),
        (["--exif=ignore"], "--exif goes with images; --input is a video"),
        (["--max_seconds=0"], "--max_seconds=0.0 must be above 0"),
        (["--max_seconds=nan"], "--max_seconds=nan must be above 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags, sentence, film, tmp_path, capsys
):
    assert run(tmp_path, f"--input={film}", "--whole_image", *flags) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_alone_have_no_end_and_no_rate(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    flags = [f"--input={tmp_path}/a.png", "--whole_image"]
    assert run(tmp_path, *flags, "--max_seconds=3") == 2
    assert "--max_seconds goes with a video" in capsys.readouterr().err
    assert run(tmp_path, *flags, "--track", "--resume") == 2
    assert "--resume does not go with --track" in capsys.readouterr().err


def test_a_video_ends_when_asked(film, tmp_path):
    assert run(tmp_path, f"--input={film}", "--whole_image", "--max_seconds=0.15") == 0
    assert [row["image_id"] for row in read_results(tmp_path)] == [0, 1]


def test_a_video_that_announces_more_frames(tmp_path, log, monkeypatch):
    path = write_film(tmp_path / "v.mp4", [90] * 3)
    opened = videos.open_video(path)
    object.__setattr__(opened.info, "num_frames", 9)
    monkeypatch.setattr(videos, "open_video", lambda path, most: opened)
    assert run(tmp_path, f"--input={path}", "--whole_image") == 0
    assert "v.mp4: 3 frames were decoded, of 9 announced." in log()
    assert len(read_results(tmp_path)) == 3


def test_boxes_of_no_frame_are_refused(film, tmp_path, capsys):
    boxes = [{"image_id": 7, "bbox": [10, 10, 20, 20], "score": 1, "category_id": 1}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert run(tmp_path, f"--input={film}", f"--boxes={tmp_path}/boxes.json") == 1
    error = capsys.readouterr().err
    assert f"no box for any of the 3 frames of {film}: in a video, image_id" in error
    assert list((tmp_path / "out").iterdir()) == []


def failing(monkeypatch, call, fail):
    """The model fails at its n-th look."""
    predict_people, calls = FakePredictor.predict_people, []

    def predict(self, image, boxes):
        calls.append(boxes)
        if len(calls) == call:
            fail()
        return predict_people(self, image, boxes)

    monkeypatch.setattr(FakePredictor, "predict_people", predict)


def test_a_frame_that_fails_ends_a_video_and_keeps_results(
    film, tmp_path, capsys, monkeypatch
):
    def fail():
        raise MemoryError

    failing(monkeypatch, 3, fail)
    assert run(tmp_path, f"--input={film}", "--whole_image") == 1
    error = capsys.readouterr().err
    assert "1 could not be read:" in error
    assert f"{film}, frame 2: there is not enough memory to predict its 64" in error
    assert [row["image_id"] for row in read_results(tmp_path)] == [0, 1]
    assert len(read_film(tmp_path / "out/v.mp4")[1]) == 2


def test_a_signal_ends_a_video_and_keeps_what_was_predicted(
    film, tmp_path, capsys, monkeypatch
):
    failing(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert run(tmp_path, f"--input={film}", "--whole_image") == 130
    assert "Interrupted (SIGINT)." in capsys.readouterr().err
    assert [row["image_id"] for row in read_results(tmp_path)] == [0, 1]
    assert len(read_film(tmp_path / "out/v.mp4")[1]) == 2


def opened(frames, name="stream", error=None):
    """A video of frames, at the end of which there may be an error."""

    def read():
        yield from frames
        if error:
            raise error

    return videos.Video(name, videos.VideoInfo(64, 48, 10.0), read())


GREY = np.full((48, 64, 3), 90, np.uint8)


def test_a_stream_that_stalls_keeps_what_was_predicted(tmp_path, capsys, monkeypatch):
    stalls = media.MediaError("rtsp://host/live ends early: it sent nothing.")
    frames = [(n / 10, GREY) for n in range(3)]
    monkeypatch.setattr(
        videos, "open_video", lambda path, most: opened(frames, error=stalls)
    )
    assert run(tmp_path, "--input=rtsp://me:word@host/live", "--whole_image") == 1
    told = capsys.readouterr()
    assert "ends early: it sent nothing" in told.err and "word" not in told.err
    assert "3 people:" in told.out
    rows = read_results(tmp_path)
    assert [row["file_name"] for row in rows] == ["stream"] * 3
    monkeypatch.undo()
    assert len(read_film(tmp_path / "out/stream.mp4")[1]) == 3


def test_times_that_go_back_are_told_once(tmp_path, monkeypatch, log):
    frames = [(n, GREY) for n in (50.0, 50.1, 3.0, 3.1)]
    monkeypatch.setattr(videos, "open_video", lambda path, most: opened(frames))
    flags = ["--input=rtsp://host/live", "--whole_image", "--track"]
    assert run(tmp_path, *flags) == 0
    assert "stream: 1 of its times were missing, went back or jumped" in log()
    found = [row["seconds"] for row in read_results(tmp_path)]
    np.testing.assert_allclose(found, [0, 0.1, 0.2, 0.3])
    assert {row["track_id"] for row in read_results(tmp_path)} == {1}


def test_frames_keep_their_numbers_after_a_damaged_spot(tmp_path, log, monkeypatch):
    frames = [(0.0, GREY), None, (0.2, GREY), None]
    monkeypatch.setattr(videos, "open_video", lambda path, most: opened(frames))
    assert run(tmp_path, "--input=rtsp://host/live", "--whole_image") == 0
    assert [row["image_id"] for row in read_results(tmp_path)] == [0, 2]
    assert "2 frames were decoded; 1 between them could not be" in log()


def test_a_camera_that_is_not_there_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hrnet_tf.data.files.cameras.camera_numbers", list)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, "--input=0", "--whole_image") == 1
    assert "There is no camera 0: this machine has none." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_frames_of_a_video_have_a_limit(film, tmp_path, capsys):
    flags = (f"--input={film}", "--whole_image")
    assert run(tmp_path, *flags, f"--max_pixels={64 * 48 - 1}") == 1
    assert "v.mp4 has frames of 64x48 pixels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(tmp_path, *flags, f"--max_pixels={64 * 48}") == 0


def test_a_broken_video_leaves_nothing(tmp_path, capsys):
    (tmp_path / "v.mp4").write_bytes(b"broken")
    assert run(tmp_path, f"--input={tmp_path}/v.mp4", "--whole_image") == 1
    assert "v.mp4: not a video" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_killed_left_lines_that_are_kept(film, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.jsonl").write_text("{}\n")
    flags = (f"--input={film}", "--whole_image", "--no_pictures")
    assert run(tmp_path, *flags) == 1
    error = capsys.readouterr().err
    assert "of a run that was broken off: start over with --overwrite" in error
    assert run(tmp_path, *flags, "--overwrite") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == RESULTS  # Nobody goes on with a video.


def test_a_writer_that_fails_leaves_results(film, tmp_path, monkeypatch, capsys):
    def fail(self, frame, seconds):
        raise media.MediaError("This PyAV cannot write.")

    monkeypatch.setattr(video_writing.VideoWriter, "write", fail)
    assert run(tmp_path, f"--input={film}", "--whole_image") == 1
    assert "This PyAV cannot write." in capsys.readouterr().err
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == RESULTS
