"""Latency and throughput of exported models, beside other engines.

    python benchmarks/inference.py --variant=w32 --size=256x192
    python benchmarks/inference.py --model=exported/pose.tflite --batches=1,8

Ours are exported models, SavedModels and .tflite files, as they ship: from uint8 pixels
to keypoints, boxes or classes. Without --model they are an HRNet for pose with random
weights in every precision, and peers, where installed (pip install
'hrnet_tf[benchmark]'), are ONNX Runtime and OpenVINO with the network alone: from the
normalised crop to heatmaps. With --model it is that file, or that SavedModel's graph
from images, and peers run the same graph, if they can read it.

Printed are medians, and how many times as fast ours are as the fastest peer of the same
precision. The last column compares heatmaps, of random weights, with those of the
SavedModel: the mean difference as a share of their standard deviation. A .tflite file
takes one image at a time, so that batches are run one after the other.
"""

import dataclasses
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import engines
import exported
import measuring
import numpy as np

from hrnet_tf.configs.variants import VARIANTS

QUANTIZED = {"none": "fp32", "float16": "fp16", "dynamic": "dynamic", "int8": "int8"}

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the table."""

    name: str
    precision: str
    is_peer: bool
    contender: measuring.Contender


def main() -> None:
    """Measures everybody and prints a table."""
    parser = measuring.parser(__doc__, rounds=10)
    parser.add_argument("--model", help="an exported model, instead of a random one")
    parser.add_argument("--variant", default="w32", choices=VARIANTS)
    parser.add_argument("--size", type=measuring.size, default=[256, 192])
    parser.add_argument(
        "--batches", type=measuring.counts, default=[1, 16], help="images at once"
    )
    parser.add_argument("--only", default="", help="regular expression of names")
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    size, batches = arguments.size, arguments.batches
    with tempfile.TemporaryDirectory() as folder:
        found = (
            _given(arguments.model, folder)
            if arguments.model
            else _random(arguments.variant, size, folder, arguments.only)
        )
        shared = {"folder": folder, "size": size, "batches": batches}
        entries = {
            entry.name: dataclasses.replace(
                entry,
                contender=measuring.Contender(
                    entry.contender.kind, {**entry.contender.settings, **shared}
                ),
            )
            for entry in found
            if re.search(arguments.only, entry.name)
        }
        rounds = measuring.take_turns(
            __file__,
            {name: entry.contender for name, entry in entries.items()},
            arguments.rounds,
        )
    rows = [_row(rounds, entries, name, batches) for name in entries]
    what = arguments.model or f"{arguments.variant} {'x'.join(map(str, size))}"
    measuring.tell(
        f"Inference of {what}, milliseconds",
        rows,
        vars(arguments),
        list(_summary(rounds, entries, batches, what)),
    )


def _row(
    rounds: measuring.Rounds,
    entries: Mapping[str, Entry],
    name: str,
    batches: Sequence[int],
) -> dict[str, Any]:
    row: dict[str, Any] = {"": name}
    for batch in batches:
        row[f"{batch} at once"] = 1e3 * rounds.median(name, str(batch))
        peer = _fastest(rounds, entries, name, batch)
        row[f"times as fast, {batch}"] = (
            rounds.times_as_fast(name, peer, str(batch)) if peer else None
        )
    row["peak, MiB"] = rounds.peak_mib(name)
    row["difference"] = rounds.of[name][0]["difference"]
    return row


def _fastest(
    rounds: measuring.Rounds, entries: Mapping[str, Entry], name: str, batch: int
) -> str | None:
    peers = [
        other
        for other, entry in entries.items()
        if entry.is_peer and entry.precision == entries[name].precision
    ]
    return min(peers, key=lambda p: rounds.median(p, str(batch)), default=None)


def _summary(
    rounds: measuring.Rounds,
    entries: Mapping[str, Entry],
    batches: Sequence[int],
    what: str,
) -> Iterator[dict[str, Any]]:
    """The fastest of ours in every precision that a peer has, too."""
    for precision in dict.fromkeys(entry.precision for entry in entries.values()):
        ours = [
            name
            for name, entry in entries.items()
            if not entry.is_peer and entry.precision == precision
        ]
        for batch in batches:
            key = str(batch)
            best = min(ours, key=lambda name: rounds.median(name, key), default=None)
            peer = best and _fastest(rounds, entries, best, batch)
            if best and peer:
                yield {
                    "work": f"{what} {precision}, {batch} at once",
                    "ours": f"{best} {1e3 * rounds.median(best, key):.1f} ms",
                    "peer": f"{peer} {1e3 * rounds.median(peer, key):.1f} ms",
                    "times as fast": rounds.times_as_fast(best, peer, key),
                }


# ---- who takes part ----


def _random(variant: str, size: list[int], folder: str, only: str) -> list[Entry]:
    """Exports of a random network in all precisions, and peers of the network alone."""
    present = [name for name in ("onnx", "openvino") if _has(name)]
    measuring.run_once(
        __file__,
        "write_random",
        folder=folder,
        variant=variant,
        size=size,
        engines=present,
        int8=re.search(only, "int8") is not None,
    )

    def entry(name: str, precision: str, kind: str, path: str, **more: Any) -> Entry:
        settings = {"path": os.path.join(folder, path), **more}
        is_peer = kind not in ("saved_model", "tflite")
        contender = measuring.Contender(kind, settings)
        return Entry(name, precision, is_peer, contender)

    entries = [entry("SavedModel", "fp32", "saved_model", "saved_model/1")]
    for quantization, precision in QUANTIZED.items():
        name = f"TFLite {precision}"
        entries.append(entry(name, precision, "tflite", f"{quantization}.tflite"))
    if "onnx" in present:
        for precision in ("fp32", "int8"):
            name = f"ONNX Runtime {precision}"
            entries.append(entry(name, precision, "onnx", f"{precision}.onnx"))
    if "openvino" in present:
        kinds = {"fp32": "fp32", "bf16": "fp32", "int8": "int8"}
        has_bf16 = "avx512_bf16" in measuring.processor()[1]
        for precision, file in kinds.items():
            if precision == "bf16" and not has_bf16:
                continue
            name = f"OpenVINO {precision}"
            more = {"hint": "bf16" if precision == "bf16" else "f32"}
            entries.append(entry(name, precision, "openvino", f"{file}.xml", **more))
    return [e for e in entries if os.path.exists(e.contender.settings["path"])]


def _given(model: str, folder: str) -> list[Entry]:
    """A model's file, and peers that can read its graph."""
    is_tflite = model.endswith(".tflite")
    kind = "tflite" if is_tflite else "saved_model"
    own = measuring.Contender(kind, {"path": model})
    entries = [Entry("ours", "as shipped", False, own)]
    for engine in ("onnx", "openvino"):
        if not _has(engine):
            continue
        try:
            measuring.run_once(
                __file__, "write_graph", model=model, folder=folder, engine=engine
            )
        except SystemExit:
            print(f"{engine} cannot read {model}.")
            continue
        file = "given.onnx" if engine == "onnx" else "given.xml"
        settings = {"path": os.path.join(folder, file), "raw": True}
        peer = measuring.Contender(engine, settings)
        entries.append(Entry(engine, "as shipped", True, peer))
    return entries


def _has(engine: str) -> bool:
    packages = {
        "onnx": ("onnxruntime", "tf2onnx"),
        "openvino": ("openvino", "nncf"),
    }
    return measuring.is_installed(*packages[engine])


# ---- contenders ----


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
    _, *size, _ = loaded.interface[TFLITE_SIGNATURE]["image"].shape

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = [loaded.run(image=image[np.newaxis]) for image in images]
        return {key: np.concatenate([f[key] for f in found]) for key in found[0]}

    return _timed(run, **{**given, "size": size})


def onnx(path: str, raw: bool = False, **given: Any) -> measuring.Work:
    """ONNX Runtime."""
    import onnxruntime

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
    crops = exported.random_crops(max(batches), size)
    images = crops if raw else exported.normalized(crops)
    # What takes one image only is run one after the other.
    step = takes[0] if isinstance(takes[0], int) else max(batches)

    def run_batch(batch: int) -> None:
        for first in range(0, batch, step):
            run(images[first : min(first + step, batch)])

    def work() -> dict[str, Any]:
        told: dict[str, Any] = {}
        for batch in batches:
            run_batch(batch)
            begin = time.perf_counter()
            run_batch(batch)
            told[str(batch)] = time.perf_counter() - begin
        return {**told, "difference": difference}

    difference = _difference(run(images[:1]), folder)
    return work


def _difference(found: Mapping[str, np.ndarray], folder: str) -> float | None:
    path = os.path.join(folder, "expected.npy")
    if not os.path.exists(path):
        return None
    expected = np.load(path)
    maps = next(v for v in found.values() if np.shape(v) == expected.shape)
    return float(np.abs(maps - expected).mean() / expected.std())


if __name__ == "__main__":
    measuring.start(
        main,
        {
            "write_random": engines.write_random,
            "write_graph": engines.write_graph,
            "saved_model": saved_model,
            "tflite": tflite,
            "onnx": onnx,
            "openvino": openvino,
        },
    )
