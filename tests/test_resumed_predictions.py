"""A prediction that was broken off goes on where it was, and ends as if it had not."""

import fcntl
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_pose import FakePredictor

from hrnet_tf import predict
from hrnet_tf.api import loading
from hrnet_tf.serving import result_lines
from hrnet_tf.serving.predictor import DEFAULT_STYLE
from hrnet_tf.signals import Stopped

NUM_IMAGES = 21  # Blocks of 8, 8 and 5.
BROKEN = 4


class Model(FakePredictor):
    """Rounds as networks do: what it finds depends on what it is shown together."""

    batches_any_sizes = True
    shown: list[list[int]] = []
    stops_at = None
    sources = ()

    def predict_batch(self, images, boxes):
        numbers = [image.shape[1] - 20 for image in images]
        if self.stops_at in numbers:
            raise Stopped(15)
        Model.shown.append(numbers)
        return super().predict_batch(images, boxes)

    def predict_people(self, image, boxes):
        keypoints, scores = super().predict_people(image, boxes)
        return keypoints, scores + np.float32(len(Model.shown[-1]) / 100)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    def load(path, style=DEFAULT_STYLE, **options):
        made = Model(style)
        made.sources = (path,)
        return made

    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(Model, "shown", [])


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Images 01.png to 21.png of 21 to 41 columns; the fourth is broken."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(1, NUM_IMAGES + 1):
        image = np.full((20, 20 + number, 3), 90, np.uint8)
        cv2.imwrite(str(folder / f"{number:02}.png"), image)
    (folder / f"{BROKEN:02}.png").write_bytes(b"broken")
    return folder


@pytest.fixture
def run(tmp_path, photos, capsys):
    """Runs the command to tmp_path/out: the exit code, and what it says."""
    model = tmp_path / "m.tflite"
    model.write_bytes(b"a model")

    def run(*flags, source=photos, out=tmp_path / "out"):
        given = (f"--model={model}", f"--input={source}", f"--output_dir={out}")
        capsys.readouterr()
        code = predict.main(["predict", *given, "--whole_image", *flags])
        return code, capsys.readouterr().err

    return run


def read(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def names(folder) -> list[str]:
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [json.loads(line)["file_name"] for line in lines]


def test_results_are_lines_and_a_whole_file_of_them(run, tmp_path):
    code, told = run()
    assert code == 1 and "04.png: not an image" in told
    out = tmp_path / "out"
    expected = [n for n in range(1, NUM_IMAGES + 1) if n != BROKEN]
    assert names(out) == [f"{number:02}.png" for number in expected]
    rows = []
    for line in (out / "results.jsonl").read_text().splitlines():
        found = json.loads(line)
        assert list(found) == ["image_id", "file_name", "results"]
        (row,) = found.pop("results")
        rows.append({**found, **row})
    assert [row["image_id"] for row in rows] == expected
    assert (out / "results.json").read_text() == json.dumps(rows)


def test_images_have_their_picture_and_line_before_later_ones_are_shown(
    run, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    append = result_lines.ResultLines.append
    predict_batch = Model.predict_batch
    there = {}

    def look(self, images, boxes):
        there[images[0].shape[1] - 20] = (out / "results.jsonl").read_bytes()
        return predict_batch(self, images, boxes)

    def append_what_is_drawn(self, lines):
        assert all((out / json.loads(x)["file_name"]).exists() for x in lines.values())
        append(self, lines)

    monkeypatch.setattr(Model, "predict_batch", look)
    monkeypatch.setattr(result_lines.ResultLines, "append", append_what_is_drawn)
    run()
    assert [there[n].count(b"\n") for n in (1, 9, 17)] == [0, 0, 7]


def test_wherever_it_was_cut_off_it_goes_on_to_the_same(run, tmp_path):
    run()
    out = tmp_path / "out"
    whole = read(out)
    lines = whole["results.jsonl"]
    ends = [n + 1 for n, byte in enumerate(lines) if byte == ord("\n")]
    cuts = {0, 1, *ends, *(end - 1 for end in ends), ends[9] + 40, ends[17] + 40}
    for cut in sorted(cuts):
        (out / "results.json").unlink(missing_ok=True)
        (out / "results.jsonl").write_bytes(lines[:cut])
        Model.shown.clear()
        code, told = run("--resume")
        assert code == 1 and "1 could not be read:" in told
        assert read(out) == whole, cut
        # What a whole block found is not looked for again, unless it is the last one
        # and lacks an image, as the first block does.
        kept = sum(end <= cut for end in ends)
        first = 1 if kept <= 7 else 9 if kept < 15 else 17 if kept < 20 else 22
        shown = [number for group in Model.shown for number in group]
        assert shown == [n for n in range(first, NUM_IMAGES + 1) if n != BROKEN]


def test_a_stopped_run_says_how_it_goes_on(run, tmp_path, photos, monkeypatch):
    source, expected = tmp_path / "photos", tmp_path / "expected"
    shutil.copytree(photos, source, ignore=shutil.ignore_patterns("0[1-4].png"))
    run(source=source, out=expected)
    monkeypatch.setattr(Model, "stops_at", 21)
    code, told = run(source=source)
    assert code == 143
    assert "goes on from there with --resume" in told
    out = tmp_path / "out"
    assert not (out / "results.json").exists()
    before = names(out)
    (out / f".hrnet_tf.{10**9}.1.20.png").write_bytes(b"half a picture")
    code, told = run(source=source)
    assert code == 1 and "is of a run that was broken off: go on with" in told
    monkeypatch.setattr(Model, "stops_at", None)
    Model.shown.clear()
    code, told = run("--resume", source=source)
    assert code == 0 and f"{len(before)} of 17 images have results." in told
    shown = {f"{number:02}.png" for group in Model.shown for number in group}
    assert not shown & set(before)
    assert read(out) == read(expected)


@pytest.mark.parametrize("settings", [None, b"{}"])
def test_a_run_that_was_killed_before_its_first_line_begins_again(
    settings, run, tmp_path
):
    run()
    out = tmp_path / "out"
    whole = read(out)
    (out / "results.json").unlink()
    (out / "results.jsonl").write_bytes(b"")
    (out / "results.settings.json").unlink()
    if settings is not None:
        (out / "results.settings.json").write_bytes(settings)
    code, told = run("--resume")
    assert code == 1 and "1 could not be read:" in told
    assert read(out) == whole


def test_without_anything_to_go_on_with_it_begins(run, tmp_path):
    run("--resume")
    assert len(names(tmp_path / "out")) == 20


def test_what_could_not_be_read_is_tried_again(run, tmp_path, photos):
    source = tmp_path / "photos"
    shutil.copytree(photos, source)
    run(source=source)
    shutil.copy(photos / "01.png", source / "04.png")
    code, _ = run("--resume", source=source)
    assert code == 0
    out = tmp_path / "out"
    assert names(out)[-1] == "04.png" and len(set(names(out))) == NUM_IMAGES
    rows = json.loads((out / "results.json").read_text())
    assert [row["image_id"] for row in rows] == list(range(1, NUM_IMAGES + 1))


def damage(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new, 1))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--exif=ignore"], "with another --exif, 'apply' and not 'ignore': go on"),
        (["--score_threshold=0.5"], "with another --score_threshold, 0.2 and not 0.5"),
        (["--no_pictures"], "with another --no_pictures, false and not true"),
    ],
)
def test_other_flags_are_refused(flags, sentence, run, tmp_path):
    run()
    before = read(tmp_path / "out")
    code, told = run("--resume", *flags)
    assert code == 1 and sentence in told and "--overwrite" in told
    assert "Traceback" not in told and len(told.splitlines()) == 1
    assert read(tmp_path / "out") == before


def test_another_model_is_refused(run, tmp_path):
    run()
    (tmp_path / "m.tflite").write_bytes(b"another")
    code, told = run("--resume")
    assert code == 1 and "was begun with another model, '" in told


def test_other_boxes_are_refused(run, tmp_path, photos):
    def predict_boxes(x, *flags):
        boxes = [{"image_id": 1, "bbox": [x, 1, 9, 9], "score": 1, "category_id": 1}]
        (tmp_path / "boxes.json").write_text(json.dumps(boxes))
        where = (f"--boxes={tmp_path}/boxes.json", "--nowhole_image")
        return run(*where, *flags)

    predict_boxes(1)
    assert "1 could not be read:" in predict_boxes(1, "--resume")[1]
    code, told = predict_boxes(2, "--resume")
    assert code == 1 and "was begun with another file of boxes" in told


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b'"image_id": 1,', b'"image_id": 7,', "of '01.png' as image 7, and --input"),
        (b'"01.png"', b'"00.png"', "has results of '00.png' as image 1, and --input"),
        (b'"results": [', b'"results": {', "results.jsonl: line 1 is damaged: start"),
        (b'"results"', b'"result"', "results.jsonl: line 1 is damaged: start"),
        (b'"results": [', b'"results": [1, ', "results.jsonl: line 1 is damaged:"),
        (b'"01.png"', b'["01.png"]', "results.jsonl: line 1 is damaged: start"),
        (b"{", b"\0", "results.jsonl: line 1 is damaged: start over with --overwr"),
    ],
)
def test_lines_of_other_images_and_damage_are_refused(
    old, new, sentence, run, tmp_path
):
    run()
    damage(tmp_path / "out/results.jsonl", old, new)
    before = read(tmp_path / "out")
    code, told = run("--resume")
    assert code == 1 and sentence in told
    assert read(tmp_path / "out") == before


@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_damaged_settings_are_refused(content, run, tmp_path):
    run()
    path = tmp_path / "out/results.settings.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    code, told = run("--resume")
    assert code == 1 and str(path) in told and "Traceback" not in told


def test_a_second_process_is_refused(run, tmp_path):
    run()
    with (tmp_path / "out/results.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for flag in ("--resume", "--overwrite"):
            code, told = run(flag)
            assert code == 1 and "Another process is writing" in told
    assert len(names(tmp_path / "out")) == 20


def test_a_full_disk_is_a_sentence_and_what_is_there_is_continued(
    run, tmp_path, monkeypatch
):
    run(out=tmp_path / "expected")
    write = os.write

    def fill(handle, content):
        if b"09.png" in bytes(content):
            write(handle, content[:50])
            raise OSError(28, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr(result_lines.os, "write", fill)
    code, told = run()
    assert code == 1
    assert told.splitlines()[-1].endswith("results.jsonl: No space left on device.")
    monkeypatch.undo()
    monkeypatch.setattr(loading, "load", lambda path, style, **more: made(path, style))
    run("--resume")
    assert read(tmp_path / "out") == read(tmp_path / "expected")


def made(path, style):
    model = Model(style)
    model.sources = (path,)
    return model


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--resume", "--overwrite"], "--overwrite starts over and --resume goes on"),
        (["--resume", "--input=v.mp4"], "--resume goes with images; --input is a vid"),
    ],
)
def test_flags_that_contradict_each_other(flags, sentence, run):
    code, told = run(*flags)
    assert code == 2 and sentence in told


def test_results_of_an_earlier_version_are_not_replaced(run, tmp_path):
    run()
    (tmp_path / "out/results.jsonl").unlink()
    code, told = run("--resume")
    assert code == 1 and "results.json exists already" in told
