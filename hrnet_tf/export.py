"""Exports a model: python -m hrnet_tf.export --model_dir=RUN --format=... ...

Takes the best checkpoint of a run of pose, segmentation or detection (the latest if
there is no best one), folds its norms into its convolutions, puts all that belongs to a
prediction around it, from an image's bytes to its keypoints, classes or objects, and
compares the result with the checkpoint on validation data before the files appear under
their names.

  python -m hrnet_tf.export --model_dir=runs/synthetic --format=saved_model \\
    --output_dir=exported/1
  python -m hrnet_tf.export --model_dir=runs/synthetic --format=tflite \\
    --quantize=int8 --output_dir=exported

The configuration is that of the run, in its params.yaml. Weights without a run, such as
converted ones, take it from --config_file, as in training:

  python -m hrnet_tf.export --checkpoint=weights/pose_w32/ckpt \\
    --config_file=configs/pose/coco_w32_256x192.yaml \\
    --config_file=weights/pose_w32/ckpt.yaml --format=saved_model \\
    --output_dir=exported/1

Those of segmentation and detection need --experiment, too, such as
hrnet_seg_cityscapes.

A detector and a pose model, both exported as saved_model, become one SavedModel that
finds people and their keypoints:

  python -m hrnet_tf.export --pipeline --detector=exported/detector/1 \\
    --pose=exported/pose/1 --output_dir=exported/people/1
"""

import functools
import os
import sys
from collections.abc import Callable, Sequence

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from hrnet_tf import command_line, registry_imports  # noqa: F401
from hrnet_tf.data.files.detections import DetectionsError
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.exporters import exporter_of
from hrnet_tf.serving import saved_model, tflite, verification
from hrnet_tf.serving.configuration import read_config
from hrnet_tf.serving.exporter import Exporter
from hrnet_tf.serving.loading import load_model
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.output import (
    check_output,
    checkpoint_bytes,
    size_in_bytes,
    written_whole,
)
from hrnet_tf.serving.people.exporter import export_pipeline
from hrnet_tf.serving.predictor import load_predictor
from hrnet_tf.training import checkpoints
from hrnet_tf.training.experiment import ConfigError

FORMATS = ("saved_model", "tflite")

# What an exported model may lose of the checkpoint's AP or mIoU.
_MAX_LOSS = {"none": 0.002, "float16": 0.002, "dynamic": 0.01, "int8": 0.01}


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()

    def define(definer: Callable, name: str, default, *rest) -> None:
        definer(name, default, *rest, flag_values=values)

    string, boolean = flags.DEFINE_string, flags.DEFINE_boolean
    define(string, "model_dir", None, "The run, with its params.yaml and checkpoints.")
    define(
        string,
        "checkpoint",
        None,
        "The checkpoint to export instead of the run's best, or latest, one.",
    )
    define(
        string,
        "experiment",
        None,
        "Registered experiment; by default one of the run's task, and hrnet_pose_coco "
        "without a run.",
    )
    define(
        flags.DEFINE_multi_string,
        "config_file",
        [],
        "YAML file that changes the configuration; may be repeated.",
    )
    define(
        flags.DEFINE_multi_string,
        "params_override",
        [],
        "Last changes: a.b.c=value,... or a YAML string or file; may be repeated.",
    )
    define(flags.DEFINE_enum, "format", None, FORMATS, "What to write.")
    define(
        flags.DEFINE_enum,
        "quantize",
        "none",
        tflite.QUANTIZATIONS,
        "With --format=tflite: float16 halves the file, dynamic stores 8-bit weights, "
        "int8 computes with 8 bits.",
    )
    define(
        string,
        "output_dir",
        None,
        "saved_model: the directory to become the SavedModel, for TensorFlow Serving "
        "with a version number for its name. tflite: where to put the file.",
    )
    define(
        boolean,
        "flip_test",
        False,
        "Whether to average with the mirrored input in the model, at twice the cost.",
    )
    for name, what in (("heatmaps", "pose"), ("logits", "segmentation")):
        help_text = f"With --format=tflite, of {what}: whether to output {name} too."
        define(boolean, name, False, help_text)
    define(
        flags.DEFINE_list,
        "input_size",
        None,
        "With --format=tflite, of segmentation: HEIGHT,WIDTH of the images that the "
        "file takes. By default, a square that any resized image fits into.",
    )
    define(
        boolean,
        "warmup",
        True,
        "With --format=saved_model: whether to add warm-up requests for TensorFlow "
        "Serving.",
    )
    define(
        flags.DEFINE_integer,
        "calibration_samples",
        200,
        "With --quantize=int8: how many training people, or images, to calibrate with.",
    )
    define(
        boolean,
        "verify",
        True,
        "Whether to compare the AP or mIoU of checkpoint and exported model on "
        "validation data.",
    )
    define(
        flags.DEFINE_integer,
        "verification_images",
        500,
        "How many validation images (of pose: with people) to compare on; 0 for all.",
    )
    define(
        flags.DEFINE_float,
        "max_loss",
        None,
        "AP or mIoU that the exported model may lose; more is an error. By default "
        "0.002, and 0.01 for dynamic and int8.",
    )
    define(boolean, "overwrite", False, "Whether to replace existing output.")
    _define_pipeline_flags(values)
    flags.mark_flags_as_required(["output_dir"], flag_values=values)
    return values


def _define_pipeline_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean(
        "pipeline",
        False,
        "Whether to join two exported models, --detector and --pose.",
        flag_values=values,
    )
    for name, what in (("detector", "detector"), ("pose", "pose model")):
        flags.DEFINE_string(
            name,
            None,
            f"With --pipeline: the {what}, a SavedModel.",
            flag_values=values,
        )
    flags.DEFINE_integer(
        "category_id",
        1,
        "With --pipeline: the detector's class that are people.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "box_score_threshold",
        0.3,
        "With --pipeline: boxes that score less are left out.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_people",
        20,
        "With --pipeline: at most so many people are found in an image.",
        lower_bound=1,
        flag_values=values,
    )


def export(values: flags.FlagValues) -> None:
    """Exports, verifies and says what was measured.

    Raises:
        ConfigError: If the configuration, its data or the checkpoint cannot be used.
        VerificationError: If the exported model does not do what the checkpoint does.
    """
    _check_flags(values)
    if values.pipeline:
        _export_pipeline(values)
    else:
        _export_checkpoint(values)


def _export_pipeline(values: flags.FlagValues) -> None:
    path = os.path.normpath(values.output_dir)
    check_output(path, values.overwrite)
    export_pipeline(
        values.detector,
        values.pose,
        path,
        values.category_id,
        values.box_score_threshold,
        values.max_people,
        values.warmup,
    )
    print(f"Wrote {path} ({size_in_bytes(path) / 1e6:.1f} MB)")


def _export_checkpoint(values: flags.FlagValues) -> None:
    params = read_config(
        values.experiment,
        values.model_dir,
        values.config_file,
        values.params_override,
        values.flip_test,
        values.verify,
    )
    exporter = exporter_of(params, values.flip_test, _input_size(values))
    path = _output_path(values, exporter)
    calibration = (
        exporter.calibration_samples(values.calibration_samples)
        if values.quantize == "int8"
        else []
    )
    model = exporter.task.build_model()
    checkpoint = checkpoints.restore_to_export(
        model, params, values.model_dir, values.checkpoint
    )
    print(f"Checkpoint: {checkpoint}, step {checkpoints.saved_step(checkpoint)}")
    expected = None
    if values.verify:
        expected = exporter.score_checkpoint(model, values.verification_images)
    samples = exporter.compared_samples(has_data=values.verify)
    infer = exporter.network(model)
    maps = infer(samples).numpy()
    milliseconds = f"{verification.latency(lambda: infer(samples[:1])):.1f}"

    module = exporter.module(model)
    difference = verification.check_maps(
        maps, module.predict_maps(samples).numpy(), exporter.maps
    )
    print(
        f"{exporter.maps.capitalize()} differ by at most {difference:.1e} of their "
        "standard deviation."
    )

    with written_whole(path) as partial:
        if values.format == "saved_model":
            saved_model.write_saved_model(
                module, exporter.metadata, partial, values.warmup
            )
        else:
            content = tflite.convert(
                module,
                exporter.metadata,
                values.quantize,
                exporter.maps in values and values[exporter.maps].value,
                calibration,
            )
            with open(partial, "wb") as file:
                file.write(content)
        predictor = load_predictor(partial)
        received = None
        if values.verify:
            received = exporter.score_exported(
                predictor, expected, values.verification_images
            )
        kind = "" if values.quantize == "none" else f", {values.quantize}"
        latency = _latency(partial, exporter, samples[0])
        rows = [
            ("checkpoint", expected, checkpoint_bytes(checkpoint), milliseconds),
            (f"{values.format}{kind}", received, size_in_bytes(partial), latency),
        ]
        _print_table(rows, exporter)
        if values.verify:
            _check_loss(values, expected, received)
    print(f"Wrote {path}")


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(
        export,
        define_flags(),
        argv,
        failures=(
            ConfigError,
            AnnotationFileError,
            coco_keypoints.PredictionError,
            DetectionsError,
            RecordError,
            verification.VerificationError,
            tflite.ConversionError,
            ModelError,
            OSError,
        ),
    )


def _check_flags(values: flags.FlagValues) -> None:
    if values.pipeline:
        if not values.detector or not values.pose:
            raise command_line.UsageError(
                "--pipeline needs --detector and --pose, two SavedModels that this "
                "command wrote."
            )
        for name in ("model_dir", "checkpoint", "format"):
            if values[name].value and values[name].value != "saved_model":
                raise command_line.UsageError(
                    f"--{name} does not go with --pipeline, which joins two exported "
                    "models into one SavedModel."
                )
        return
    for name in ("detector", "pose", "category_id", "box_score_threshold"):
        if not values[name].using_default_value:
            raise command_line.UsageError(f"--{name} goes with --pipeline.")
    if not values.format:
        raise command_line.UsageError(
            f"--format is missing; it must be one of {', '.join(FORMATS)}."
        )
    if not values.model_dir and not values.checkpoint:
        raise command_line.UsageError(
            "Neither --model_dir nor --checkpoint is given: name the run to export, or "
            "a checkpoint and with --config_file its configuration."
        )
    for name in ("quantize", "heatmaps", "logits", "input_size"):
        if values.format != "tflite" and not values[name].using_default_value:
            raise command_line.UsageError(f"--{name} goes with --format=tflite.")
    for name in ("calibration_samples", "verification_images"):
        if values[name].value < (name == "calibration_samples"):
            raise command_line.UsageError(
                f"--{name}={values[name].value} is too small."
            )


def _input_size(values: flags.FlagValues) -> tuple[int, int] | None:
    if values.input_size is None:
        return None
    try:
        height, width = map(int, values.input_size)
        if min(height, width) < 1:
            raise ValueError
    except ValueError:
        raise command_line.UsageError(
            f"--input_size={','.join(values.input_size)} must be HEIGHT,WIDTH in "
            "pixels."
        ) from None
    return height, width


def _output_path(values: flags.FlagValues, exporter: Exporter) -> str:
    """Where the SavedModel or the file is to be; refuses what is there already."""
    path = os.path.normpath(values.output_dir)
    if values.format == "tflite":
        suffix = "" if values.quantize == "none" else f"_{values.quantize}"
        path = os.path.join(path, f"{exporter.name}{suffix}.tflite")
    check_output(path, values.overwrite)
    return path


def _check_loss(
    values: flags.FlagValues,
    expected: verification.Score,
    received: verification.Score,
) -> None:
    limit = _MAX_LOSS[values.quantize] if values.max_loss is None else values.max_loss
    verification.check_loss(expected, received, limit)
    if expected.value <= 0:
        print(
            f"The checkpoint itself has no {expected.metric} on these images, so that "
            "this comparison says nothing."
        )


def _latency(path: str, exporter: Exporter, sample: np.ndarray) -> str:
    """Milliseconds for one input of the network's size, in words."""
    if os.path.isfile(path):
        durations = []
        for threads in (1, 2):
            run = load_model(path, threads).run
            call = functools.partial(run, image=sample[np.newaxis])
            durations.append(verification.latency(call))
        return "{:.1f} with 1 thread, {:.1f} with 2".format(*durations)
    signatures = load_model(path).signatures
    name = "crops" if exporter.sample == "crop" else "image"
    inputs = {f"{exporter.sample}s": tf.constant(sample[np.newaxis])}
    return f"{verification.latency(lambda: signatures[name](**inputs)):.1f}"


def _print_table(
    rows: list[tuple[str, verification.Score | None, int, str]], exporter: Exporter
) -> None:
    """Prints name, metric, size and latency of checkpoint and exported model."""
    score = rows[0][1]
    if score:
        print(f"{score.sample}, {exporter.circumstances}")
    else:
        print("AP or mIoU not compared (--noverify).")
    metric = score.metric if score else ""
    print(f"{'':22}{metric:>7}{'MB':>8}   ms per {exporter.sample}")
    for name, row_score, num_bytes, latency in rows:
        value = f"{row_score.value:.4f}" if row_score else "-"
        print(f"{name:22}{value:>7}{num_bytes / 1e6:>8.1f}   {latency}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
