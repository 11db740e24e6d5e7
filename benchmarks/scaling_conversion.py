"""Conversion, for benchmarks/scaling.py: with processes, and by separate runs."""

import multiprocessing
import os

import measuring


def convert(data: dict[str, str], processes: int, cores: int) -> measuring.Work:
    """A conversion by so many processes on so many cores."""
    measuring.pin(cores)

    def work() -> dict[str, float]:
        cpu = measuring.group_cpu_seconds()
        _convert(data, f"{processes}.{cores}", processes)
        return {"group_cpu_seconds": measuring.group_cpu_seconds() - cpu}

    return work


def convert_apart(data: dict[str, str], runs: int) -> measuring.Work:
    """So many conversions at once of the same images, each by one process on a core."""
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))[:runs]
    pools = [context.Pool(1, os.sched_setaffinity, (0, {core})) for core in cores]

    def work() -> dict[str, float]:
        cpu = measuring.group_cpu_seconds()
        running = [
            pool.apply_async(_convert, (data, f"apart{run}"))
            for run, pool in enumerate(pools)
        ]
        for each in running:
            each.get()
        return {"group_cpu_seconds": measuring.group_cpu_seconds() - cpu}

    return work


def _convert(data: dict[str, str], suffix: str, processes: int = 1) -> None:
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies import skeletons

    coco_pose.convert(
        data["image_dir"],
        data["annotations"],
        f"{data['records']}.{suffix}",
        skeletons.load_skeleton("coco17"),
        num_processes=processes,
        overwrite=True,
    )
