"""Every benchmark runs, at a toy's size, and tells numbers that can be true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, folder, *flags):
    """The script's JSON."""
    path = folder / "numbers.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", *flags, f"--json={path}"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| --- |" in done.stdout
    content = json.loads(path.read_text())
    for line in content["summary"]:
        assert set(line) == {"work", "ours", "peer", "times as fast"}
        assert line["times as fast"] > 0
    return content


TOY = ["--rounds=1", "--variant=w18_small_v1", "--size=64x64"]


@pytest.mark.slow
def test_pose_input(tmp_path):
    flags = ["--num_images=40", "--crops=32", "--people_per_image=1.5", "--cores=1"]
    content = run("pose_input", tmp_path, "--rounds=1", *flags)
    (row,) = content["rows"]
    assert row["cores"] == 1
    assert row["hrnet_tf, people/s"] > 0
    (stages,) = content["settings"]["stages"]
    together = sum(stages[name] for name in ("record", "JPEG", "augmentation", "warp"))
    assert stages["rest"] == pytest.approx(stages["whole"] - together)
    assert len(content["summary"]) == 2


def test_decoding(tmp_path):
    flags = ["--people=3", "--batch=2", "--codecs=msra"]
    content = run("decoding", tmp_path, "--rounds=1", *flags)
    assert [row["reader"] for row in content["rows"]] == ["Gathers", "Masks"]
    for row in content["rows"]:
        assert row["same within 0.01 pixels"] == "100.0 %"


@pytest.mark.slow
def test_training_step(tmp_path):
    content = run("training_step", tmp_path, *TOY, "--batch=2", "--onednn=1")
    ours, *_ = content["rows"]
    assert ours["step"] == "hrnet_tf"
    assert ours["MiB for each crop"] > 0
    assert content["machine"]["onednn"] == "1"


@pytest.mark.slow
def test_predict(tmp_path):
    content = run("predict", tmp_path, *TOY, "--images=2", "--formats=tflite")
    (row,) = content["rows"]
    assert row["hrnet_tf, images/s"] > 0
    assert row["OpenCV loop, images/s"] > 0


@pytest.mark.slow
def test_inference(tmp_path):
    flags = ["--batches=1,2", "--only=SavedModel|TFLite fp32"]
    rows = run("inference", tmp_path, *TOY, *flags)["rows"]
    assert [row[""] for row in rows] == ["SavedModel", "TFLite fp32"]
    assert all(row["difference"] < 1e-3 for row in rows)
    assert all(row["2 at once"] > 0 for row in rows)


@pytest.mark.slow
def test_startup(tmp_path):
    content = run("startup", tmp_path, *TOY)
    seconds = {row[""]: row["wall, s"] for row in content["rows"]}
    assert seconds["python -c pass"] < seconds["import tensorflow"]
    assert seconds["first prediction, SavedModel"] > seconds["import tensorflow"]


@pytest.mark.slow
def test_growth(tmp_path):
    content = run("growth", tmp_path, "--people=64", "--factors=1,2")
    people = {}
    for row in content["rows"]:
        people.setdefault(row["step"], []).append(row["people"])
        assert row["seconds"] > 0
    assert people == dict.fromkeys(
        ("convert", "read", "evaluate", "predict"), [64, 128]
    )


@pytest.mark.slow
def test_short_forms_are_one_table(tmp_path):
    content = run("short_forms", tmp_path, "--only=decoding", "--rounds=1")
    work = [line["work"] for line in content["rows"]]
    assert work == [f"decode 1000 people, {codec}" for codec in ("msra", "dark", "udp")]
    assert content["settings"]["found"]["decoding"]["rows"]
