"""Training on several workers, for benchmarks/scaling.py: steps, gradients, estimates.

Each worker is a process of its own, pinned to a core, and starts anew for every round:
workers that were stopped between turns would seem lost to each other.
"""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import measuring

_WARM_UP = 2  # steps; the first one compiles
_REDUCTIONS = 5

# ---- the parent ----


def measure(num_workers: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Trains with so many workers; what the first one measured."""
    cluster = {"worker": _free_addresses(num_workers)}
    workers = []
    try:
        for index in range(num_workers):
            given = {**settings, "num_workers": num_workers, "index": index}
            environment = dict(os.environ)
            if num_workers > 1:
                task = {"type": "worker", "index": index}
                tf_config = {"cluster": cluster, "task": task}
                environment["TF_CONFIG"] = json.dumps(tf_config)
            workers.append(
                subprocess.Popen(
                    [sys.executable, __file__, json.dumps(given)],
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
        told = [worker.communicate()[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    if codes := [worker.returncode for worker in workers if worker.returncode]:
        raise SystemExit(f"A worker ended with exit code {codes[0]}.")
    return json.loads(told[0].splitlines()[-1])


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


# ---- the estimate ----


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What an estimate assumes of machines with several accelerators each.

    Attributes:
        flops: What an accelerator reaches in this network, in operations per second.
        batch: Its crops of a step.
        inside: Bytes per second between accelerators of a machine, each way.
        outside: The same between machines.
        latency: Seconds for each message between machines.
        per_machine: How many accelerators a machine has.
    """

    flops: float = 50e12
    batch: int = 32
    inside: float = 200e9
    outside: float = 12.5e9
    latency: float = 20e-6
    per_machine: int = 8

    def row(self, count: int, macs: int, gradient_bytes: int) -> dict[str, Any]:
        """The estimate for so many accelerators, with and without overlap.

        A step is three times the multiply-accumulates of inference. Rings reduce within
        machines, then between them. Gradients can be on their way during the backward
        pass, two thirds of a step.
        """
        step = 3 * 2 * macs * self.batch / self.flops
        machines = -(-count // self.per_machine)
        here = min(count, self.per_machine)
        reduce = 2 * (here - 1) / here * gradient_bytes / self.inside
        reduce += 2 * (machines - 1) / machines * gradient_bytes / self.outside
        reduce += 2 * (machines - 1) * self.latency
        return {
            "accelerators": count,
            "step, ms": 1e3 * step,
            "all-reduce, ms": 1e3 * reduce,
            "one after the other": f"{100 * step / (step + reduce):.0f} %",
            "side by side": f"{100 * step / max(step, step / 3 + reduce):.0f} %",
        }


# ---- a worker ----


def train(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a pose network on one batch for some steps; what it took."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[settings["index"] % len(cores)]})
    import tensorflow as tf
    from official.core import task_factory

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.training.experiment import parse_config

    # What several workers share must be set up before TensorFlow is used.
    several = settings["num_workers"] > 1
    strategy = (
        tf.distribute.MultiWorkerMirroredStrategy()
        if several
        else tf.distribute.get_strategy()
    )
    batch = settings["batch"] // settings["num_workers"]
    params = parse_config("hrnet_pose_coco")
    network = {
        "input_size": settings["size"],
        "backbone": {"hrnet": {"model_id": settings["variant"]}},
    }
    params.task.override({"model": network})
    with tempfile.TemporaryDirectory() as folder:
        data = {
            "input_path": _write_records(folder, batch),
            "global_batch_size": batch,
            "shuffle_buffer_size": batch,
            "crop_shuffle_buffer_size": batch,
        }
        params.task.train_data.override(data)
        task = task_factory.get_task(params.task)
        inputs = next(iter(task.build_inputs(params.task.train_data)))
    with strategy.scope():
        model = task.build_model()
        optimizer = task.create_optimizer(
            params.trainer.optimizer_config, params.runtime
        )

    @tf.function
    def step(inputs: Any) -> Any:
        logs = strategy.run(task.train_step, (inputs, model, optimizer))
        return logs[task.loss]

    seconds = _timed(lambda: float(step(inputs)), settings["steps"])
    told = {"seconds": seconds, "gradient_bytes": _bytes_of(model)}
    if several:
        told["reduce_seconds"] = _timed(_reduction(strategy, model), _REDUCTIONS)
    return told


def _write_records(folder: str, batch: int) -> str:
    import photographs

    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies import skeletons

    prefix = os.path.join(folder, "records", "train")
    people = photographs.write_people(folder, batch, 2)
    coco_pose.convert(*people, prefix, skeletons.load_skeleton("coco17"))
    return f"{prefix}-*"


def _reduction(strategy: Any, model: Any) -> Callable[[], Any]:
    """Sums over all workers what is as large as the gradients, and nothing else."""
    import tensorflow as tf

    shapes = [variable.shape for variable in model.trainable_variables]

    def reduce() -> Any:
        zeros = [tf.zeros(shape) for shape in shapes]
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, zeros)
        return tf.add_n([tf.reduce_sum(tensor) for tensor in summed])

    @tf.function
    def run() -> Any:
        return strategy.run(reduce)

    return lambda: float(run())


def _timed(work: Callable[[], Any], times: int) -> float:
    """Seconds of a call, once it is warm."""
    for _ in range(_WARM_UP):
        work()
    begin = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begin) / times


def _bytes_of(model: Any) -> int:
    return sum(4 * v.shape.num_elements() for v in model.trainable_variables)


def sizes(variant: str, size: list[int]) -> measuring.Work:
    """A network's gradients in bytes and its multiply-accumulates; nothing to time."""
    from official.core import task_factory

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.modeling.complexity import count_macs
    from hrnet_tf.training.experiment import parse_config

    params = parse_config("hrnet_pose_coco")
    network = {"input_size": size, "backbone": {"hrnet": {"model_id": variant}}}
    params.task.override({"model": network})
    model = task_factory.get_task(params.task).build_model()
    told = {"gradient_bytes": _bytes_of(model), "macs": count_macs(model, size)}
    return lambda: told


if __name__ == "__main__":
    # Whatever libraries print goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(train(json.loads(sys.argv[1]))), file=answers, flush=True)
