r"""Converts official weights: python -m hrnet_tf.convert_weights --checkpoint=FILE ...

Reads a PyTorch checkpoint of the official HRNet repositories, of mmpose,
mmsegmentation or mmdetection, or of timm (.pth or .safetensors), builds the same
network in TensorFlow, loads every tensor, writes a checkpoint and reads it back.

  python -m hrnet_tf.convert_weights --checkpoint=pose_hrnet_w32_256x192.pth \
    --output=weights/pose_w32/ckpt

The output is a checkpoint for `task.init_checkpoint` or `--checkpoint`, and beside it
a YAML with the network's configuration, for `--config_file`. Needs PyTorch to read
.pth files: pip install 'hrnet_tf[convert]'.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.configs.variants import ALL_VARIANTS, CUSTOM
from hrnet_tf.output_files import check_output
from hrnet_tf.weights.official_names import STATES, TASKS

# An experiment that can start from a network of each task, or from a body alone.
_EXPERIMENTS = {
    "classification": "hrnet_imagenet",
    "segmentation": "hrnet_seg_custom",
    "detection": "hrnet_maskrcnn_coco",
    "backbone": "hrnet_pose_coco",
}


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    add = command_line.Flags()
    add.string("checkpoint", "The .pth or .safetensors file.", required=True)
    add.string(
        "output",
        "Prefix of the checkpoint to write, e.g. weights/pose_w32/ckpt.",
        required=True,
    )
    add.enum(
        "task",
        TASKS,
        "What the network does; if not given, the tensors show it. backbone takes the "
        "body alone, from any checkpoint.",
    )
    add.enum(
        "model_id",
        [*ALL_VARIANTS, CUSTOM],
        "The variant that it must be; if not given, the tensors show it.",
    )
    add.enum(
        "state",
        STATES,
        "What to take of a file that holds weights twice: ema, their averages "
        "(state_dict_ema, model_ema, ...), or model, the model's own (state_dict). If "
        "not given, the averages where there are any; the output says what was taken.",
    )
    add.string(
        "prefix",
        "What the tensors' names of the network begin with, e.g. student; for a file "
        "that holds several networks.",
    )
    add.boolean(
        "align_corners",
        "Whether a segmentation network enlarges its branches with aligned corners "
        "(MODEL.ALIGN_CORNERS of the official configuration). If not given, official "
        "OCR networks do and all others do not.",
        default=None,
    )
    add.boolean(
        "inplace_abn",
        "Whether it was trained with InPlaceABN: official segmentation weights for "
        "torch 0.4 (*_torch04.pth).",
    )
    add.boolean(
        "allow_partial",
        "Whether to convert what fits although tensors are missing, left over or of "
        "another shape.",
    )
    add.overwrite()
    return add.values


def convert(values: flags.FlagValues) -> None:
    """Converts one checkpoint, or nothing, and says what was found."""
    if os.path.isdir(values.output) or not os.path.basename(values.output):
        raise command_line.UsageError(
            f"--output={values.output} is a directory; it must be the prefix of the "
            f"files to write, such as {os.path.join(values.output, 'ckpt')}."
        )
    for suffix in (".index", ".yaml"):
        check_output(f"{values.output}{suffix}", values.overwrite, flag="--output")
    from hrnet_tf.modeling.complexity import count_parameters
    from hrnet_tf.weights import conversion

    converted = conversion.load_pytorch_checkpoint(
        values.checkpoint,
        values.task,
        values.model_id,
        state=values.state,
        prefix=values.prefix,
        align_corners=values.align_corners,
        inplace_abn=values.inplace_abn,
        allow_partial=values.allow_partial,
    )
    conversion.write_checkpoint(converted, values.output)
    network = converted.network
    for note in converted.notes:
        print(note)
    for line in converted.left_out:
        print(f"Not converted: {line}")
    print(
        f"{values.checkpoint}: {network.task} network {network.model_id}, "
        f"{count_parameters(network.model):,} parameters.\n"
        f"Wrote and verified {len(network.variables)} variables: "
        f"{values.output}.index\n"
        f"Configuration for --config_file: {values.output}.yaml"
    )
    _tell_what_is_next(values, network.task, network.model)


def _tell_what_is_next(values: flags.FlagValues, task: str, model: Any) -> None:
    config_file = f"--config_file={values.output}.yaml"
    if task != "pose":
        next_steps.tell(
            "name your data with --params_override, and train from it",
            "train",
            f"--experiment={_EXPERIMENTS[task]}",
            *(config_file, "--model_dir=runs/finetuned"),
        )
        return
    from hrnet_tf.api import loading

    skeleton = loading.SKELETONS.get(model.output_shape[-1], "my/skeleton.yaml")
    size = loading.size_in_name(values.checkpoint)
    shape = f", model: {{input_size: {list(size)}}}" if size else ""
    next_steps.tell(
        "export it",
        "export",
        *(f"--checkpoint={values.output}", config_file),
        f"--params_override=task: {{skeleton: {skeleton}{shape}}}",
        *("--noverify", "--format=saved_model", "--output_dir=exported/pose/1"),
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(convert, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
