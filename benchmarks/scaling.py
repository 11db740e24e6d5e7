"""What a second process adds: conversion, training input from a service, training.

    python benchmarks/scaling.py --rounds=3

Each process has a core: so many are needed as processes take part. Efficiency is what
is left of twice the speed with two.

- Conversion of COCO-sized images, with --num_processes, once TensorFlow is imported.
- Crops in a second from a tf.data service: its workers have a core each, and who trains
  does nothing else.
- Training steps of several workers (multi_worker_mirrored, over loopback) beside one
  process on one core, with the same global batch, and how long the sum of all gradients
  takes by itself.

A last table estimates the same for HRNet-W32 on many accelerators, from the bytes of
its gradients and the assumptions that stand above it: none of it was measured.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import flag_values
import measuring
import photographs
import pose_input
import scaling_training

PARTS = ("conversion", "service", "training")
_ESTIMATED = ("w32", [256, 192])
_ACCELERATORS = (8, 64, 512)
_WORKER = "--worker-of-the-service"


def main() -> None:
    """Measures all parts and prints tables."""
    parser = flag_values.parser(__doc__, rounds=3)
    parser.add_argument("--parts", type=flag_values.some_of(PARTS), default=PARTS)
    parser.add_argument(
        "--processes", type=flag_values.counts, default=[1, 2], help="to compare"
    )
    parser.add_argument(
        "--images", type=flag_values.count, default=600, help="to convert"
    )
    parser.add_argument(
        "--crops", type=flag_values.count, default=512, help="from the service"
    )
    parser.add_argument("--variant", default="w18_small_v1", help="to train")
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
        if {"conversion", "service"} & {*arguments.parts}:
            written = photographs.write_people(folder, arguments.images, 2.65)
            data |= dict(zip(("image_dir", "annotations"), written, strict=True))
        if "conversion" in arguments.parts:
            rows += conversion(data, arguments)
        if "service" in arguments.parts:
            rows += service(data, arguments)
    settings = dict(vars(arguments))
    if "training" in arguments.parts:
        rows += training(arguments, settings)
    columns = ("work", "processes", "cores", "in a second", "times as fast")
    rows = [{name: row.get(name) for name in (*columns, "efficiency")} for row in rows]
    measuring.tell("Several processes", rows, settings)
    if "estimate" in settings:
        _tell_estimate(settings)


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    most, cores = max(arguments.processes), measuring.num_cores()
    if most > cores:
        parser.error(
            f"--processes: {most} processes need {most} cores, and there are {cores}."
        )
    if arguments.processes[0] != 1:
        parser.error("--processes: the first number is 1, with which all are compared.")
    if "training" in arguments.parts and any(
        arguments.batch % count for count in arguments.processes
    ):
        parser.error(f"--batch: {arguments.batch} is not shared evenly by all workers.")


def _rows(
    work: str, arguments: argparse.Namespace, speeds: dict[int, list[float]]
) -> list[dict[str, Any]]:
    """A row for each number of processes, of its rounds' speeds."""
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
            }
        )
    return rows


# ---- conversion ----

_THREADS = "threads"


def conversion(
    data: dict[str, str], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Images to records, and beside it what one process does with threads."""
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
    rounds = measuring.take_turns(__file__, contenders, arguments.rounds)

    def speeds(name: str) -> list[float]:
        return [arguments.images / seconds for seconds in rounds.values(name)]

    by_count = {count: speeds(str(count)) for count in arguments.processes}
    threads = {
        "work": "images converted, by threads of one process",
        "processes": 1,
        "cores": most,
        "in a second": statistics.median(speeds(_THREADS)),
        "times as fast": rounds.times_as_fast(_THREADS, "1"),
    }
    return [*_rows("images converted", arguments, by_count), threads]


def convert(data: dict[str, str], processes: int, cores: int) -> measuring.Work:
    """A conversion by so many processes on so many cores."""
    measuring.pin(cores)
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies import skeletons

    skeleton = skeletons.load_skeleton("coco17")

    def work() -> None:
        coco_pose.convert(
            data["image_dir"],
            data["annotations"],
            f"{data['records']}.{processes}.{cores}",
            skeleton,
            num_processes=processes,
            overwrite=True,
        )

    return work


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


def records(data: dict[str, str]) -> measuring.Work:
    """Writes the records that the service reads."""
    pose_input.pipeline(data)
    return lambda: None


def serve(data: dict[str, str], workers: int, crops: int) -> measuring.Work:
    """Takes batches from a service whose workers have a core each."""
    import tensorflow as tf

    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    cores = sorted(os.sched_getaffinity(0))
    for index in range(workers):
        command = [__file__, _WORKER, address, str(cores[index])]
        # It is of this process's group, which is ended as a whole.
        subprocess.Popen([sys.executable, *command])
    reader = pose_input.pipeline(
        data, enable_tf_data_service=True, tf_data_service_address=dispatcher.target
    )
    # Without a context the Garden's reader takes no service.
    batches = iter(reader.dataset(tf.distribute.InputContext(1, 0, 1)))

    def work() -> None:
        assert dispatcher
        pose_input.take(batches, crops)

    return work


def serve_forever(arguments: Sequence[str]) -> None:
    """A worker of the service on one core."""
    address, core = arguments
    os.sched_setaffinity(0, {int(core)})
    import tensorflow as tf

    config = tf.data.experimental.service.WorkerConfig(address)
    tf.data.experimental.service.WorkerServer(config).join()


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
    if sys.argv[1:2] == [_WORKER]:
        serve_forever(sys.argv[2:])
    else:
        measuring.start(
            main,
            {
                "convert": convert,
                "records": records,
                "serve": serve,
                "sizes": scaling_training.sizes,
            },
        )
