"""Prints how large the published networks are: python -m hrnet_tf.model_summary ...

Builds every variant for every task, without weights, and counts its parameters and the
multiply-accumulates (MACs) of inference on one image. All of them take minutes.

  python -m hrnet_tf.model_summary --task=pose --model_id=w32 --per_stage

Parameters are trained numbers: kernels, biases, scales and offsets of norms. MACs are
those of convolutions and linear layers, as the official code counts them; norms,
activations, resizing and the attention of OCR are left out. GMACs are 10^9 MACs; papers
print the same count in units of 2^30 and call it GFLOPs.

Images are as large as in each task's recipe, unless --input_size says otherwise.
Detection has the backbone and the HRNetV2p pyramid, which all kinds of detectors share,
but no heads. Its images are 1333x800 in the official recipe, padded to 1344x800, the
next multiple of 32.
"""

import re
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.configs.variants import (
    ALL_VARIANTS,
    RECIPES,
    check_input_size,
    is_published,
)
from hrnet_tf.progress import Progress


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    add = command_line.Flags()
    add.enums(
        "task",
        list(RECIPES),
        "What the networks do; may be given several times. All if not given.",
    )
    add.enums(
        "model_id",
        list(ALL_VARIANTS),
        "The variant; may be given several times. All if not given.",
    )
    sizes = ", ".join(
        f"{recipe.input_size[0]}x{recipe.input_size[1]} for {task}"
        for task, recipe in RECIPES.items()
    )
    add.string(
        "input_size",
        f"HEIGHTxWIDTH of the image, multiples of 32. If not given, {sizes}.",
    )
    add.boolean(
        "per_stage",
        "Whether to show every stage: the stem, stages 1 to 4, each with the "
        "transition before it, the neck (the decoder, or what merges the branches for "
        "classification) and the head.",
    )
    add.integer(
        "num_keypoints",
        "Keypoints of pose and face networks; if not given, 17, as in COCO, and 98, as "
        "in WFLW.",
        least=1,
    )
    add.integer(
        "num_classes",
        "Classes of the other networks; if not given, 1000 for classification, as in "
        "ImageNet, and 19 for segmentation, as in Cityscapes.",
        least=1,
    )
    formats = ("text", "markdown", "json")
    add.enum("format", formats, "How to print the numbers.", default="text")
    return add.values


def print_summaries(values: flags.FlagValues) -> None:
    """Counts the networks that the flags name and prints them."""
    input_size = _parse_input_size(values.input_size)
    tasks = list(dict.fromkeys(values.task))
    num_outputs = {"keypoints": values.num_keypoints, "classes": values.num_classes}
    for outputs, number in num_outputs.items():
        if number and not any(RECIPES[task].outputs == outputs for task in tasks):
            raise command_line.UsageError(
                f"--num_{outputs}={number} has no meaning for --task="
                f"{' --task='.join(tasks)}, whose networks predict no {outputs}: leave "
                "it out."
            )
    model_ids = dict.fromkeys(values.model_id)
    chosen = [
        (task, model_id)
        for task in tasks
        for model_id in model_ids
        if is_published(task, model_id)
    ]
    found = {model_id for _, model_id in chosen}
    left_out = [model_id for model_id in model_ids if model_id not in found]
    if left_out and not values["model_id"].using_default_value:
        raise command_line.UsageError(
            f"There are no {' or '.join(tasks)} networks {', '.join(left_out)}: those "
            "are published for --task=pose alone."
        )
    from hrnet_tf.modeling import summaries

    counted = []
    with Progress(len(chosen), "Counting", unit="network") as progress:
        for task, model_id in chosen:
            number = num_outputs.get(RECIPES[task].outputs)
            counted.append(summaries.summarize(task, model_id, input_size, number))
            progress.advance()
    print(summaries.FORMATS[values.format](counted, values.per_stage))
    if values.format == "text" and not values.per_stage:
        task, model_id = chosen[0]
        one = (f"--task={task}", f"--model_id={model_id}")
        next_steps.tell(
            "see where one of them computes", "model_summary", *one, "--per_stage"
        )


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
