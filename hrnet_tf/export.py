r"""Exports a model: python -m hrnet_tf.export --model_dir=RUN --format=... ...

Takes the best checkpoint of a run of pose, segmentation or detection (the latest if
there is no best one), folds its norms into its convolutions, puts all that belongs to a
prediction around it, from an image's bytes to its keypoints, classes or objects, and
compares the result with the checkpoint on validation data before the files appear under
their names.

  python -m hrnet_tf.export --model_dir=runs/synthetic --format=saved_model \
    --output_dir=exported/1
  python -m hrnet_tf.export --model_dir=runs/synthetic --format=tflite \
    --quantize=int8 --output_dir=exported

  python -m hrnet_tf.export --model_dir=runs/synthetic --format=tflite \
    --quantize=float16 --android=examples/android

The configuration is that of the run, in its params.yaml. Weights without a run, such as
converted ones, take it from --config_file, as in training:

  python -m hrnet_tf.export --checkpoint=weights/pose_w32/ckpt \
    --config_file=configs/pose/coco_w32_256x192.yaml \
    --config_file=weights/pose_w32/ckpt.yaml --format=saved_model \
    --output_dir=exported/1

Segmentation and detection weights need --experiment, too, such as
hrnet_seg_cityscapes.

python -m hrnet_tf.join makes one SavedModel of a detector and a pose model, both
exported as saved_model.
"""

import dataclasses
import re
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.api import model_flags
from hrnet_tf.serving import android
from hrnet_tf.serving.formats import (
    AUTO,
    CANDIDATES,
    FORMATS,
    MAX_BATCH_SIZE,
    MAX_CANDIDATES,
    QUANTIZATIONS,
)

# Flags of what is python -m hrnet_tf.join today.
_MOVED_FLAGS = ("detector", "pose", "category_id", "box_score_threshold", "max_people")
_MOVED = "Moved: see python -m hrnet_tf.join."


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    define.string("model_dir", "The run, with its params.yaml and checkpoints.")
    define.string(
        "checkpoint",
        "The checkpoint to export instead of the run's best, or latest, one.",
    )
    define.string(
        "experiment",
        "Registered experiment; by default the run's. Without a run, the first that "
        "has all keys of the configuration, beginning with hrnet_pose_coco.",
    )
    define.changes("the configuration")
    define.enum("format", FORMATS, "What to write.")
    define.enum(
        "quantize",
        tuple(QUANTIZATIONS),
        "With --format=tflite: float16 halves the file, dynamic stores 8-bit weights, "
        "int8 computes with 8 bits. With --format=saved_model, for pose models: "
        "bfloat16 computes with 16 bits, for CPUs that have instructions for it.",
        default="none",
    )
    define.string(
        "output_dir",
        "saved_model: the directory to become the SavedModel, for TensorFlow Serving "
        "with a version number for its name. tflite: where to put the file.",
    )
    define.string(
        "android",
        "In place of --output_dir, with --format=tflite: an Android project, such as "
        "examples/android. The file becomes pose.tflite or detector.tflite among the "
        "app's assets.",
    )
    define.boolean(
        "flip_test",
        "For pose and segmentation models: whether to average with the mirrored input "
        "in the model, at twice the cost.",
    )
    for name, what in (("heatmaps", "pose"), ("logits", "segmentation")):
        define.boolean(
            name,
            f"With --format=tflite, for {what} models: whether to output {name} too.",
        )
    define.list(
        "input_size",
        "With --format=tflite, for segmentation models: HEIGHT,WIDTH of the images "
        "that the file takes. By default, a square that any resized image fits into.",
    )
    define.integer(
        "batch_size",
        "With --format=tflite, for pose models: how many crops the file takes at once.",
        default=1,
    )
    define.integer(
        "candidates",
        "With --format=tflite, for RetinaNet: how many boxes are compared to leave out "
        f"what was found already; {CANDIDATES} if not given.",
    )
    define.boolean(
        "warmup",
        "With --format=saved_model: whether to add warm-up requests for TensorFlow "
        "Serving.",
        default=True,
    )
    define.integer(
        "calibration_samples",
        "With --quantize=int8: how many training people, or images, to calibrate with.",
        default=200,
    )
    define.string(
        "float_layers",
        "With --quantize=int8: how many of the layers that lose most by 8 bits stay in "
        "float; auto takes as many as it takes to lose no more than --max_loss on the "
        "validation data.",
        default="0",
    )
    define.boolean(
        "quantization_report",
        "With --quantize=int8: whether to measure what each layer loses by 8 bits. The "
        "worst are printed, and all are written beside the file.",
    )
    define.boolean(
        "verify",
        "Whether to compare checkpoint and exported model on validation data, by AP or "
        "whatever evaluations compute.",
        default=True,
    )
    define.integer(
        "verification_images",
        "How many validation images (for pose models: with people) to compare on; 0 "
        "for all.",
        default=500,
    )
    define.float(
        "max_loss",
        "What the exported model may lose of AP, mIoU or whatever evaluations compute; "
        "more is an error. By default 0.002, and 0.01 for bfloat16, dynamic and int8; "
        "of NME a tenth of that.",
    )
    define.overwrite()
    define.boolean("pipeline", _MOVED)
    for name in _MOVED_FLAGS:
        define.string(name, _MOVED)
    return define.values


def export(values: flags.FlagValues) -> None:
    """Exports, verifies and says what was measured.

    Raises:
        UserError: If the configuration, its data or the checkpoint cannot be used, or
            the exported model does not do what the checkpoint does.
    """
    if values.android is not None and not values.format:
        values.format = "tflite"  # Apps open nothing else.
    _check_flags(values)
    input_size = model_flags.size_of(values)

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.serving.configuration import read_config
    from hrnet_tf.serving.exporter import Options
    from hrnet_tf.serving.exporting import Export, export_checkpoint
    from hrnet_tf.tasks.records import naming_culprits

    options = Options(
        *(values.flip_test, values.heatmaps, values.logits),
        *(input_size, values.batch_size, values.candidates),
    )
    params, kind = read_config(
        values.experiment,
        values.model_dir,
        values.config_file,
        values.params_override,
        options,
        values.verify,
    )
    names = {field.name for field in dataclasses.fields(Export)}
    names -= {"options", "float_layers"}
    wanted = Export(
        options=options,
        float_layers=_float_layers(values),
        **{name: values[name].value for name in names},
    )
    data = (params.task.train_data, params.task.validation_data)
    with naming_culprits(params.task, *data):
        path = export_checkpoint(
            params, kind, wanted, values.model_dir, values.checkpoint
        )
    next_steps.tell_of_model(path, kind.name)
    if values.android:
        next_steps.tell_of_app(values.android)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(export, define_flags(), argv)


def _check_flags(values: flags.FlagValues) -> None:
    """Refuses flags that are missing or have moved."""
    for name in ("pipeline", *_MOVED_FLAGS):
        if values[name].value:
            raise command_line.UsageError(
                f"--{name}: joining a detector and a pose model has become a command "
                "of its own: python -m hrnet_tf.join --detector=DIR --pose=DIR "
                "--output_dir=DIR."
            )
    if not values.format:
        raise command_line.UsageError(
            f"--format is missing; it must be one of {', '.join(FORMATS)}."
        )
    if not values.model_dir and not values.checkpoint:
        raise command_line.UsageError(
            "Neither --model_dir nor --checkpoint is given: name the run to export, or "
            "a checkpoint and with --config_file its configuration."
        )
    _check_place(values)
    _check_numbers(values)
    _check_combinations(values)
    _float_layers(values)


def _check_place(values: flags.FlagValues) -> None:
    """Refuses a place to write to that is missing, given twice or no project."""
    if not values.output_dir and not values.android:
        raise command_line.UsageError(
            "Neither --output_dir nor --android is given: say where to write, or into "
            "which app."
        )
    if values.output_dir and values.android:
        raise command_line.UsageError(
            "--output_dir and --android both say where the file goes: give one of them."
        )
    if values.android:
        android.check_project(values.android)


def _float_layers(values: flags.FlagValues) -> int | str:
    """The value of --float_layers."""
    text = values.float_layers
    if text == AUTO:
        if not values.verify:
            raise command_line.UsageError(
                "--float_layers=auto measures what is lost on validation data: leave "
                "--noverify out, or give the number of layers."
            )
        return text
    if not re.fullmatch(r"\d{1,6}", text):
        raise command_line.UsageError(
            f"--float_layers={text} must be auto or a whole number, 0 or more."
        )
    return int(text)


def _check_numbers(values: flags.FlagValues) -> None:
    for name, most in (("batch_size", MAX_BATCH_SIZE), ("candidates", MAX_CANDIDATES)):
        if (values[name].value or 0) > most:
            raise command_line.UsageError(
                f"--{name}={values[name].value} is too large; it must be {most} or "
                "less."
            )
    for name, least in (
        ("batch_size", 1),
        ("candidates", 1),
        ("calibration_samples", 1),
        ("verification_images", 0),
        ("max_loss", 0),
    ):
        value = values[name].value
        if value is not None and not value >= least:
            raise command_line.UsageError(
                f"--{name}={value} is too small; it must be {least} or more."
            )


def _check_combinations(values: flags.FlagValues) -> None:
    """Refuses flags that would be passed over without another."""
    formats = QUANTIZATIONS[values.quantize]
    if values.format not in formats:
        raise command_line.UsageError(
            f"--quantize={values.quantize} goes with --format={formats[0]}."
        )
    for needed, is_given, names in (
        (
            "--format=tflite",
            values.format == "tflite",
            ("heatmaps", "logits", "input_size", "batch_size", "candidates", "android"),
        ),
        ("--output_dir", values.output_dir is not None, ("quantization_report",)),
        ("--format=saved_model", values.format == "saved_model", ("warmup",)),
        (
            "--quantize=int8",
            values.quantize == "int8",
            ("calibration_samples", "float_layers", "quantization_report"),
        ),
        ("--verify", values.verify, ("verification_images", "max_loss")),
    ):
        for name in names:
            if not is_given and not values[name].using_default_value:
                raise command_line.UsageError(f"--{name} goes with {needed}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
