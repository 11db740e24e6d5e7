import json
import pathlib
import re

import pytest
import tensorflow as tf
import tf_keras

from hrnet_tf import model_summary
from hrnet_tf.configs import backbones
from hrnet_tf.model_summary import TASKS, Summary, summarize
from hrnet_tf.modeling import complexity
from hrnet_tf.modeling.complexity import Complexity

SIZES = json.loads(
    (pathlib.Path(__file__).parent / "testdata" / "model_sizes.json").read_text()
)
SMALL = "w18_small_v1"


@pytest.mark.parametrize(
    "task, model_id, published",
    [
        ("segmentation", "w18", "seg_hrnetv2_w18_19cls"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("pose", "w32", "pose_hrnet_w32_coco17_256x192"),
                ("pose", "w32", "pose_hrnet_w32_coco17_384x288"),
                ("pose", "w48", "pose_hrnet_w48_coco17_256x192"),
                ("pose", "w48", "pose_hrnet_w48_coco17_384x288"),
                ("segmentation", "w32", "seg_hrnetv2_w32_19cls"),
                ("segmentation", "w40", "seg_hrnetv2_w40_19cls"),
                ("segmentation", "w48", "seg_hrnetv2_w48_19cls"),
                ("segmentation_ocr", "w48", "seg_hrnetv2_ocr_w48_19cls"),
            )
        ),
    ],
)
def test_networks_are_as_large_as_the_official_ones(task, model_id, published):
    official = SIZES[published]
    total = summarize(task, model_id, tuple(official["input_hw"])).total
    assert total == Complexity(official["params"], official["conv_linear_macs"])


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["w18", "w32", "w40", "w48"])
def test_pyramids_are_as_large_as_the_official_ones(model_id):
    summary = summarize("detection", model_id)
    pyramid = summary.stages["neck"].parameters
    assert pyramid == SIZES[f"hrfpn_{model_id}_256"]["params"]
    backbone = summary.total.parameters - pyramid
    assert backbone == SIZES[f"backbone_{model_id}"]["params"]


@pytest.mark.parametrize(
    "task, head_inputs, last_stages",
    [
        ("pose", 16, ["head"]),
        ("classification", 2048, ["neck", "head"]),
        ("segmentation", 15 * 16, ["neck", "head"]),
        ("segmentation_ocr", 512, ["neck", "head"]),
        ("detection", None, ["neck"]),
    ],
)
def test_stages_add_up_to_the_whole_network(task, head_inputs, last_stages):
    built = TASKS[task].build(SMALL, 5)
    stages = complexity.count_parts(built.model, (64, 96), built.stages())
    body = ["stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    assert list(stages) == body + last_stages
    if head_inputs is not None:
        assert stages["head"].parameters == (head_inputs + 1) * 5
    total = Summary(task, SMALL, (64, 96), 5, stages).total
    assert total.parameters == complexity.count_parameters(built.model)
    assert total.macs == complexity.count_macs(built.model, (64, 96))


def _convs(*shapes: tuple[int, int, int, int]) -> Complexity:
    """Convolutions (side of the kernel, channels in, channels out, output pixels)."""
    return sum(
        (
            # A scale and an offset for each output channel, in the norm after it.
            Complexity(weights + 2 * filters, weights * pixels)
            for side, channels, filters, pixels in shapes
            for weights in [side * side * channels * filters]
        ),
        Complexity(),
    )


def test_stages_counted_by_hand():
    stages = summarize("pose", SMALL, (64, 96), num_outputs=3).stages
    half, quarter, eighth = 32 * 48, 16 * 24, 8 * 12
    assert stages["stem"] == _convs((3, 3, 64, half), (3, 64, 64, quarter))
    assert stages["stage 1"] == _convs(
        (1, 64, 32, quarter),
        (3, 32, 32, quarter),
        (1, 32, 128, quarter),
        (1, 64, 128, quarter),
    )
    transition = [(3, 128, 16, quarter), (3, 128, 32, eighth)]
    branches = 4 * [(3, 16, 16, quarter), (3, 32, 32, eighth)]
    fusion = [(1, 32, 16, eighth), (3, 16, 32, eighth)]
    assert stages["stage 2"] == _convs(*transition, *branches, *fusion)
    assert stages["head"] == Complexity(16 * 3 + 3, 16 * 3 * quarter)


def test_parts_must_be_all_of_the_model():
    first, second = (tf_keras.layers.Conv2D(2, 1) for _ in range(2))
    model = tf_keras.Sequential([tf_keras.Input((8, 8, 3)), first, second])
    counts = complexity.count_parts(model, (8, 8), {"a": [first], "b": [second]})
    assert counts == {"a": Complexity(8, 64 * 6), "b": Complexity(6, 64 * 4)}
    for parts in ({"a": [first]}, {"a": [first, second], "b": [second]}):
        with pytest.raises(ValueError, match="must be in one part and in no other"):
            complexity.count_parts(model, (8, 8), parts)


def test_a_product_without_a_kernel_belongs_to_no_part():
    class Product(tf_keras.layers.Layer):
        def call(self, inputs):
            return tf.matmul(tf.reshape(inputs, [24, 8]), tf.ones([8, 5]))

    model = tf_keras.Sequential([tf_keras.Input((8, 8, 3)), Product()])
    with pytest.raises(ValueError, match="multiplies by no trainable kernel"):
        complexity.count_parts(model, (8, 8), {"all": model.layers})


def test_kernels_are_found_in_half_precision():
    conv = tf_keras.layers.Conv2D(2, 1, use_bias=False, dtype="mixed_bfloat16")
    model = tf_keras.Sequential([tf_keras.Input((8, 8, 3)), conv])
    counts = complexity.count_parts(model, (8, 8), {"conv": [conv]})
    assert counts == {"conv": Complexity(6, 64 * 6)}


# ---- the command ----

SUMMARIES = [
    Summary(
        "segmentation",
        "w48",
        (1024, 2048),
        19,
        {"stem": Complexity(38848, 2**32), "head": Complexity(1200000, 3 * 2**40)},
    ),
    Summary("detection", "w18", (800, 1344), 0, {"stem": Complexity(38848, 5 * 10**6)}),
]


@pytest.mark.parametrize("per_stage", [False, True])
def test_text_is_aligned(per_stage):
    lines = model_summary.format_text(SUMMARIES, per_stage).splitlines()
    assert len(lines) == (6 if per_stage else 3)
    cells = [list(re.finditer(r"\S+(?: \S+)*", line)) for line in lines]
    # Words begin and numbers end in the same place of every line.
    assert len({tuple(cell.start() for cell in line[:-3]) for line in cells}) == 1
    assert len({tuple(cell.end() for cell in line[-3:]) for line in cells}) == 1
    total = [cell.group() for cell in cells[3 if per_stage else 1]]
    assert total[0] == "segmentation" and total[2:4] == ["1024x2048", "19 classes"]
    assert total[-3:] == ["1,238,848", "3,302.83", "3,076.00"]


@pytest.mark.parametrize("per_stage", [False, True])
def test_markdown_is_a_table(per_stage):
    text = model_summary.format_markdown(SUMMARIES, per_stage)
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
    ]
    header, rule, *rows = table
    assert {len(row) for row in table} == {8 if per_stage else 7}
    assert set(rule) == {"---", "---:"}
    last = dict(zip(header, rows[-1], strict=True))
    assert last["task"] == "detection"
    assert last["output"] == "pyramid"
    assert last["GMACs"] == "0.01" and last["parameters"] == "38,848"
    assert last.get("stage", "total") == "total"


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
        usual = TASKS[task]
        stages = {"stem": Complexity(1, 2)}
        return Summary(task, model_id, usual.input_size, usual.num_outputs, stages)

    monkeypatch.setattr(model_summary, "summarize", note)
    code, out, _ = _run(capsys, "--format=json")
    assert code == 0
    networks = json.loads(out)
    assert [(network["task"], network["model_id"]) for network in networks] == [
        (task, model_id) for task in TASKS for model_id in backbones.VARIANTS
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
