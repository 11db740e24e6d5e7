"""Exports a pose model: python -m hrnet_tf.export --model_dir=RUN --format=... ...

Takes the best checkpoint of a run (the latest if there is no best one), folds its norms
into its convolutions, puts cropping, normalisation, decoding and the way back to image
pixels around it, and compares the result with the checkpoint on validation people
before the files appear under their names.

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
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import task_factory

from hrnet_tf import (
    checkpoints,
    command_line,
    registry_imports,  # noqa: F401
)
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data import normalization, pose_input
from hrnet_tf.data.detections import DetectionsError
from hrnet_tf.data.record_shards import RecordError
from hrnet_tf.evaluation import coco_keypoints
from hrnet_tf.experiment import ConfigError, parse_config
from hrnet_tf.serving import saved_model, tflite, verification
from hrnet_tf.serving.metadata import Metadata
from hrnet_tf.serving.pose_module import PoseModule
from hrnet_tf.serving.predictor import Predictor, TFLitePredictor, load_predictor
from hrnet_tf.tasks.pose import PoseTask
from hrnet_tf.validation import validate
from hrnet_tf.validation.inputs import pattern_mistakes

FORMATS = ("saved_model", "tflite")

# What an exported model may lose of the checkpoint's AP.
_MAX_AP_LOSS = {"none": 0.002, "float16": 0.002, "dynamic": 0.01, "int8": 0.01}

# Crops whose heatmaps are compared one by one.
_COMPARED_CROPS = 4


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
    define(string, "experiment", "hrnet_pose_coco", "Registered experiment.")
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
        "Whether to average with the mirrored crop in the model, at twice the cost.",
    )
    define(
        boolean,
        "heatmaps",
        False,
        "With --format=tflite: whether to output heatmaps too.",
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
        "calibration_people",
        200,
        "With --quantize=int8: how many training people to calibrate with.",
    )
    define(
        boolean,
        "verify",
        True,
        "Whether to compare the AP of checkpoint and exported model on validation "
        "people.",
    )
    define(
        flags.DEFINE_integer,
        "verification_images",
        500,
        "How many validation images with people to compare on; 0 for all.",
    )
    define(
        flags.DEFINE_float,
        "max_ap_loss",
        None,
        "AP that the exported model may lose; more is an error. By default 0.002, and "
        "0.01 for dynamic and int8.",
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
    task: PoseTask = task_factory.get_task(params.task)
    metadata = Metadata.of_task(params.task, task.skeleton, values.flip_test)
    path = _output_path(values, metadata)
    calibration_crops = _calibration_crops(values, task)

    model = task.build_model()
    checkpoint = checkpoints.restore_to_export(
        model, params, values.model_dir, values.checkpoint
    )
    print(f"Checkpoint: {checkpoint}, step {checkpoints.saved_step(checkpoint)}")
    expected = None
    if values.verify:
        expected = verification.score_checkpoint(
            task, model, values.verification_images
        )
    crops = _compared_crops(values, task)
    images = normalization.normalize_image(crops)
    infer = tf.function(lambda images: task.predict_heatmaps(model, images))
    heatmaps = infer(images).numpy()
    milliseconds = f"{verification.latency(lambda: infer(images[:1])):.1f}"

    module = PoseModule(model, metadata)
    difference = verification.check_heatmaps(
        heatmaps, module.predict_heatmaps(crops).numpy()
    )
    print(f"Heatmaps differ by at most {difference:.1e} of their standard deviation.")

    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    os.makedirs(folder or ".", exist_ok=True)
    try:
        if values.format == "saved_model":
            saved_model.write_saved_model(module, metadata, partial, values.warmup)
        else:
            content = tflite.convert(
                module, metadata, values.quantize, values.heatmaps, calibration_crops
            )
            with open(partial, "wb") as file:
                file.write(content)
        predictor = load_predictor(partial)
        received = None
        if values.verify:
            received = verification.score_exported(
                task, predictor, expected, values.verification_images
            )
        kind = "" if values.quantize == "none" else f", {values.quantize}"
        latency = _latency(predictor, partial, crops[0])
        rows = [
            ("checkpoint", expected, _checkpoint_bytes(checkpoint), milliseconds),
            (f"{values.format}{kind}", received, _bytes(partial), latency),
        ]
        _print_table(rows, task.box_source, values.flip_test)
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
            coco_keypoints.AnnotationFileError,
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
    for name in ("quantize", "heatmaps"):
        if values.format != "tflite" and not values[name].using_default_value:
            raise command_line.UsageError(f"--{name} goes with --format=tflite.")
    for name in ("calibration_people", "verification_images"):
        if values[name].value < (name == "calibration_people"):
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
    params = parse_config(values.experiment, files, values.params_override)
    if not isinstance(params.task, pose_config.PoseTask):
        raise ConfigError(
            f"--experiment={values.experiment} is not of pose, and only pose models "
            "can be exported."
        )
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
    params.task.evaluation.override({"flip_test": values.flip_test})
    params.task.override({"allow_image_summary": False, "init_checkpoint": ""})
    try:
        validate(params, "eval" if values.verify else None)
    except ConfigError as error:
        if not values.verify:
            raise
        raise ConfigError(
            f"{error}\nTo export without comparing AP on validation people, add "
            "--noverify."
        ) from None
    return params


def _output_path(values: flags.FlagValues, metadata: Metadata) -> str:
    """Where the SavedModel or the file is to be; refuses what is there already."""
    path = os.path.normpath(values.output_dir)
    if values.format == "tflite":
        height, width = metadata.input_size
        suffix = "" if values.quantize == "none" else f"_{values.quantize}"
        name = f"pose_{metadata.model}_{height}x{width}{suffix}.tflite"
        path = os.path.join(path, name)
    is_empty = os.path.isdir(path) and not os.listdir(path)
    if os.path.exists(path) and not is_empty and not values.overwrite:
        raise ConfigError(
            f"{path} exists already: choose another --output_dir, or replace it with "
            "--overwrite."
        )
    return path


def _compared_crops(values: flags.FlagValues, task: PoseTask) -> np.ndarray:
    """A few people, or noise if there is no data, to compare heatmaps on."""
    if values.verify:
        data = task.task_config.validation_data
        return np.stack(list(_read_crops(task, data, _COMPARED_CROPS)))
    shape = (_COMPARED_CROPS, *task.task_config.model.input_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _calibration_crops(values: flags.FlagValues, task: PoseTask) -> list[np.ndarray]:
    """Training people as the network sees them, without augmentation."""
    if values.quantize != "int8":
        return []
    data = task.task_config.train_data.replace(is_training=False)
    key = "task.train_data.input_path"
    advice = "int8 is calibrated with training people: write records, or set the path"
    mistakes = list(pattern_mistakes(key, data.input_path, advice))
    if not data.input_path:
        mistakes = [f"{key} is empty; {advice}."]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return list(_read_crops(task, data, values.calibration_people))


def _read_crops(
    task: PoseTask, data: pose_config.PoseData, count: int
) -> Iterator[np.ndarray]:
    config = task.task_config
    people = pose_input.PoseInput(
        data, config.codec, config.model.input_size, task.skeleton
    )
    for person in people.crop_people(people.images()).take(count):
        yield person["crop"].numpy()


def _check_loss(
    values: flags.FlagValues,
    expected: verification.Score,
    received: verification.Score,
) -> None:
    limit = values.max_ap_loss
    limit = _MAX_AP_LOSS[values.quantize] if limit is None else limit
    verification.check_loss(expected, received, limit)
    if expected.ap <= 0:
        print(
            "The checkpoint itself has no AP on these people, so that this comparison "
            "says nothing."
        )


def _latency(predictor: Predictor, path: str, crop: np.ndarray) -> str:
    if isinstance(predictor, TFLitePredictor):
        durations = []
        for threads in (1, 2):
            call = TFLitePredictor(path, threads).predict_crop
            durations.append(verification.latency(lambda call=call: call(crop)))
        return "{:.1f} with 1 thread, {:.1f} with 2".format(*durations)
    return f"{verification.latency(lambda: predictor.predict_crop(crop)):.1f}"


def _print_table(
    rows: list[tuple[str, verification.Score | None, int, str]],
    box_source: str,
    flip_test: bool,
) -> None:
    """Prints name, AP, size and latency of checkpoint and exported model."""
    if score := rows[0][1]:
        print(
            f"{score.num_people} people in {len(score.image_ids)} images, boxes: "
            f"{box_source}, flip test: {'on' if flip_test else 'off'}"
        )
    else:
        print("AP not compared (--noverify).")
    print(f"{'':22}{'AP':>7}{'MB':>8}   ms per crop")
    for name, score, num_bytes, latency in rows:
        ap = f"{score.ap:.4f}" if score else "-"
        print(f"{name:22}{ap:>7}{num_bytes / 1e6:>8.1f}   {latency}")


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
