"""From a checkpoint to a SavedModel or a .tflite file, compared with the checkpoint."""

import dataclasses
import functools
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory

from hrnet_tf.messages import UserError
from hrnet_tf.output_files import check_output, written_whole
from hrnet_tf.serving import android, float_layers, saved_model, tflite, verification
from hrnet_tf.serving.exporter import Exporter, Options
from hrnet_tf.serving.float_layers import Int8
from hrnet_tf.serving.formats import MAX_LOSS, OF_ERRORS
from hrnet_tf.serving.graphs import MobileModule
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.loading import (
    LoadedModel,
    LoadedSavedModel,
    load_model,
    load_tflite,
)
from hrnet_tf.serving.predictors import load_predictor, predictor_of
from hrnet_tf.serving.tflite_quantization import Damage
from hrnet_tf.serving.verification import Score
from hrnet_tf.training import checkpoints, devices, run_file


@dataclasses.dataclass(frozen=True)
class Export:
    """What to write, and how it is compared.

    Attributes:
        format: One of `formats.FORMATS`.
        quantize: One of `formats.QUANTIZATIONS` that the format has.
        output_dir: The directory to become the SavedModel, or to hold the .tflite file;
            None if it goes into an app.
        options: Choices that only some kinds of models have.
        warmup: Whether a SavedModel gets requests for TensorFlow Serving to warm up.
        calibration_samples: How many training inputs calibrate int8.
        float_layers: How many of the layers that int8 damages most stay in float, or
            `formats.AUTO`.
        quantization_report: Whether what layers lose by int8 is told.
        verify: Whether checkpoint and exported model are compared on validation data.
        verification_images: On how many images; 0 for all.
        max_loss: What the exported model may lose of AP, mIoU or whatever evaluations
            compute; None for the usual.
        overwrite: Whether to replace existing output.
        android: The Android project that the .tflite file goes into, or None.
    """

    format: str
    quantize: str
    output_dir: str | None
    options: Options
    warmup: bool
    calibration_samples: int
    float_layers: int | str
    quantization_report: bool
    verify: bool
    verification_images: int
    max_loss: float | None
    overwrite: bool
    android: str | None = None


def export_checkpoint(
    params: cfg.ExperimentConfig,
    kind: Kind,
    export: Export,
    model_dir: str | None,
    checkpoint: str | None,
) -> str:
    """Exports, verifies and prints what was measured.

    Args:
        params: The experiment, from `configuration.read_config`.
        kind: Its kind, which has an exporter.
        export: What to write.
        model_dir: The run, or None.
        checkpoint: The checkpoint; the run's best, or latest, if None.

    Returns:
        The path of what was written.

    Raises:
        ConfigError: If the data or the checkpoint cannot be used.
        VerificationError: If the exported model does not do what the checkpoint does.
    """
    if kind.exporter is None:
        raise ValueError(f"{kind.name} models are not exported.")
    exporter = kind.exporter(
        task_factory.get_task(params.task),
        export.options,
        export.verification_images,
        run_file.read_of_model(model_dir, checkpoint),
    )
    is_bfloat16 = export.quantize == "bfloat16"
    if is_bfloat16:
        _check_bfloat16(exporter)
    path = _output_path(export, exporter)
    report = _report_path(export, path) if export.quantization_report else None
    int8 = _int8(export, exporter) if export.quantize == "int8" else None
    model = exporter.task.build_model()
    source = checkpoints.restore_to_export(model, params, model_dir, checkpoint)
    print(f"Checkpoint: {source}, step {checkpoints.saved_step(source)}")
    expected = exporter.score_checkpoint(model) if export.verify else None
    samples = exporter.compared_samples(has_data=export.verify)
    infer = exporter.network(model)
    maps = infer(samples).numpy()
    duration = verification.latency(lambda: infer(samples[:1]))
    module = exporter.module(_in_bfloat16(exporter, model) if is_bfloat16 else model)
    difference = verification.check_maps(
        maps,
        module.predict_maps(samples).numpy(),
        exporter.maps,
        verification.MAX_BFLOAT16_MAP_DIFFERENCE
        if is_bfloat16
        else verification.MAX_MAP_DIFFERENCE,
    )
    print(
        f"{exporter.maps.capitalize()} differ by at most {difference:.1e} of their "
        "standard deviation."
    )
    with written_whole(path) as partial:
        damage: Sequence[Damage] = ()
        if int8:
            damage = _write_int8(partial, module, exporter, export, int8, expected)
        else:
            _write(partial, module, exporter, export)
        written = load_model(partial)
        predictor = predictor_of(written)
        received = exporter.score_exported(predictor, expected) if expected else None
        latency = _latency(written, exporter, samples[0])
        kind_of_file = export.format
        if export.quantize != "none":
            kind_of_file += f", {export.quantize}"
        rows = [
            ("checkpoint", expected, _checkpoint_bytes(source), "-"),
            (kind_of_file, received, size_in_bytes(partial), latency),
        ]
        _print_table(rows, exporter)
        print(
            f"The checkpoint's {exporter.timed.checkpoint} alone: {duration:.1f} ms "
            f"per {exporter.sample}"
        )
        if expected and received:
            _check_loss(export, expected, received)
        operators = predictor.metadata.operators
        assert operators is not None  # What is written says it.
        print(operators.sentence())
        # Like the file, only if the file loses no more than it may.
        if report:
            float_layers.write_report(report, damage)
    print(f"Wrote {path}" + (f" and {report}" if report else ""))
    return path


def _check_bfloat16(exporter: Exporter) -> None:
    """Refuses kinds of models that cannot do it; warns where the CPU is no help."""
    if not exporter.has_bfloat16:
        raise UserError(
            "--quantize=bfloat16 is for pose models; leave it out for a "
            f"{exporter.model_type} model."
        )
    if devices.is_slow_on_cpu("bfloat16"):
        print(
            "This CPU has no instructions for bfloat16: the model is for CPUs that "
            "have them (AVX512-BF16 or AMX), and slower than float32 here."
        )


def _in_bfloat16(exporter: Exporter, model: tf_keras.Model) -> tf_keras.Model:
    """The same network, which computes in bfloat16 what it does in mixed training."""
    policy = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        computed = exporter.task.build_model()
    finally:
        tf_keras.mixed_precision.set_global_policy(policy)
    computed.set_weights(model.get_weights())
    return computed


def _output_path(export: Export, exporter: Exporter) -> str:
    """The path of the SavedModel or file to write; refuses one that exists."""
    if export.android is not None:
        told = exporter.metadata
        classes = getattr(told, "categories", None)
        path = android.asset_path(export.android, told.task, classes)
        check_output(path, export.overwrite, "--android")
        return path
    assert export.output_dir is not None  # The command sees to that.
    path = os.path.normpath(export.output_dir)
    if export.format == "tflite":
        suffix = "" if export.quantize == "none" else f"_{export.quantize}"
        path = os.path.join(path, f"{exporter.name}{suffix}.tflite")
    check_output(path, export.overwrite)
    return path


def _write(path: str, module: MobileModule, exporter: Exporter, export: Export) -> None:
    if export.format == "saved_model":
        saved_model.write_saved_model(module, exporter.metadata, path, export.warmup)
        return
    with_maps = _has_maps(export, exporter)
    content = tflite.convert(module, exporter.metadata, export.quantize, with_maps)
    with open(path, "wb") as file:
        file.write(content)


def _report_path(export: Export, path: str) -> str:
    """Where what layers lose is written, beside the file; refuses one that exists."""
    report = f"{os.path.splitext(path)[0]}.layers.json"
    check_output(report, export.overwrite)
    return report


def _int8(export: Export, exporter: Exporter) -> Int8:
    samples = exporter.calibration_samples(export.calibration_samples)
    return Int8(samples, export.float_layers, export.quantization_report)


def _write_int8(
    path: str,
    module: MobileModule,
    exporter: Exporter,
    export: Export,
    int8: Int8,
    expected: Score | None,
) -> Sequence[Damage]:
    def loss() -> float:
        assert expected is not None  # The command sees to that.
        received = exporter.score_exported(load_predictor(path), expected)
        return expected.loss(received)

    quantizer = tflite.quantizer(module, _has_maps(export, exporter), int8.images)
    max_loss = _max_loss(export, expected)
    return float_layers.write(path, quantizer, exporter.metadata, int8, loss, max_loss)


def _has_maps(export: Export, exporter: Exporter) -> bool:
    return getattr(export.options, exporter.maps, False)


def _max_loss(export: Export, expected: Score | None) -> float:
    if export.max_loss is not None:
        return export.max_loss
    is_error = expected is not None and expected.lower_is_better
    return MAX_LOSS[export.quantize] * (OF_ERRORS if is_error else 1)


def _check_loss(export: Export, expected: Score, received: Score) -> None:
    advice = " --float_layers=auto keeps the layers in float that lose most."
    is_advised = export.quantize == "int8" and not export.float_layers
    verification.check_loss(
        expected,
        received,
        _max_loss(export, expected),
        advice if is_advised else "",
    )
    if expected.value <= 0 and not expected.lower_is_better:
        print(
            f"The checkpoint itself has no {expected.metric} on these images, so that "
            "this comparison says nothing."
        )


def _latency(model: LoadedModel, exporter: Exporter, sample: np.ndarray) -> str:
    """Milliseconds for one input of the network's size, and of what, in words.

    Of a .tflite file that takes several at once, the share of one.
    """
    inputs = sample[np.newaxis]
    if isinstance(model, LoadedSavedModel):
        name, input_name = exporter.signature
        call = functools.partial(
            model.signatures[name], **{input_name: tf.constant(inputs)}
        )
        return f"{verification.latency(call):.1f} ({exporter.timed.saved_model})"
    durations = []
    count = exporter.given.batch_size
    inputs = np.repeat(inputs, count, axis=0)
    for threads in (1, 2):
        run = load_tflite(model.path, threads).run
        call = functools.partial(run, image=inputs)
        durations.append(verification.latency(call) / count)
    one, two = durations
    timed = exporter.timed.tflite
    return f"{one:.1f} with 1 thread, {two:.1f} with 2 ({timed})"


def _print_table(
    rows: list[tuple[str, Score | None, int, str]], exporter: Exporter
) -> None:
    """Prints name, metric, size and latency of checkpoint and exported model."""
    score = rows[0][1]
    if score:
        print(f"{score.sample}, {exporter.circumstances}")
    else:
        print("Accuracy not compared (--noverify).")
    metric = score.metric if score else ""
    width = max(len(metric) + 1, 7)
    print(f"{'':22}{metric:>{width}}{'MB':>8}   ms per {exporter.sample}")
    for name, row_score, num_bytes, latency in rows:
        value = f"{row_score.value:.4f}" if row_score else "-"
        print(f"{name:22}{value:>{width}}{num_bytes / 1e6:>8.1f}   {latency}")


def size_in_bytes(path: str) -> int:
    """The size of a file, or of all files of a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def _checkpoint_bytes(prefix: str) -> int:
    """The size of the files of a checkpoint."""
    return sum(tf.io.gfile.stat(f).length for f in tf.io.gfile.glob(f"{prefix}.*"))
