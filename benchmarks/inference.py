"""Latency and throughput of exported models, beside other engines.

    python benchmarks/inference.py --variant=w32 --size=256x192
    python benchmarks/inference.py --model=exported/pose.tflite --batches=1,8

Ours are exported models, SavedModels and .tflite files, as they ship: from uint8 pixels
to keypoints, boxes or classes. Without --model they are an HRNet for pose with random
weights in every precision, and peers, where installed (pip install
'hrnet_tf[benchmark]'), are ONNX Runtime, OpenVINO and ncnn with the network alone, from
the normalised crop to heatmaps. With --model it is that file, or that SavedModel's
graph from images, and peers run the same graph, if they can read it.

Printed are medians, and how many times as fast ours are as the fastest peer of the same
precision. The last column compares heatmaps, of random weights, with those of the
SavedModel: the mean difference as a share of their standard deviation. A .tflite file
takes one image at a time, or as many as it was exported for, and ncnn one: batches are
then run in parts, one after the other, of which the last is filled up.
"""

import dataclasses
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import engines
import flag_values
import measuring
import runners

from hrnet_tf.configs.variants import ALL_VARIANTS

QUANTIZED = {"none": "fp32", "float16": "fp16", "dynamic": "dynamic", "int8": "int8"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the table."""

    name: str
    precision: str
    is_peer: bool
    contender: measuring.Contender


def main() -> None:
    """Measures everybody and prints a table."""
    parser = flag_values.parser(__doc__, rounds=10)
    parser.add_argument(
        "--model",
        type=flag_values.existing,
        help="an exported model, instead of a random one",
    )
    parser.add_argument("--variant", default="w32", choices=ALL_VARIANTS)
    parser.add_argument("--size", type=flag_values.size, default=[256, 192])
    parser.add_argument(
        "--batches", type=flag_values.counts, default=[1, 16], help="images at once"
    )
    parser.add_argument(
        "--only",
        type=flag_values.pattern,
        default="",
        help="regular expression of names",
    )
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    size, batches = arguments.size, arguments.batches
    with tempfile.TemporaryDirectory() as folder:
        found = (
            _given(arguments.model, folder, arguments.only)
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


def _chosen(entries: Iterable[Entry], only: str) -> list[Entry]:
    """Those whose name the expression is in; ends the run where there is none."""
    listed = list(entries)
    chosen = [entry for entry in listed if re.search(only, entry.name)]
    if not chosen:
        names = ", ".join(entry.name for entry in listed)
        sys.exit(f"--only={only} is in none of the names {names}.")
    return chosen


def _random(variant: str, size: list[int], folder: str, only: str) -> list[Entry]:
    """Exports of a random network in all precisions, and peers of the network alone."""
    entries = _chosen(_of_random(folder), only)
    measuring.run_once(
        __file__,
        "write_random",
        folder=folder,
        variant=variant,
        size=size,
        files=[
            os.path.relpath(entry.contender.settings["path"], folder)
            for entry in entries
        ],
    )
    return [e for e in entries if os.path.exists(e.contender.settings["path"])]


def _of_random(folder: str) -> Iterator[Entry]:
    """All who can take part; their files are not written yet."""
    has_bfloat16 = "avx512_bf16" in measuring.processor()[1]

    def entry(name: str, precision: str, kind: str, path: str, **more: Any) -> Entry:
        settings = {"path": os.path.join(folder, path), **more}
        is_peer = kind not in ("saved_model", "tflite")
        contender = measuring.Contender(kind, settings)
        return Entry(f"{name} {precision}", precision, is_peer, contender)

    yield entry("SavedModel", "fp32", "saved_model", "saved_model/1")
    if has_bfloat16:
        yield entry("SavedModel", "bf16", "saved_model", "bfloat16/1")
    for quantization, precision in QUANTIZED.items():
        yield entry("TFLite", precision, "tflite", f"{quantization}.tflite")
    if _has("onnx"):
        for precision in ("fp32", "int8"):
            yield entry("ONNX Runtime", precision, "onnx", f"{precision}.onnx")
    if _has("openvino"):
        yield entry("OpenVINO", "fp32", "openvino", engines.OPENVINO)
        if has_bfloat16:
            yield entry("OpenVINO", "bf16", "openvino", engines.OPENVINO, hint="bf16")
        yield entry("OpenVINO", "int8", "openvino", "int8.xml")
    if _has("ncnn"):
        yield entry("ncnn", "fp32", "ncnn", engines.NCNN)


def _given(model: str, folder: str, only: str) -> list[Entry]:
    """A model's file, and peers that can read its graph."""
    return [
        entry
        for entry in _chosen(_of_given(model, folder), only)
        if not entry.is_peer or _can_read(entry.contender.kind, model, folder)
    ]


def _can_read(engine: str, model: str, folder: str) -> bool:
    """Writes the model's graph for an engine, and says so where that fails."""
    try:
        measuring.run_once(
            __file__, "write_graph", model=model, folder=folder, engine=engine
        )
    except SystemExit:
        print(f"{measuring.LEFT_OUT}: {engine} cannot read {model}.", file=sys.stderr)
        return False
    return True


def _of_given(model: str, folder: str) -> Iterator[Entry]:
    """All who can take part; the peers' files are not written yet."""
    kind = "tflite" if model.endswith(".tflite") else "saved_model"
    own = measuring.Contender(kind, {"path": model})
    yield Entry("ours", "as shipped", False, own)
    for engine, file in (("onnx", "given.onnx"), ("openvino", "given.xml")):
        if _has(engine):
            settings = {"path": os.path.join(folder, file), "raw": True}
            peer = measuring.Contender(engine, settings)
            yield Entry(engine, "as shipped", True, peer)


def _has(engine: str) -> bool:
    packages = {
        "onnx": ("onnxruntime", "tf2onnx"),
        "openvino": ("openvino", "nncf"),
        "ncnn": ("ncnn", "pnnx", "tf2onnx"),
    }
    return measuring.is_installed(*packages[engine])


if __name__ == "__main__":
    kinds = {
        "write_random": engines.write_random,
        "write_graph": engines.write_graph,
        "saved_model": runners.saved_model,
        "tflite": runners.tflite,
        "onnx": runners.onnx,
        "openvino": runners.openvino,
        "ncnn": runners.ncnn,
    }
    measuring.start(main, kinds)
