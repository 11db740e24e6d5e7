"""Contenders that run an exported model or a network: ours and other engines.

Each takes batches of images in turn. Its engine is imported where it is used.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import engines
import exported
import measuring
import numpy as np

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def saved_model(path: str, **given: Any) -> measuring.Work:
    """A SavedModel that hrnet_tf exported."""
    import tensorflow as tf

    from hrnet_tf.serving.loading import load_model

    loaded = load_model(path)
    signature, name = engines.signature_of(loaded.signatures)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        assert loaded
        outputs = signature(**{name: tf.constant(images)})
        return {key: value.numpy() for key, value in outputs.items()}

    return _timed(run, **given)


def tflite(path: str, **given: Any) -> measuring.Work:
    """A .tflite file that hrnet_tf exported."""
    from hrnet_tf.serving.loading import TFLITE_SIGNATURE, load_model

    loaded = load_model(path, measuring.num_cores())
    shape = loaded.interface[TFLITE_SIGNATURE]["image"].shape

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return loaded.run(image=images)

    return _timed(run, takes=list(shape), **given)


def onnx(path: str, raw: bool = False, **given: Any) -> measuring.Work:
    """ONNX Runtime."""
    import onnxruntime

    # Without warnings about each resize.
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = measuring.num_cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {source.name: images}), strict=True))

    return _timed(run, raw=raw, takes=source.shape, **given)


def openvino(
    path: str, hint: str = "f32", raw: bool = False, **given: Any
) -> measuring.Work:
    """OpenVINO. bf16 is its default on processors that have it."""
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": measuring.num_cores(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": hint,
    }
    compiled = openvino.Core().compile_model(path, "CPU", options)
    names = [output.get_any_name() for output in compiled.outputs]
    shape = compiled.input(0).get_partial_shape()
    takes = [d.get_length() if d.is_static else None for d in shape]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = compiled(images)
        return {name: outputs[place] for place, name in enumerate(names)}

    return _timed(run, raw=raw, takes=takes, **given)


def ncnn(path: str, **given: Any) -> measuring.Work:
    """ncnn, in float32: it would store half of its numbers' bits unless told not to."""
    import ncnn as engine

    network = engine.Net()
    network.opt.num_threads = measuring.num_cores()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    network.load_param(path)
    network.load_model(f"{path.removesuffix('.param')}.bin")

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        extractor = network.create_extractor()
        extractor.input("in0", engine.Mat(images[0]))
        _, maps = extractor.extract("out0")
        return {"heatmaps": np.array(maps)[np.newaxis]}

    return _timed(run, raw=False, takes=[1], **given)


def _timed(
    run: Run,
    folder: str,
    size: Sequence[int],
    batches: Sequence[int],
    raw: bool = True,
    takes: Sequence[Any] = (None,),
) -> measuring.Work:
    """Runs every batch once, with its own data in the caches, and tells the seconds."""
    if len(takes) == 4 and all(isinstance(side, int) for side in takes[1:3]):
        size = takes[1:3]
    # What takes so many images only runs batches in parts; the last one is filled up.
    step = takes[0] if isinstance(takes[0], int) else None
    most = max(batches) + (-max(batches) % step if step else 0)
    crops = exported.random_crops(most, size)
    images = crops if raw else exported.normalized(crops)

    def run_batch(batch: int) -> None:
        for first in range(0, batch, step or batch):
            run(images[first : first + (step or batch)])

    def work() -> dict[str, Any]:
        told: dict[str, Any] = {}
        for batch in batches:
            run_batch(batch)
            begin = time.perf_counter()
            run_batch(batch)
            told[str(batch)] = time.perf_counter() - begin
        return {**told, "difference": difference}

    difference = _difference(run(images[: step or 1]), folder)
    return work


def _difference(found: Mapping[str, np.ndarray], folder: str) -> float | None:
    path = os.path.join(folder, "expected.npy")
    if not os.path.exists(path):
        return None
    expected = np.load(path)
    maps = next(v for v in found.values() if np.shape(v) == expected.shape)
    return float(np.abs(maps - expected).mean() / expected.std())
