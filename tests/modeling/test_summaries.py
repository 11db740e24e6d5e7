import json
import pathlib
import re

import pytest
import tensorflow as tf
import tf_keras

from hrnet_tf.modeling import complexity, summaries, task_models
from hrnet_tf.modeling.complexity import Complexity
from hrnet_tf.modeling.summaries import NetworkSize, summarize

SIZES = json.loads(
    (pathlib.Path(__file__).parents[1] / "testdata" / "model_sizes.json").read_text()
)
SMALL = "w18_small_v1"


@pytest.mark.parametrize(
    "task, model_id, published",
    [
        pytest.param(
            *("segmentation", "w18", "seg_hrnetv2_w18_19cls"), marks=pytest.mark.slow
        ),
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
        # Each is a whole network to make.
        *(
            pytest.param(*others, marks=pytest.mark.heavy)
            for others in (
                ("classification", 2048, ["neck", "head"]),
                ("segmentation", 15 * 16, ["neck", "head"]),
                ("segmentation_ocr", 512, ["neck", "head"]),
                ("detection", None, ["neck"]),
            )
        ),
    ],
)
def test_stages_add_up_to_the_whole_network(task, head_inputs, last_stages):
    built = task_models.build(task, SMALL, 5)
    stages = complexity.count_parts(built.model, (64, 96), built.stages())
    body = ["stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    assert list(stages) == body + last_stages
    if head_inputs is not None:
        assert stages["head"].parameters == (head_inputs + 1) * 5
    total = NetworkSize(task, SMALL, (64, 96), 5, stages).total
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


# ---- tables ----

SUMMARIES = [
    NetworkSize(
        "segmentation",
        "w48",
        (1024, 2048),
        19,
        {"stem": Complexity(38848, 2**32), "head": Complexity(1200000, 3 * 2**40)},
    ),
    NetworkSize(
        "detection", "w18", (800, 1344), 0, {"stem": Complexity(38848, 5 * 10**6)}
    ),
]


@pytest.mark.parametrize("per_stage", [False, True])
def test_text_is_aligned(per_stage):
    lines = summaries.format_text(SUMMARIES, per_stage).splitlines()
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
    text = summaries.format_markdown(SUMMARIES, per_stage)
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
