"""Exports a model: python -m hrnet_tf.export --model_dir=RUN --format=... ...

Takes the best checkpoint of a run of pose or segmentation (the latest if there is no
best one), folds its norms into its convolutions, puts all that belongs to a prediction
around it, from an image's bytes to its keypoints or classes, and compares the result
with the checkpoint on validation data before the files appear under their names.

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

Those of segmentation need --experiment, too, such as hrnet_seg_cityscapes.
"""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import yaml
from official.core import config_definitions as cfg

from hrnet_tf import (
    checkpoints,
    command_line,
    registry_imports,  # noqa: F401
)
from hrnet_tf.configs import segmentation
from hrnet_tf.data.detections import DetectionsError
from hrnet_tf.data.record_shards import RecordError
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.experiment import ConfigError, parse_config
from hrnet_tf.exporters import check_task, exporter_of
from hrnet_tf.exporters.base import Exporter
from hrnet_tf.serving import saved_model, tflite, verification
from hrnet_tf.serving.loading import load_model
from hrnet_tf.serving.predictor import load_predictor
from hrnet_tf.validation import validate

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
    flags.mark_flags_as_required(["format", "output_dir"], flag_values=values)
    return values


def export(values: flags.FlagValues) -> None:
    """Exports, verifies and says what was measured.

    Raises:
        ConfigError: If the configuration, its data or the checkpoint cannot be used.
        VerificationError: If the exported model does not do what the checkpoint does.
    """
    _check_flags(values)
    params = _read_config(values)
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

    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    os.makedirs(folder or ".", exist_ok=True)
    try:
        if values.format == "saved_model":
            saved_model.write_saved_model(
                module, exporter.metadata, partial, values.warmup
            )
        else:
            content = tflite.convert(
                module,
                exporter.metadata,
                values.quantize,
                values[exporter.maps].value,
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
            ("checkpoint", expected, _checkpoint_bytes(checkpoint), milliseconds),
            (f"{values.format}{kind}", received, _bytes(partial), latency),
        ]
        _print_table(rows, exporter)
        if values.verify:
            _check_loss(values, expected, received)
        _move(partial, path)
    finally:
        _remove(partial)
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
            OSError,
        ),
    )


def _check_flags(values: flags.FlagValues) -> None:
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


def _read_config(values: flags.FlagValues) -> cfg.ExperimentConfig:
    """The configuration of the run, changed for export and checked."""
    files = list(values.config_file)
    if values.model_dir:
        run_file = os.path.join(values.model_dir, "params.yaml")
        if tf.io.gfile.exists(run_file):
            files.insert(0, run_file)
        elif not files:
            raise ConfigError(
                f"--model_dir={values.model_dir} has no params.yaml: give the "
                "directory of a run, or its configuration with --config_file."
            )
    experiment = values.experiment or _experiment_of(files)
    params = parse_config(experiment, files, values.params_override)
    check_task(params)
    # Whatever it was trained on, it is exported here, in float32.
    params.runtime.override(
        {
            "distribution_strategy": "one_device",
            "num_gpus": 0,
            "tpu": None,
            "mixed_precision_dtype": None,
            "loss_scale": None,
        }
    )
    params.task.override({"allow_image_summary": False, "init_checkpoint": ""})
    evaluation = params.task.evaluation
    evaluation.override({"flip_test": values.flip_test})
    if isinstance(evaluation, segmentation.Evaluation):
        # What is exported predicts images whole and once.
        evaluation.override({"scales": [1.0], "window": []})
    try:
        validate(params, "eval" if values.verify else None)
    except ConfigError as error:
        if not values.verify:
            raise
        raise ConfigError(
            f"{error}\nTo export without a comparison on validation data, add "
            "--noverify."
        ) from None
    return params


def _experiment_of(files: Sequence[str]) -> str:
    """An experiment of the task that configuration files are of.

    Whose defaults these are does not matter to a run: its file says everything.
    """
    for path in files:
        try:
            with tf.io.gfile.GFile(path) as file:
                content = yaml.safe_load(file.read())
            if "label_set" in content["task"]:
                return "hrnet_seg_custom"
        except (tf.errors.OpError, yaml.YAMLError, KeyError, TypeError):
            continue  # parse_config says what is wrong with it.
    return "hrnet_pose_coco"


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
    is_empty = os.path.isdir(path) and not os.listdir(path)
    if os.path.exists(path) and not is_empty and not values.overwrite:
        raise ConfigError(
            f"{path} exists already: choose another --output_dir, or replace it with "
            "--overwrite."
        )
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


def _checkpoint_bytes(prefix: str) -> int:
    return sum(tf.io.gfile.stat(f).length for f in tf.io.gfile.glob(f"{prefix}.*"))


def _bytes(path: str) -> int:
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def _move(partial: str, path: str) -> None:
    """Gives the finished output its name, in place of what had it."""
    if os.path.isdir(path):
        replaced = f"{partial}.replaced"
        os.rename(path, replaced)
        os.rename(partial, path)
        shutil.rmtree(replaced)
    else:
        os.replace(partial, path)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
