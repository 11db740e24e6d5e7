"""What all commands of this room have in common."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from hrnet_tf.data import coco_pose, lip
from hrnet_tf.data.converters import command
from hrnet_tf.data.converters.command import ConversionSummary

REPO = Path(__file__).parents[2]
CONVERTERS = (
    *("coco_pose", "coco_instances", "cityscapes", "lip", "pascal_context"),
    "segmentation_folder",
)

WITHOUT_TENSORFLOW = """
import importlib, sys
for name in {modules}:
    module = importlib.import_module("hrnet_tf.data." + name)
    flags = ["--output_prefix=a/b", "--image_dir=a", "--annotations=a", "--data_dir=a"]
    flags += ["--label_dir=a", "--label_set=nothing", "--skeleton=coco71"]
    assert module.main([name, "--help"]) == 0, name
    assert module.main([name]) == 2, name
    assert module.main([name, *flags]) == 2, name
heavy = ["tensorflow", "tf_keras", "official", "cv2", "numpy", "pycocotools", "scipy"]
print([name for name in heavy if name in sys.modules])
"""


def test_help_and_bad_usage_do_not_wait_for_tensorflow():
    modules = [*CONVERTERS, "synthetic.__main__"]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW.format(modules=modules)],
        capture_output=True,
        text=True,
        cwd=REPO,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", CONVERTERS)
def test_every_converter_has_the_common_flags_and_its_own_help(name, capsys):
    module = importlib.import_module(f"hrnet_tf.data.{name}")
    assert module.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"python -m hrnet_tf.data.{name} " in text
    for flag in ("output_prefix", "num_shards", "on_error", "[no]overwrite"):
        assert f"--{flag}: " in text


def test_a_failure_of_tensorflow_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "a.json").write_text(
        '{"images": [{"id": 1, "file_name": "a", "width": 1, "height": 1}],'
        ' "annotations": [], "categories": [{"id": 1, "name": "person"}]}'
    )
    flags = [f"--image_dir={tmp_path}", f"--annotations={tmp_path}/a.json"]
    prefix = f"--output_prefix={tmp_path}/file/train"
    assert coco_pose.main(["coco_pose", *flags, prefix]) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/file" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(("module", "hidden"), [("__main__", [[]]), ("other", [])])
def test_only_a_converter_run_as_a_program_hides_accelerators(
    module, hidden, monkeypatch, capsys
):
    calls = []
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda devices, kind: calls.append(devices)
    )

    def convert(values):
        return ConversionSummary(
            images=3,
            skipped={"bad box": 1},
            faults=["A fault."],
            warnings=["A warning."],
            files=["x-0", "records/x-1"],
        )

    convert.__module__ = module
    flags = command.ConverterFlags().values
    assert (
        command.run(convert, flags, ["x", "--output_prefix=a"], lambda *done: []) == 0
    )
    assert calls == hidden
    assert capsys.readouterr().err == "A fault.\nA warning.\n"


def test_a_summary_counts_what_is_not_zero():
    summary = ConversionSummary(
        images=3, skipped={"b": 1, "a": 2}, faults=[], files=["r/x-0", "r/x-1"]
    )
    assert summary.lines({"people": 0, "crowds": 0}, always=("people",)) == [
        "        3  images",
        "        0  people",
        "        2  skipped: a",
        "        1  skipped: b",
        "        2  files written: r/x-0 ... x-1",
    ]


def test_an_unexpected_split_is_bad_usage(capsys):
    flags = ["--data_dir=x", "--output_prefix=a/b", "--split=trainval"]
    assert lip.main(["lip", *flags]) == 2
    assert "split" in capsys.readouterr().err


def test_drawing_as_a_program_in_several_processes(tmp_path):
    flags = ["--num_train=9", "--num_val=1", "--image_size=96", "--num_workers=2"]
    program = [sys.executable, "-m", "hrnet_tf.data.synthetic", *flags]
    result = subprocess.run(
        [*program, f"--output_dir={tmp_path}/drawn"],
        capture_output=True,
        text=True,
        cwd=REPO,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Wrote 9 training and 1 validation images")
    assert len(os.listdir(tmp_path / "drawn/images/train")) == 9
