import json

import pytest

from hrnet_tf import model_summary
from hrnet_tf.configs.variants import ALL_VARIANTS, RECIPES, VARIANTS
from hrnet_tf.modeling import summaries
from hrnet_tf.modeling.complexity import Complexity
from hrnet_tf.modeling.summaries import NetworkSize

SMALL = "w18_small_v1"


def _run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = model_summary.main(["model_summary", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json_holds_exact_numbers(capsys):
    code, out, err = _run(
        capsys,
        "--task=pose",
        "--task=detection",
        "--task=pose",
        f"--model_id={SMALL}",
        "--input_size=64x96",
        "--num_keypoints=5",
        "--per_stage",
        "--format=json",
    )
    assert code == 0
    assert "2/2 networks" in err
    pose, detection = json.loads(out)
    assert pose["task"] == "pose" and pose["model_id"] == SMALL
    assert pose["input_size"] == [64, 96] and pose["num_keypoints"] == 5
    assert pose["stages"]["head"] == {"parameters": 85, "macs": 16 * 24 * 16 * 5}
    assert detection["task"] == "detection" and "num_keypoints" not in detection
    for network in (pose, detection):
        for number in ("parameters", "macs"):
            in_stages = [stage[number] for stage in network["stages"].values()]
            assert network[number] == sum(in_stages)


def test_everything_is_counted_at_its_usual_size_by_default(capsys, monkeypatch):
    def note(task, model_id, input_size, num_outputs):
        assert input_size is None and num_outputs is None
        usual = RECIPES[task]
        stages = {"stem": Complexity(1, 2)}
        return NetworkSize(task, model_id, usual.input_size, usual.num_outputs, stages)

    monkeypatch.setattr(summaries, "summarize", note)
    code, out, _ = _run(capsys, "--format=json")
    assert code == 0
    networks = json.loads(out)
    assert [(network["task"], network["model_id"]) for network in networks] == [
        (task, model_id)
        for task in RECIPES
        for model_id in (ALL_VARIANTS if task == "pose" else VARIANTS)
    ]
    assert "stages" not in networks[0]


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--input_size=100x96"], "--input_size=100x96: HRNet's input sides must be"),
        (["--input_size=0x96"], "multiples of 32"),
        (["--input_size=256"], "--input_size=256 is no size"),
        (["--input_size=256x192x3"], "write HEIGHTxWIDTH in pixels"),
        (["--model_id=w99"], "w18_small_v1"),
        (["--task=tracking"], "segmentation_ocr"),
        (["--format=csv"], "markdown"),
        (["--num_classes=0"], "num_classes"),
        (
            ["--task=pose", "--task=detection", "--num_classes=4"],
            "--num_classes=4 has no meaning for --task=pose --task=detection",
        ),
        (["--task=segmentation", "--num_keypoints=4"], "predict no keypoints"),
        (
            ["--task=detection", "--model_id=lite18"],
            "no detection networks lite18: those are published for --task=pose",
        ),
        (
            ["--task=detection", "--model_id=w18", "--model_id=lite18"],
            "no detection networks lite18: those are published for --task=pose",
        ),
    ],
)
def test_bad_usage(capsys, arguments, told):
    code, out, err = _run(capsys, *arguments)
    assert code == 2
    assert told in err and err.endswith("\nSee --help.\n")
    assert not out


def test_help_says_what_is_counted(capsys):
    code, out, _ = _run(capsys, "--help")
    assert code == 0
    assert "attention of OCR are left out" in out
    assert "256x192 for pose" in " ".join(out.split())
