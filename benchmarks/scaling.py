r"""What a second process adds: conversion, batches, training input, training.

    python benchmarks/scaling.py --rounds=3
    python benchmarks/scaling.py --parts=conversion --image_dir=val2017 \
        --annotations=person_keypoints_val2017.json

Each process has a core: so many are needed as processes take part. Efficiency is what
is left of twice the speed with two.

- Conversion of COCO-sized images, with --num_processes, once TensorFlow is imported;
  beside it one process with threads, and conversions that know nothing of each other, a
  core each: more than these reach together, cores that share caches and memory do not
  allow.
- Prediction of the same images with hrnet_tf.batch, once its workers have started.
- Crops in a second from a tf.data service: its workers have a core each, and who trains
  does nothing else.
- Training steps of several workers (multi_worker_mirrored, over loopback) beside one
  process on one core, with the same global batch, and how long the sum of all gradients
  takes by itself.

CPU time is that of all processes together: unlike seconds, it says what handing over
costs while other work runs. A last table estimates training of HRNet-W32 on many
accelerators, from the bytes of its gradients and the assumptions that stand above it:
none of it was measured.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from typing import Any

import exported
import flag_values
import measuring
import photographs
import pose_input
import scaling_batch
import scaling_conversion
import scaling_service
import scaling_training

PARTS = ("conversion", "prediction", "service", "training")
_ESTIMATED = ("w32", [256, 192])
_ACCELERATORS = (8, 64, 512)


def main() -> None:
    """Measures all parts and prints tables."""
    parser = flag_values.parser(__doc__, rounds=3)
    parser.add_argument("--parts", type=flag_values.some_of(PARTS), default=PARTS)
    parser.add_argument(
        "--processes", type=flag_values.counts, default=[1, 2], help="to compare"
    )
    parser.add_argument(
        "--images", type=flag_values.count, default=1000, help="to convert, to predict"
    )
    for name, what in (("image_dir", "a folder of images"), ("annotations", "COCO's")):
        parser.add_argument(
            f"--{name}",
            type=flag_values.existing,
            help=f"{what}, of all its images; generated if not given",
        )
    parser.add_argument(
        "--crops", type=flag_values.count, default=512, help="from the service"
    )
    parser.add_argument(
        "--variant", default="w18_small_v1", help="to predict with, to train"
    )
    parser.add_argument("--size", type=flag_values.size, default=[128, 96])
    parser.add_argument(
        "--batch", type=flag_values.count, default=16, help="of all workers together"
    )
    parser.add_argument("--steps", type=flag_values.count, default=5)
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    _check(parser, arguments)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = {"records": os.path.join(folder, "records", "train")}
        if {"conversion", "prediction", "service"} & {*arguments.parts}:
            data |= _people(folder, arguments)
        if "conversion" in arguments.parts:
            rows += conversion(data, arguments)
        if "prediction" in arguments.parts:
            rows += prediction(data, folder, arguments)
        if "service" in arguments.parts:
            rows += service(data, arguments)
    settings = dict(vars(arguments))
    if "training" in arguments.parts:
        rows += training(arguments, settings)
    if not rows:
        sys.exit("Nothing was measured.")
    columns = ("work", "processes", "cores", "in a second", "times as fast")
    columns += ("efficiency", "CPU ms of each")
    rows = [{name: row.get(name) for name in columns} for row in rows]
    measuring.tell("Several processes", rows, settings, _summary(rows))
    if "estimate" in settings:
        _tell_estimate(settings)


def _people(folder: str, arguments: argparse.Namespace) -> dict[str, str]:
    """Where images and annotations are; counts those that were given."""
    if arguments.image_dir:
        with open(arguments.annotations, encoding="utf-8") as file:
            arguments.images = len(json.load(file)["images"])
        found = arguments.image_dir, arguments.annotations
    else:
        found = photographs.write_people(folder, arguments.images, 2.65)
    return dict(zip(("image_dir", "annotations"), found, strict=True))


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines for the table of all benchmarks: several processes beside one."""
    compared = [row for row in rows if row["efficiency"]]
    one = {row["work"]: row for row in compared if row["processes"] == 1}
    return [
        {
            "work": f"{row['work']}, {row['processes']} processes",
            "ours": f"{row['in a second']:.1f} a second",
            "peer": f"one process {one[row['work']]['in a second']:.1f} a second",
            "times as fast": row["times as fast"],
        }
        for row in compared
        if row["processes"] > 1
    ]


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    most, cores = max(arguments.processes), measuring.num_cores()
    if most > cores:
        parser.error(
            f"--processes: {most} processes need {most} cores, and there are {cores}."
        )
    if arguments.processes[0] != 1:
        parser.error("--processes: the first number is 1, with which all are compared.")
    if bool(arguments.image_dir) != bool(arguments.annotations):
        parser.error("--image_dir and --annotations go together.")
    if "prediction" in arguments.parts and arguments.images <= scaling_batch.FEW:
        parser.error(f"--images: prediction needs more than {scaling_batch.FEW}.")
    if "training" in arguments.parts and any(
        arguments.batch % count for count in arguments.processes
    ):
        parser.error(f"--batch: {arguments.batch} is not shared evenly by all workers.")


def _rows(
    work: str,
    arguments: argparse.Namespace,
    speeds: dict[int, list[float]],
    cpu: dict[int, float] | None = None,
) -> list[dict[str, Any]]:
    """A row for each number of processes, of its rounds' speeds and CPU time."""
    rows = []
    for count in arguments.processes:
        pairs = zip(speeds[count], speeds[1], strict=True)
        ratio = statistics.median(mine / one for mine, one in pairs)
        rows.append(
            {
                "work": work,
                "processes": count,
                "cores": count,
                "in a second": statistics.median(speeds[count]),
                "times as fast": ratio,
                "efficiency": f"{100 * ratio / count:.0f} %",
                "CPU ms of each": cpu and cpu[count],
            }
        )
    return rows


# ---- conversion ----

_THREADS, _APART = "threads", "apart"


def conversion(
    data: dict[str, str], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Images to records, and beside it threads of one process, and separate runs."""
    most = max(arguments.processes)
    contenders = {
        str(count): measuring.Contender(
            "convert", {"data": data, "processes": count, "cores": count}
        )
        for count in arguments.processes
    }
    contenders[_THREADS] = measuring.Contender(
        "convert", {"data": data, "processes": 1, "cores": most}
    )
    contenders[_APART] = measuring.Contender(
        "convert_apart", {"data": data, "runs": most}
    )
    rounds = measuring.take_turns(__file__, contenders, arguments.rounds)

    def beside(name: str, what: str, processes: int, images: int) -> dict[str, Any]:
        ratio = rounds.times_as_fast(name, "1") * images / arguments.images
        return {
            "work": f"images converted, by {what}",
            "processes": processes,
            "cores": most,
            "in a second": images / rounds.median(name),
            "times as fast": ratio,
            "CPU ms of each": _cpu(rounds, name, images),
        }

    return [
        *_of_rounds("images converted", arguments, rounds),
        beside(_THREADS, "threads of one process", 1, arguments.images),
        beside(_APART, f"{most} separate runs", most, most * arguments.images),
    ]


def _of_rounds(
    work: str,
    arguments: argparse.Namespace,
    rounds: measuring.Rounds,
    num_images: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of contenders that have a number of processes for their names."""
    count = num_images or arguments.images
    by_count = {n: rounds.values(str(n)) for n in arguments.processes}
    speeds = {n: [count / s for s in seconds] for n, seconds in by_count.items()}
    cpu = {n: _cpu(rounds, str(n), count) for n in arguments.processes}
    return _rows(work, arguments, speeds, cpu)


def _cpu(rounds: measuring.Rounds, name: str, count: int) -> float:
    """Milliseconds of all processes for each image."""
    return 1e3 * rounds.median(name, "group_cpu_seconds") / count


# ---- prediction ----


def prediction(
    data: dict[str, str], folder: str, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Images to lines of results."""
    if not measuring.is_installed("apache_beam"):
        return []
    given = {"variant": arguments.variant, "size": arguments.size}
    exported.write_once(__file__, folder, **given, formats=["saved_model"])
    contenders = {
        str(count): measuring.Contender(
            "predict",
            {
                "data": data,
                "model": os.path.join(folder, "saved_model", "1"),
                "processes": count,
                "output_dir": os.path.join(folder, "predicted"),
            },
        )
        for count in arguments.processes
    }
    rounds = measuring.take_turns(__file__, contenders, arguments.rounds)
    shutil.rmtree(os.path.join(folder, "predicted"))
    more = arguments.images - scaling_batch.FEW
    if any(min(rounds.values(name)) <= 0 for name in contenders):
        sys.exit(
            f"{more} images more took no longer than the first {scaling_batch.FEW}: "
            "give --images more of them."
        )
    return _of_rounds("images predicted by hrnet_tf.batch", arguments, rounds, more)


# ---- tf.data service ----


def service(
    data: dict[str, str], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Crops for training from one worker of a service, and from several."""
    # Whoever comes first would write them.
    measuring.run_once(__file__, "records", data=data)
    crops = pose_input.whole_batches(str(arguments.crops))
    contenders = {
        str(count): measuring.Contender(
            "serve", {"data": data, "workers": count, "crops": crops}
        )
        for count in arguments.processes
    }
    rounds = measuring.take_turns(__file__, contenders, arguments.rounds)
    speeds = {
        count: [crops / seconds for seconds in rounds.values(str(count))]
        for count in arguments.processes
    }
    return _rows("crops from a tf.data service", arguments, speeds)


# ---- training ----


def training(
    arguments: argparse.Namespace, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Steps of several workers; adds an estimate to the settings."""
    given = {
        name: getattr(arguments, name) for name in ("variant", "size", "batch", "steps")
    }
    told: dict[int, list[dict[str, Any]]] = {count: [] for count in arguments.processes}
    for _ in range(arguments.rounds):
        for count, measured in told.items():
            print(f"Trains with {count} of the workers.", file=sys.stderr)
            measured.append(scaling_training.measure(count, given))
    speeds = {
        count: [1 / one["seconds"] for one in measured]
        for count, measured in told.items()
    }
    size = f"{told[1][0]['gradient_bytes'] / 1e6:.1f} MB"
    rows = _rows(f"training steps, gradients of {size}", arguments, speeds)
    reductions = [
        {
            "work": f"sums of {size} over the workers",
            "processes": count,
            "cores": count,
            "in a second": 1
            / statistics.median(one["reduce_seconds"] for one in measured),
        }
        for count, measured in told.items()
        if count > 1
    ]
    settings["estimate"] = _estimate()
    return [*rows, *reductions]


def _estimate() -> list[dict[str, Any]]:
    variant, size = _ESTIMATED
    contender = measuring.Contender("sizes", {"variant": variant, "size": size})
    (found,) = measuring.take_turns(__file__, {"sizes": contender}, 1).of["sizes"]
    macs, gradient_bytes = found["macs"], found["gradient_bytes"]
    cluster = scaling_training.Cluster()
    return [cluster.row(count, macs, gradient_bytes) for count in _ACCELERATORS]


def _tell_estimate(settings: dict[str, Any]) -> None:
    variant, size = _ESTIMATED
    cluster = scaling_training.Cluster()
    print(
        f"Estimate, nothing of it measured: {variant} at {size[0]}x{size[1]}, "
        f"{cluster.batch} crops for each accelerator in a step, which reaches "
        f"{cluster.flops / 1e12:g} TFLOP/s; {cluster.per_machine} in a machine, "
        f"{cluster.inside / 1e9:g} GB/s among them; {cluster.outside / 1e9:g} GB/s and "
        f"{1e6 * cluster.latency:g} us a message between machines; rings; gradients in "
        f"float32.\n\n{measuring.markdown(settings['estimate'])}"
    )


if __name__ == "__main__":
    measuring.start(
        main,
        {
            "convert": scaling_conversion.convert,
            "convert_apart": scaling_conversion.convert_apart,
            "export": exported.export,
            "predict": scaling_batch.predict,
            "records": scaling_service.records,
            "serve": scaling_service.serve,
            "sizes": scaling_training.sizes,
        },
    )
