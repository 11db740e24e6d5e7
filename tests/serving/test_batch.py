"""`hrnet_tf.batch` finds what `hrnet_tf.predict` does, or says why not."""

import glob
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("apache_beam")

from hrnet_tf import batch, predict

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
    assert batch.main(["", *given, *images, f"--output={prefix}"]) == 1
    expected = lines_of(tmp_path / "p/results.jsonl")
    assert len(expected) == 5
    assert lines_of(f"{prefix}-0*.jsonl") == expected
    (failed,) = lines_of(f"{prefix}.failed-0*.jsonl")
    assert json.loads(failed)["file_name"] == BAD
    assert "not an image" in failed


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--input={photos}/*.bmp", "--whole_image"], "matches no image"),
        (["--input={photos}/*.png"], "needs to know where people are"),
        (["--input={photos}/*.png", "--whole_image", "--runner=Nope"], "--runner=Nope"),
        (["--whole_image"], "--input=PATTERN or --input_list=FILE"),
        (["--input={photos}/*.png", "--whole_image", "--nope=3"], "nope"),
        (["--input_list={photos}/none.txt", "--whole_image"], "none.txt"),
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
