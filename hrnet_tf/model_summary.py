"""Prints how large the published networks are: python -m hrnet_tf.model_summary ...

Builds every variant for every task, without weights, and counts its parameters and the
multiply-accumulates (MACs) of inference on one image. All of them take minutes.

  python -m hrnet_tf.model_summary --task=pose --model_id=w32 --per_stage

Parameters are trained numbers: kernels, biases, scales and offsets of norms. MACs are
those of convolutions and linear layers, as the official code counts them; norms,
activations, resizing and the attention of OCR are left out. GMACs are 10^9 MACs; papers
print the same count in units of 2^30 and call it GFLOPs.

Images are as large as each task's recipe has them, unless --input_size says otherwise.
Detection has the backbone and the HRNetV2p pyramid, which all kinds of detectors share,
and not the heads. Its images are 1333x800 in the official recipe, padded to 1344x800,
the next multiple of 32.
"""

import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from hrnet_tf import (
    command_line,
    registry_imports,  # noqa: F401
)
from hrnet_tf.configs import backbones, decoders
from hrnet_tf.modeling import complexity, task_models
from hrnet_tf.modeling.complexity import Complexity
from hrnet_tf.modeling.hrnet import check_input_size
from hrnet_tf.modeling.task_models import TaskModel
from hrnet_tf.progress import Progress

FORMATS = ("text", "markdown", "json")


@dataclasses.dataclass(frozen=True)
class Task:
    """What a task's networks have in common.

    Attributes:
        build: Builds one for a variant and a number of outputs.
        input_size: (height, width) of images in the official recipe.
        outputs: What it predicts one channel of each: `keypoints`, `classes` or
            nothing.
        num_outputs: How many of them official networks predict.
    """

    build: Callable[[str, int], TaskModel]
    input_size: tuple[int, int]
    outputs: str = ""
    num_outputs: int = 0


def _build_pose(model_id: str, num_keypoints: int) -> TaskModel:
    backbone = _backbone(model_id, multi_scale_output=False)
    return task_models.build_pose(backbone, num_keypoints)


def _build_classification(model_id: str, num_classes: int) -> TaskModel:
    backbone = _backbone(model_id, classification_neck=True)
    return task_models.build_classification(backbone, num_classes)


def _build_segmentation(model_id: str, num_classes: int) -> TaskModel:
    backbone = _backbone(model_id, fuse_upsampling="bilinear")
    decoder = decoders.Decoder(type="hrnetv2")
    return task_models.build_segmentation(backbone, decoder, num_classes)


def _build_segmentation_ocr(model_id: str, num_classes: int) -> TaskModel:
    backbone = _backbone(model_id, fuse_upsampling="bilinear_align_corners")
    decoder = decoders.Decoder(type="hrnetv2_ocr")
    return task_models.build_segmentation(backbone, decoder, num_classes)


def _build_detection(model_id: str, num_outputs: int) -> TaskModel:
    del num_outputs
    decoder = decoders.Decoder(type="hrnetv2p")
    return task_models.build_detection(_backbone(model_id), decoder)


def _backbone(model_id: str, **options: Any) -> backbones.Backbone:
    hrnet = backbones.HRNet(model_id=model_id, **options)
    return backbones.Backbone(type="hrnet", hrnet=hrnet)


TASKS = {
    "pose": Task(_build_pose, (256, 192), "keypoints", 17),
    "classification": Task(_build_classification, (224, 224), "classes", 1000),
    "segmentation": Task(_build_segmentation, (1024, 2048), "classes", 19),
    "segmentation_ocr": Task(_build_segmentation_ocr, (1024, 2048), "classes", 19),
    "detection": Task(_build_detection, (800, 1344)),
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """How large one network is.

    Attributes:
        task: A key of `TASKS`.
        model_id: The variant.
        input_size: (height, width) of the image.
        num_outputs: Keypoints or classes; 0 where the task has neither.
        stages: The size of every stage, in the order of `TaskModel.stages`.
    """

    task: str
    model_id: str
    input_size: tuple[int, int]
    num_outputs: int
    stages: dict[str, Complexity]

    @property
    def total(self) -> Complexity:
        """The size of the whole network."""
        return sum(self.stages.values(), Complexity())


def summarize(
    task: str,
    model_id: str,
    input_size: tuple[int, int] | None = None,
    num_outputs: int | None = None,
) -> Summary:
    """Builds a network and counts it; takes seconds.

    Args:
        task: A key of `TASKS`.
        model_id: A key of `backbones.VARIANTS`.
        input_size: (height, width) in pixels; the task's usual if None.
        num_outputs: Keypoints or classes; the task's usual if None.

    Raises:
        ValueError: If a side of the image is no multiple of 32.
    """
    usual = TASKS[task]
    input_size = input_size or usual.input_size
    check_input_size(input_size)
    num_outputs = num_outputs or usual.num_outputs
    with tf.variable_creator_scope(_create_zeros):
        # AutoGraph would read all layers for control flow to rewrite. There is none,
        # and it takes a fifth of the time.
        built = tf.autograph.experimental.do_not_convert(usual.build)(
            model_id, num_outputs
        )
    stages = complexity.count_parts(built.model, input_size, built.stages())
    return Summary(task, model_id, input_size, num_outputs, stages)


def _create_zeros(create: Callable[..., tf.Variable], **options: Any) -> tf.Variable:
    """Makes a variable without drawing its value, on which no count depends."""
    shape, dtype = options["shape"], options["dtype"]
    if shape is not None:
        options["initial_value"] = lambda: tf.zeros(shape, dtype)
    return create(**options)


def format_text(summaries: Sequence[Summary], per_stage: bool) -> str:
    """A table with aligned columns."""
    table = [_header(per_stage), *_rows(summaries, per_stage)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numbers = len(_NUMBERS)
    lines = []
    for row in table:
        padded = [
            cell.rjust(width) if column >= len(row) - numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded))
    return "\n".join(lines)


def format_markdown(summaries: Sequence[Summary], per_stage: bool) -> str:
    """The same table for a README."""
    header = _header(per_stage)
    texts = len(header) - len(_NUMBERS)
    table = [
        header,
        ["---"] * texts + ["---:"] * len(_NUMBERS),
        *_rows(summaries, per_stage),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def format_json(summaries: Sequence[Summary], per_stage: bool) -> str:
    """A list with an object for every network, its numbers not rounded."""
    networks = []
    for summary in summaries:
        network = {
            "task": summary.task,
            "model_id": summary.model_id,
            "input_size": list(summary.input_size),
            **dataclasses.asdict(summary.total),
        }
        if summary.num_outputs:
            network[f"num_{TASKS[summary.task].outputs}"] = summary.num_outputs
        if per_stage:
            network["stages"] = {
                stage: dataclasses.asdict(size)
                for stage, size in summary.stages.items()
            }
        networks.append(network)
    return json.dumps(networks, indent=2)


_NUMBERS = ("parameters", "GMACs", "GFLOPs in papers")


def _header(per_stage: bool) -> list[str]:
    stage = ["stage"] if per_stage else []
    return ["task", "model_id", "input", "output", *stage, *_NUMBERS]


def _rows(summaries: Sequence[Summary], per_stage: bool) -> list[list[str]]:
    rows = []
    for summary in summaries:
        height, width = summary.input_size
        outputs = TASKS[summary.task].outputs
        network = [
            summary.task,
            summary.model_id,
            f"{height}x{width}",
            f"{summary.num_outputs} {outputs}" if outputs else "pyramid",
        ]
        if per_stage:
            for stage, size in {**summary.stages, "total": summary.total}.items():
                rows.append([*network, stage, *_numbers(size)])
        else:
            rows.append([*network, *_numbers(summary.total)])
    return rows


def _numbers(size: Complexity) -> list[str]:
    return [
        f"{size.parameters:,}",
        f"{size.macs / 1e9:,.2f}",
        f"{size.macs / 2**30:,.2f}",
    ]


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()
    flags.DEFINE_multi_enum(
        "task",
        list(TASKS),
        list(TASKS),
        "What the networks do; may be given several times. All if not given.",
        flag_values=values,
    )
    flags.DEFINE_multi_enum(
        "model_id",
        list(backbones.VARIANTS),
        list(backbones.VARIANTS),
        "The variant; may be given several times. All if not given.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "input_size",
        None,
        "HEIGHTxWIDTH of the image, multiples of 32. If not given, "
        + ", ".join(
            f"{task.input_size[0]}x{task.input_size[1]} for {name}"
            for name, task in TASKS.items()
        )
        + ".",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "per_stage",
        False,
        "Whether to show every stage: the stem, stages 1 to 4, each with the "
        "transition before it, the neck (the decoder, or what merges the branches for "
        "classification) and the head.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_keypoints",
        None,
        "Keypoints of pose networks; 17, as in COCO, if not given.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_classes",
        None,
        "Classes of the other networks; if not given, 1000 for classification, as in "
        "ImageNet, and 19 for segmentation, as in Cityscapes.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum("format", "text", FORMATS, "Of the output.", flag_values=values)
    return values


def print_summaries(values: flags.FlagValues) -> None:
    """Counts the networks that the flags name and prints them.

    Raises:
        UsageError: If the size of the image is none, or a number of outputs is given
            that no chosen task has.
    """
    input_size = _parse_input_size(values.input_size)
    tasks = list(dict.fromkeys(values.task))
    num_outputs = {"keypoints": values.num_keypoints, "classes": values.num_classes}
    for outputs, number in num_outputs.items():
        if number and not any(TASKS[task].outputs == outputs for task in tasks):
            raise command_line.UsageError(
                f"--num_{outputs}={number} has no meaning for --task="
                f"{' --task='.join(tasks)}, whose networks predict no {outputs}: leave "
                "it out."
            )
    chosen = [
        (task, model_id)
        for task in tasks
        for model_id in dict.fromkeys(values.model_id)
    ]
    summaries = []
    with Progress(len(chosen), "Counting", unit="network") as progress:
        for task, model_id in chosen:
            number = num_outputs.get(TASKS[task].outputs)
            summaries.append(summarize(task, model_id, input_size, number))
            progress.advance()
    formats = {"text": format_text, "markdown": format_markdown, "json": format_json}
    print(formats[values.format](summaries, values.per_stage))


def _parse_input_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise command_line.UsageError(
            f"--input_size={text} is no size: write HEIGHTxWIDTH in pixels, such as "
            "256x192."
        )
    height, width = map(int, match.groups())
    try:
        check_input_size((height, width))
    except ValueError as error:
        raise command_line.UsageError(f"--input_size={text}: {error}") from None
    return height, width


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(print_summaries, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
