"""The command that imports labels: its flags, what it refuses, what it writes."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hrnet_tf.data import coco_pose, import_annotations
from hrnet_tf.data.label_tools import boxes

REPO = Path(__file__).parents[2]
TESTDATA = Path(__file__).parents[1] / "testdata/label_tools"


@pytest.fixture
def command(tmp_path, capsys):
    """Runs the command on LabelMe's files; returns exit code, output and errors."""

    def run(*flags):
        argv = [
            "import",
            "--from=labelme",
            f"--input={TESTDATA}/labelme",
            f"--output={tmp_path}/people.json",
            *flags,
        ]
        code = import_annotations.main(argv)
        return code, *capsys.readouterr()

    return run


GOOD = ["--area_from=box", "--box_from=segmentation"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--split=train"], "--split goes with --from=yolo_pose."),
        (["--box_from=keypoint"], "(did you mean 'keypoints'?) is none of"),
        (["--box_from=keypoints"], "--box_from=keypoints and --box_margin go together"),
        (["--box_margin=10%"], "--box_from=keypoints and --box_margin go together"),
        (
            ["--box_from=keypoints", "--box_margin=10"],
            "--box_margin=10 must be written like 10% or 20px",
        ),
        (["--area_from=boxes"], "area_from"),
        (["--output=people"], "--output=people must end in .json"),
        (["--from=coco", "--hidden_flag=x"], "--from=labelme or --from=label_studio"),
    ],
)
def test_bad_usage(command, tmp_path, flags, expected):
    code, out, err = command(*flags)
    assert (code, out) == (2, "")
    assert expected in err
    assert os.listdir(tmp_path) == []


def test_what_is_missing_is_not_guessed(command, tmp_path):
    code, _, err = command("--area_from=box")
    assert code == 1
    assert "shapes[4]: it has no box; to make one, add" in err
    assert "--box_from=segmentation,keypoints" in err
    code, _, err = command("--box_from=segmentation")
    assert code == 1
    assert "it has no area; add --area_from=box or --area_from=segmentation" in err
    assert os.listdir(tmp_path) == []


def test_nothing_is_replaced_unasked(command, tmp_path):
    skeleton = tmp_path / "people.skeleton.yaml"
    skeleton.write_text("mine")
    code, _, err = command(*GOOD)
    assert code == 1
    assert "people.skeleton.yaml exists already" in err
    assert os.listdir(tmp_path) == ["people.skeleton.yaml"]
    assert command(*GOOD, "--overwrite")[0] == 0
    assert skeleton.read_text() != "mine"
    code, _, err = command(*GOOD)
    assert "people.json exists already" in err


def test_a_failure_while_writing_leaves_nothing(command, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("The disk is full.")

    monkeypatch.setattr(json, "dump", fail)
    code, _, err = command(*GOOD)
    assert code == 1
    assert "The disk is full." in err
    assert os.listdir(tmp_path) == []


def test_all_faults_are_told_if_nothing_is_left(tmp_path, capsys):
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.json").write_text("{")
    argv = ["import", "--from=labelme", f"--input={labels}", "--on_error=skip"]
    assert import_annotations.main([*argv, f"--output={tmp_path}/people.json"]) == 1
    err = capsys.readouterr().err
    assert "No image is left to write, so nothing is written:" in err
    assert "a.json is not valid JSON" in err


def test_missing_inputs_are_told(tmp_path, capsys):
    for tool in ("cvat", "label_studio", "labelme", "yolo_pose", "deeplabcut", "coco"):
        argv = ["import", f"--from={tool}", f"--input={tmp_path}/gone.x"]
        assert import_annotations.main([*argv, f"--output={tmp_path}/p.json"]) == 1
        assert "gone.x does not exist" in capsys.readouterr().err, tool


def test_the_next_command_is_one_that_works(command, tmp_path, monkeypatch):
    _, out, _ = command(*GOOD)
    line = out.splitlines()[-1]
    monkeypatch.chdir(tmp_path)
    _, _, module, *flags = shlex.split(line)
    assert module == "hrnet_tf.data.coco_pose"
    assert coco_pose.main([module, *flags]) == 0
    assert len(os.listdir(tmp_path / "records")) > 0


def test_as_a_program(tmp_path):
    result = subprocess.run(
        [
            *(sys.executable, "-m", "hrnet_tf.data.import_annotations"),
            *("--from=cvat", f"--input={TESTDATA}/cvat_datumaro.xml"),
            *("--area_from=box", "--box_from=segmentation"),
            f"--output={tmp_path}/new/people.json",
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.splitlines()[0] == "        2  images"
    assert sorted(os.listdir(tmp_path / "new")) == [
        "people.json",
        "people.skeleton.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("10%", boxes.Margin(share=0.1)),
        ("12.5px", boxes.Margin(pixels=12.5)),
        ("0px", boxes.Margin()),
        ("10", None),
        ("-1px", None),
        ("nan%", None),
        ("1" * 400 + "px", None),
    ],
)
def test_margins(text, margin):
    assert boxes.parse_margin(text) == margin
