"""Converts official weights: python -m hrnet_tf.convert_weights --checkpoint=FILE ...

Reads a PyTorch checkpoint of the official HRNet repositories, of mmpose,
mmsegmentation or mmdetection, or of timm (.pth or .safetensors), builds the same
network in TensorFlow, loads every tensor, writes a checkpoint and reads it back.

  python -m hrnet_tf.convert_weights --checkpoint=pose_hrnet_w32_256x192.pth \\
    --output=weights/pose_w32/ckpt

The output is a checkpoint for `task.init_checkpoint` or `--checkpoint`, and beside it
a YAML with the network's configuration, for `--config_file`. Needs PyTorch to read
.pth files: pip install 'hrnet_tf[convert]'.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from hrnet_tf import (
    command_line,
    registry_imports,  # noqa: F401
)
from hrnet_tf.configs import backbones
from hrnet_tf.modeling.complexity import count_parameters
from hrnet_tf.weights.conversion import (
    TASKS,
    Conversion,
    load_pytorch_checkpoint,
    write_checkpoint,
)
from hrnet_tf.weights.tensor_files import WeightsError

__all__ = ["Conversion", "WeightsError", "load_pytorch_checkpoint", "write_checkpoint"]


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "checkpoint", None, "The .pth or .safetensors file.", flag_values=values
    )
    flags.DEFINE_string(
        "output",
        None,
        "Prefix of the checkpoint to write, e.g. weights/pose_w32/ckpt.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "task",
        None,
        TASKS,
        "What the network does; found out from the tensors if not given. backbone "
        "takes the body alone, of any checkpoint.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "model_id",
        None,
        [*backbones.VARIANTS, backbones.CUSTOM],
        "The variant that it must be; found out from the tensors if not given.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "align_corners",
        None,
        "Whether a segmentation network enlarges its branches with aligned corners "
        "(MODEL.ALIGN_CORNERS of the official configuration). If not given, official "
        "OCR networks do and all others do not.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "inplace_abn",
        False,
        "Whether it was trained with InPlaceABN: official segmentation weights for "
        "torch 0.4 (*_torch04.pth).",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "allow_partial",
        False,
        "Whether to convert what fits although tensors are missing, left over or of "
        "another shape.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "overwrite", False, "Whether to replace existing output.", flag_values=values
    )
    flags.mark_flags_as_required(["checkpoint", "output"], flag_values=values)
    return values


def convert(values: flags.FlagValues) -> None:
    """Converts one checkpoint and says what was found.

    Raises:
        WeightsError: If the checkpoint cannot be converted; nothing is then written.
    """
    if os.path.isdir(values.output) or not os.path.basename(values.output):
        raise command_line.UsageError(
            f"--output={values.output} is a directory; it must be the prefix of the "
            f"files to write, such as {os.path.join(values.output, 'ckpt')}."
        )
    if os.path.exists(f"{values.output}.index") and not values.overwrite:
        raise WeightsError(
            f"--output={values.output} exists already: choose another prefix, or "
            "replace it with --overwrite."
        )
    conversion = load_pytorch_checkpoint(
        values.checkpoint,
        values.task,
        values.model_id,
        align_corners=values.align_corners,
        inplace_abn=values.inplace_abn,
        allow_partial=values.allow_partial,
    )
    write_checkpoint(conversion, values.output)
    network = conversion.network
    for note in conversion.notes:
        print(note)
    for line in conversion.left_out:
        print(f"Not converted: {line}")
    print(
        f"{values.checkpoint}: {network.task} network {network.model_id}, "
        f"{count_parameters(network.model):,} parameters.\n"
        f"Wrote and verified {len(network.variables)} variables: "
        f"{values.output}.index\n"
        f"Configuration for --config_file: {values.output}.yaml"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(
        convert, define_flags(), argv, failures=(WeightsError, OSError)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
