"""Tables of how large the published networks are, by task, variant and stage."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from hrnet_tf.configs.variants import RECIPES, check_input_size
from hrnet_tf.modeling import complexity, task_models
from hrnet_tf.modeling.complexity import Complexity


@dataclasses.dataclass(frozen=True)
class NetworkSize:
    """How large one network is; `stages` are in the order of `TaskModel.stages`."""

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
) -> NetworkSize:
    """Builds a network of `RECIPES` and `ALL_VARIANTS` and counts it; takes seconds.

    The size of images, (height, width), and the number of keypoints or classes are the
    recipe's if None. Raises `ValueError` if a side is not a multiple of 32.
    """
    input_size = input_size or RECIPES[task].input_size
    check_input_size(input_size)
    num_outputs = num_outputs or RECIPES[task].num_outputs
    with tf.variable_creator_scope(_create_zeros):
        # AutoGraph would search all layers for control flow to rewrite. There is none,
        # and the search takes a fifth of the time.
        built = tf.autograph.experimental.do_not_convert(task_models.build)(
            task, model_id, num_outputs
        )
    stages = complexity.count_parts(built.model, input_size, built.stages())
    return NetworkSize(task, model_id, input_size, num_outputs, stages)


def _create_zeros(create: Callable[..., tf.Variable], **options: Any) -> tf.Variable:
    """Makes a variable without drawing its value, which no count depends on."""
    shape, dtype = options["shape"], options["dtype"]
    if shape is not None:
        options["initial_value"] = lambda: tf.zeros(shape, dtype)
    return create(**options)


def format_text(summaries: Sequence[NetworkSize], per_stage: bool) -> str:
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


def format_markdown(summaries: Sequence[NetworkSize], per_stage: bool) -> str:
    """The same table for a README."""
    header = _header(per_stage)
    texts = len(header) - len(_NUMBERS)
    table = [
        header,
        ["---"] * texts + ["---:"] * len(_NUMBERS),
        *_rows(summaries, per_stage),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def format_json(summaries: Sequence[NetworkSize], per_stage: bool) -> str:
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
            network[f"num_{RECIPES[summary.task].outputs}"] = summary.num_outputs
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


def _rows(summaries: Sequence[NetworkSize], per_stage: bool) -> list[list[str]]:
    rows = []
    for summary in summaries:
        height, width = summary.input_size
        outputs = RECIPES[summary.task].outputs
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


FORMATS = {"text": format_text, "markdown": format_markdown, "json": format_json}
