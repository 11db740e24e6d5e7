"""`hrnet_tf.batch` finds what `hrnet_tf.predict` does, or says why not."""

import contextlib
import glob
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import tensorflow as tf
from batched import same_lines
from processes import killed_at_the_end

pytest.importorskip("apache_beam")

from hrnet_tf import batch, predict
from hrnet_tf.pipelines import fetched_models, found_images, prediction
from hrnet_tf.serving.pose.predictor import PosePredictor

BAD = "broken.jpg"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for place in range(5):
        pixels = generator.integers(0, 256, (60 + place, 40, 3), np.uint8)
        cv2.imwrite(str(folder / f"{place}.png"), pixels)
    (folder / BAD).write_bytes(b"no picture")
    return folder


def lines_of(pattern):
    return sorted(line for file in glob.glob(str(pattern)) for line in open(file))


def test_lines_are_those_of_predict(photos, tflite_file, tmp_path):
    given = [f"--model={tflite_file}", "--whole_image"]
    code = predict.main(
        ["", *given, f"--input={photos}", f"--output_dir={tmp_path}/p", "--no_pictures"]
    )
    assert code == 1  # One image is broken.
    images = [f"--input={photos}/*.png", f"--input={photos}/*.jpg"]
    prefix = tmp_path / "found/people"
    prefix.parent.mkdir()
    for earlier in (
        "people-00006-of-00007.jsonl",
        "people.failed-00001-of-00002.jsonl",
    ):
        (prefix.parent / earlier).touch()
    run = [*given, *images, f"--output={prefix}", "--overwrite"]
    assert batch.main(["", *run]) == 1
    assert len(os.listdir(prefix.parent)) == 2
    expected = lines_of(tmp_path / "p/results.jsonl")
    assert len(expected) == 5
    assert lines_of(f"{prefix}-0*.jsonl") == expected
    (failed,) = lines_of(f"{prefix}.failed-0*.jsonl")
    assert json.loads(failed)["file_name"] == BAD
    assert "not an image" in failed


@pytest.mark.parametrize(
    # A SavedModel is loaded twice.
    "form",
    ["tflite_file", pytest.param("saved_model_dir", marks=pytest.mark.slow)],
)
def test_people_in_given_boxes_are_those_of_predict(form, photos, tmp_path, request):
    images = tmp_path / "images"
    images.mkdir()
    for path in photos.glob("*.png"):
        (images / path.name).symlink_to(path)
    # Two people, one, and nobody.
    boxes = [
        {"image_id": number, "bbox": [3, 4 + top, 20, 30], "score": 0.9}
        for number, top in ((1, 0), (1, 9), (4, 5))
    ]
    (tmp_path / "boxes.json").write_text(
        json.dumps([{**box, "category_id": 1} for box in boxes])
    )
    model, given = request.getfixturevalue(form), f"--boxes={tmp_path}/boxes.json"
    found = same_lines(model, images, tmp_path, given)
    assert sorted(map(len, found)) == [0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--input={photos}/*.bmp", "--whole_image"], "matches no image"),
        (["--input={photos}/**/*.png", "--whole_image"], "** is not known"),
        (["--input={photos}/*.png"], "needs to know where people are"),
        (["--input={photos}/*.png", "--whole_image", "--runner=Nope"], "--runner=Nope"),
        (["--whole_image"], "--input=PATTERN or --input_list=FILE"),
        (["--input={photos}/*.png", "--whole_image", "--nope=3"], "nope"),
        (
            ["--input={photos}", "--whole_image", "--runner=DirectRunner", "--nope=3"],
            "Neither this command nor Beam has a flag --nope",
        ),
        (["--input_list={photos}/none.txt", "--whole_image"], "none.txt"),
        (["--input={photos}", "--whole_image", "--output=out/[1]"], "for a pattern"),
        (["--input={photos}", "--whole_image", "--output=s3://a/b"], "not both write"),
        (["--input={photos}", "--whole_image", "--output=file:///b"], "not both write"),
    ],
)
def test_faults_are_told_before_work_begins(
    flags, sentence, photos, tflite_file, tmp_path, capsys
):
    given = [flag.format(photos=photos) for flag in flags]
    model, output = f"--model={tflite_file}", f"--output={tmp_path}/found/people"
    assert batch.main(["", model, output, *given]) in (1, 2)
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not (tmp_path / "found").exists()


def test_earlier_output_stays(photos, tflite_file, tmp_path, capsys):
    earlier = tmp_path / "people-00000-of-00001.jsonl"
    earlier.write_text("earlier\n")
    flags = [f"--model={tflite_file}", "--whole_image", f"--input={photos}/*.png"]
    assert batch.main(["", *flags, f"--output={tmp_path}/people"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert earlier.read_text() == "earlier\n"


def test_models_and_images_may_be_at_addresses(
    photos, saved_model_dir, tflite_file, tmp_path
):
    """That is, on file systems which TensorFlow alone knows, such as its memory."""
    for path in (tflite_file, *photos.iterdir()):
        tf.io.gfile.copy(str(path), f"ram://given/{path.name}", overwrite=True)
    (tmp_path / "list.txt").write_text("ram://given/3.png\n\nram://given/1.png\n")
    numbered, saved = f"file://{saved_model_dir.parent}", f"file://{saved_model_dir}"
    assert fetched_models._newest_in(numbered) == fetched_models._newest_in(saved)
    for model in (f"ram://given/{tflite_file.name}", numbered):
        prefix = tmp_path / model.rpartition("/")[2]
        flags = [f"--model={model}", "--whole_image", f"--output={prefix}"]
        assert batch.main(["", *flags, f"--input_list={tmp_path}/list.txt"]) == 0
        found = [json.loads(line) for line in lines_of(f"{prefix}-0*.jsonl")]
        assert [row["file_name"] for row in found] == ["1.png", "3.png"]
    listed = [file.name for file in found_images.find_images(["ram://given"], None, "")]
    assert listed == ["0.png", "1.png", "2.png", "3.png", "4.png", BAD]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["photos"], ["0.png", "1.png", "sub/7.png"]),
        (["photos/*.png"], ["0.png", "1.png"]),
        (["photos/*/*.png", "photos/0.png"], ["0.png", "sub/7.png"]),
        (["photos/sub/7.png"], ["7.png"]),
        (["photos/sub", "other"], ["other/9.png", "photos/sub/7.png"]),
        (["./photos//*.png", "photos/./0.png"], ["0.png", "1.png"]),
    ],
)
def test_names_are_below_what_all_have_in_common(given, names, tmp_path, monkeypatch):
    for name in ("photos/0.png", "photos/1.png", "photos/sub/7.png", "other/9.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "photos/notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("\ufeffphotos/0.png\n./photos/0.png\r\n")
    (file,) = found_images.find_images([], "list.txt", "out")
    assert file.name == "0.png"
    for folder in ("", f"{tmp_path}/"):
        paths = [f"{folder}{path}" for path in given]
        files = found_images.find_images([*paths, paths[0]], None, "out")
        assert [file.name for file in files] == names
        assert all(tf.io.gfile.exists(file.path) for file in files)


def test_names_that_lead_out_of_a_folder_are_refused(tmp_path):
    (tmp_path / "list.txt").write_text("../a.png\nb.png\n")
    with pytest.raises(
        found_images.PatternError, match=r"'\.\./a\.png' in the results"
    ):
        found_images.find_images([], str(tmp_path / "list.txt"), "out")


def test_a_model_that_fails_leaves_a_reason_for_each_image(
    photos, tflite_file, tmp_path, monkeypatch, capsys
):
    def fail(*arguments):
        raise ValueError("no such thing")

    monkeypatch.setattr(PosePredictor, "predict_batch", fail)
    monkeypatch.setattr(prediction, "_LOADED", {})
    flags = [f"--model={tflite_file}", "--whole_image", f"--input={photos}/*.png"]
    assert batch.main(["", *flags, f"--output={tmp_path}/people"]) == 1
    assert "5 images could not be read" in capsys.readouterr().err
    reasons = {json.loads(x)["reason"] for x in lines_of(f"{tmp_path}/people.failed-*")}
    assert reasons == {"no such thing"}


def test_a_full_disk_ends_the_pipeline_and_leaves_what_was_there(
    photos, tflite_file, tmp_path, monkeypatch, capsys
):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PosePredictor, "predict_batch", fail)
    monkeypatch.setattr(prediction, "_LOADED", {})
    earlier = tmp_path / "out/people-00000-of-00001.jsonl"
    earlier.parent.mkdir()
    earlier.write_text("earlier\n")
    flags = [f"--model={tflite_file}", "--whole_image", f"--input={photos}/*.png"]
    run = [*flags, f"--output={tmp_path}/out/people", "--overwrite"]
    assert batch.main(["", *run]) == 1
    told = capsys.readouterr().err
    assert "The pipeline failed on DirectRunner" in told and "No space left" in told
    assert list((tmp_path / "out").iterdir()) == [earlier]
    assert earlier.read_text() == "earlier\n"


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("seconds", [0, 2, 6])
def test_a_killed_worker_leaves_each_image_once(
    seconds, photos, saved_model_dir, tmp_path
):
    for number in range(40):
        for name in ("0.png", "1.png", "2.png"):
            copy = tmp_path / f"many/{number}/{name}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((photos / name).read_bytes())
    given = [f"--model={saved_model_dir}", "--whole_image", f"--input={tmp_path}/many"]
    run = [f"--output={tmp_path}/out/people", "--runner=DirectRunner"]
    run += ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hrnet_tf.batch", *given, *run],
        stderr=subprocess.PIPE,
        text=True,
    )
    with killed_at_the_end(process):
        while not workers_below(process.pid):
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(seconds)
        os.kill(workers_below(process.pid)[0], signal.SIGKILL)
        _, told = process.communicate(timeout=500)
    assert process.returncode == 0, told
    assert "Starts again: attempt 2 of 3." in told
    names = [json.loads(x)["file_name"] for x in lines_of(f"{tmp_path}/out/people-*")]
    assert len(names) == 120 and len(set(names)) == 120
    shards = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert shards == [f"people-0000{n}-of-00002.jsonl" for n in (0, 1)]


def workers_below(pid):
    """Beam's worker processes that descend from a process, without their shells."""
    parents, workers = {}, []
    for path in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(f"{path}/stat") as file:
                parents[int(path[6:])] = int(file.read().rpartition(")")[2].split()[1])
            with open(f"{path}/cmdline") as file:
                words = file.read().split("\0")
            if words[1:3] == ["-m", "apache_beam.runners.worker.sdk_worker_main"]:
                workers.append(int(path[6:]))

    def is_below(child):
        return child == pid or (child in parents and is_below(parents[child]))

    return [worker for worker in sorted(workers) if is_below(worker)]
