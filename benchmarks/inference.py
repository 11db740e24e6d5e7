"""Latency and throughput of exported pose models, beside other engines.

    python benchmarks/inference.py --model_id=w32 --input_size=256x192

Ours: the Keras model as a tf.function, the exported SavedModel and the .tflite files.
Peers, where installed (pip install 'hrnet_tf[benchmark]'): ONNX Runtime and OpenVINO
with the same weights. Our exported models are timed as they ship, from the uint8 crop
to keypoints; the Keras model and the peers run the network alone, from the normalised
crop to heatmaps.

Contenders take turns, round after round, so that whatever else the machine does affects
all of them alike. Printed are medians, and ratios to the fastest peer of the same
precision. Weights are random, with norms that have seen data. Every contender's
heatmaps are compared with the Keras model's: the column is the mean difference as a
share of their standard deviation. A .tflite file takes one crop at a time, so 16 crops
are run one after the other.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.modeling.pose_model import PoseModel, build_pose_model
from hrnet_tf.serving import saved_model, tflite
from hrnet_tf.serving.kinds import load_predictor
from hrnet_tf.serving.metadata import Metadata
from hrnet_tf.serving.pose.module import PoseModule

CALIBRATION_CROPS = 32


@dataclasses.dataclass
class Contender:
    """One engine with one precision.

    Attributes:
        name: What it is called in the table.
        precision: Peers of the same precision are compared with it.
        is_peer: Whether it is another engine.
        run: Runs a batch of uint8 crops [N, H, W, 3]; returns heatmaps [N, h, w, K].
        prepare: Turns crops into what `run` takes, outside the clock.
    """

    name: str
    precision: str
    is_peer: bool
    run: Callable[[np.ndarray], np.ndarray]
    prepare: Callable[[np.ndarray], np.ndarray] = lambda crops: crops


def normalized(crops: np.ndarray) -> np.ndarray:
    """The crops as the network takes them."""
    return np.asarray(normalize_image(crops))


def build_model(model_id: str, input_size: tuple[int, int]) -> PoseModel:
    """A network whose activations are neither tiny nor huge, as after training."""
    config = pose_config.PoseModel(input_size=list(input_size))
    config.backbone.hrnet.override(
        {"model_id": model_id, "kernel_initializer": "kaiming"}
    )
    tf.random.set_seed(0)
    model = build_pose_model(config, 17)
    images = normalized(random_crops(4, input_size))
    infer = tf.function(lambda images: model(images, training=True))
    for _ in range(30):
        infer(images)
    return model


def random_crops(count: int, input_size: tuple[int, int]) -> np.ndarray:
    """Smooth noise, which quantises more like a photograph than white noise does."""
    noise = np.random.default_rng(0).uniform(0, 255, (count, 16, 12, 3))
    crops = tf.image.resize(noise, input_size, "bicubic")
    return np.clip(crops, 0, 255).astype(np.uint8)


def contenders(
    model: PoseModel, metadata: Metadata, folder: str, threads: int
) -> Iterator[Contender]:
    """Yields every contender that can be run here; says what is missing."""
    calibration_crops = random_crops(CALIBRATION_CROPS, metadata.input_size)
    keras = tf.function(lambda images: model(images, training=False))
    example = normalized(calibration_crops[:1])
    keras = keras.get_concrete_function(
        tf.TensorSpec([None, *example.shape[1:]], tf.float32)
    )
    frozen = tf.function(
        lambda images: {"heatmaps": module._network(images)},
        input_signature=[
            tf.TensorSpec([None, *example.shape[1:]], tf.float32, "images")
        ],
        autograph=False,
    )
    yield Contender(
        "Keras model, tf.function",
        "fp32",
        False,
        lambda images: keras(tf.constant(images)).numpy(),
        normalized,
    )
    copy = type(model).from_config(model.get_config())
    copy(example)
    copy.set_weights(model.get_weights())
    module = PoseModule(copy, metadata)
    saved_model.write_saved_model(module, metadata, f"{folder}/1", warmup=False)
    crops_signature = tf.saved_model.load(f"{folder}/1").signatures["crops"]
    yield Contender(
        "SavedModel",
        "fp32",
        False,
        lambda crops: crops_signature(crops=tf.constant(crops))["heatmaps"].numpy(),
    )
    for quantize in tflite.QUANTIZATIONS:
        path = f"{folder}/{quantize}.tflite"
        content = tflite.convert(module, metadata, quantize, True, calibration_crops)
        with open(path, "wb") as file:
            file.write(content)
        precision = {"none": "fp32", "float16": "fp16"}.get(quantize, quantize)
        yield Contender(
            f"TFLite {precision}", precision, False, _tflite_runner(path, threads)
        )
    yield from _onnx_runtime(frozen, folder, calibration_crops, threads)
    yield from _openvino(frozen, folder, calibration_crops, threads)


def _tflite_runner(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    predictor = load_predictor(path, threads)
    return lambda crops: np.concatenate(
        [predictor.predict_crop(crop)["heatmaps"] for crop in crops]
    )


def _installed(*packages: str) -> bool:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Without {', '.join(missing)}: pip install 'hrnet_tf[benchmark]'.")
    return not missing


def _onnx_runtime(
    function: Callable, folder: str, crops: np.ndarray, threads: int
) -> Iterator[Contender]:
    if not _installed("onnxruntime", "tf2onnx"):
        return
    import onnxruntime
    import tf2onnx
    from onnxruntime import quantization

    path, int8_path = f"{folder}/network.onnx", f"{folder}/network_int8.onnx"
    tf2onnx.convert.from_function(
        function, function.input_signature, opset=17, output_path=path
    )

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self._rest = iter(normalized(crops))

        def get_next(self):
            image = next(self._rest, None)
            return None if image is None else {"images": image[np.newaxis]}

    quantization.quant_pre_process(
        path, f"{folder}/shaped.onnx", skip_symbolic_shape=True
    )
    quantization.quantize_static(
        f"{folder}/shaped.onnx", int8_path, Reader(), per_channel=True
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    for file, precision in ((path, "fp32"), (int8_path, "int8")):
        session = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
        yield Contender(
            f"ONNX Runtime {precision}",
            precision,
            True,
            lambda images, session=session: session.run(None, {"images": images})[0],
            normalized,
        )


def _openvino(
    function: Callable, folder: str, crops: np.ndarray, threads: int
) -> Iterator[Contender]:
    if not _installed("openvino", "nncf"):
        return
    import nncf
    import openvino

    tf.saved_model.save(tf.Module(), f"{folder}/network", {"serving_default": function})
    network = openvino.convert_model(f"{folder}/network")
    images = normalized(crops)
    quantized = nncf.quantize(
        network,
        nncf.Dataset([image[np.newaxis] for image in images]),
        subset_size=len(images),
    )
    core = openvino.Core()
    for model, wanted in (
        (network, "fp32"),
        (network, "default"),
        (quantized, "int8"),
    ):
        precision = wanted
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        if wanted == "fp32":
            # Its default on processors with AVX-512 BF16 or AMX is bfloat16.
            options["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = core.compile_model(model, "CPU", options)
        if wanted == "default":
            hint = compiled.get_property("INFERENCE_PRECISION_HINT")
            if hint == openvino.Type.f32:
                continue
            precision = hint.to_string()
        yield Contender(
            f"OpenVINO {precision}",
            precision,
            True,
            lambda images, compiled=compiled: compiled(images)[0],
            normalized,
        )


def measure(
    everyone: list[Contender], crops: np.ndarray, batches: list[int], rounds: int
) -> dict[str, dict[int, float]]:
    """Median seconds of every contender for every batch size."""
    durations: dict[tuple[str, int], list[float]] = {}
    for batch in batches:
        inputs = {c.name: c.prepare(crops[:batch]) for c in everyone}
        for contender in everyone:  # To warm up.
            contender.run(inputs[contender.name])
        for _ in range(rounds):
            for contender in everyone:
                contender.run(inputs[contender.name])  # Its own data into the caches.
                start = time.perf_counter()
                contender.run(inputs[contender.name])
                elapsed = time.perf_counter() - start
                durations.setdefault((contender.name, batch), []).append(elapsed)
    return {
        c.name: {b: statistics.median(durations[c.name, b]) for b in batches}
        for c in everyone
    }


def machine() -> str:
    """The processor, its cores and whether it has AVX-512."""
    name, extensions = platform.processor() or platform.machine(), ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
        names = re.findall(r"model name\s*: (.*)", text)
        name = names[0] if names else name
        flags = set(" ".join(re.findall(r"flags\s*: (.*)", text)).split())
        known = {"avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_int8": "AMX"}
        extensions = ", ".join(known[flag] for flag in known if flag in flags)
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {extensions or 'no AVX-512'}"


def format_table(rows: list[dict], batches: list[int]) -> str:
    """The rows as a Markdown table."""
    head = ["", *(f"{b} crop{'s' * (b > 1)}, ms" for b in batches)]
    head += ["to the fastest peer", "heatmap difference"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        times = [f"{1e3 * row['seconds'][b]:.1f}" for b in batches]
        ratio = row["ratio"]
        lines.append(
            [
                row["name"],
                *times,
                "–" if ratio is None else f"{ratio:.2f}",
                f"{row['difference']:.0e}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measures all contenders and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model_id", default="w32")
    parser.add_argument("--input_size", default="256x192", help="HEIGHTxWIDTH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", default="1,16", help="batch sizes")
    parser.add_argument("--only", default="", help="regular expression of names")
    parser.add_argument("--json", help="file for the numbers")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    height, width = map(int, arguments.input_size.split("x"))
    batches = [int(number) for number in arguments.images.split(",")]
    model = build_model(arguments.model_id, (height, width))
    task = pose_config.PoseTask()
    task.model.override({"input_size": [height, width]})
    task.model.backbone.hrnet.override({"model_id": arguments.model_id})
    metadata = Metadata.of_task(task, load_skeleton("coco17"), flip_test=False)
    crops = random_crops(max(batches), (height, width))
    expected = model(normalized(crops[:1]), training=False).numpy()
    with tempfile.TemporaryDirectory() as folder:
        everyone = [
            contender
            for contender in contenders(model, metadata, folder, arguments.threads)
            if re.search(arguments.only, contender.name)
        ]
        seconds = measure(everyone, crops, batches, arguments.rounds)
    rows = []
    for contender in everyone:
        peers = [
            seconds[c.name][batches[0]]
            for c in everyone
            if c.is_peer and c.precision == contender.precision
        ]
        maps = contender.run(contender.prepare(crops[:1]))
        rows.append(
            {
                "name": contender.name,
                "seconds": seconds[contender.name],
                "ratio": seconds[contender.name][batches[0]] / min(peers)
                if peers
                else None,
                "difference": float(np.abs(maps - expected).mean() / expected.std()),
            }
        )
    title = (
        f"{arguments.model_id} {arguments.input_size}, {arguments.threads} threads, "
        f"medians of {arguments.rounds} rounds; {machine()}"
    )
    print(f"{title}\n\n{format_table(rows, batches)}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine(), "title": title, "rows": rows}, file, indent=2
            )


if __name__ == "__main__":
    main()
