"""What a run computes on: the GPUs that are there, or a CPU and what it is good at."""

import logging
import math
import os
import re
from collections.abc import Iterable

import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.configs import recipes

# In place of a number, `runtime.num_gpus` may ask for all that TensorFlow sees.
ALL_GPUS = -1

# On one machine, where the number of GPUs counts.
LOCAL_STRATEGIES = ("off", "one_device", "mirrored")

CPU_INFO = "/proc/cpuinfo"
# Instructions for each kind of numbers. A CPU that has none of them converts every
# number to float32 and back.
_CPU_FLAGS = {
    "bfloat16": ("avx512_bf16", "amx_bf16"),
    "float16": ("avx512_fp16", "amx_fp16"),
}

_log = logging.getLogger(__name__)


def use_gpus(params: cfg.ExperimentConfig, mode: str) -> None:
    """Puts the GPUs that are there in place of `runtime.num_gpus` -1.

    With the strategy mirrored, these are as many as divide the batches of the mode.
    """
    runtime = params.runtime
    strategy = runtime.distribution_strategy
    # Another type is a mistake, which the checks name.
    if runtime.num_gpus != ALL_GPUS or not isinstance(strategy, str):
        return
    strategy = strategy.lower()
    count = _count_gpus()
    if strategy in ("off", "one_device"):
        count = min(count, 1)
    elif strategy == "mirrored" and count == 0:
        strategy = "one_device"
    elif strategy == "mirrored":
        count = _share_batches(params, mode, count)
    runtime.override({"num_gpus": count, "distribution_strategy": strategy})


def are_steps_compiled(params: cfg.ExperimentConfig) -> bool:
    """Whether XLA compiles the training step because of `runtime.enable_xla`.

    Experiments of the Garden ask for it by default, and mean GPUs: on a CPU, only ours
    compile. TPUs compile all of their functions, whether or not this is set.
    """
    runtime = params.runtime
    if not runtime.enable_xla or runtime.distribution_strategy.lower() == "tpu":
        return False
    return bool(runtime.num_gpus) or isinstance(params.trainer, recipes.Trainer)


def batch_sizes(params: cfg.ExperimentConfig, mode: str) -> dict[str, int]:
    """The batches that a mode divides among the GPUs, by their keys."""
    found = {}
    for name, part in (("train_data", "train"), ("validation_data", "eval")):
        size = getattr(getattr(params.task, name, None), "global_batch_size", None)
        # Another type is a mistake, which the checks name.
        if part in mode and isinstance(size, int) and size > 0:
            found[f"task.{name}.global_batch_size"] = size
    return found


def largest_share(sizes: Iterable[int], count: int) -> int:
    """The largest number of GPUs, up to `count`, that divides all batches."""
    common = math.gcd(*sizes)
    return max(share for share in range(1, count + 1) if common % share == 0)


def _share_batches(params: cfg.ExperimentConfig, mode: str, count: int) -> int:
    batches = batch_sizes(params, mode)
    share = largest_share(batches.values(), count)
    if share < count:
        _log.info(
            "Uses %d of %d GPUs, the most that divide %s.",
            share,
            count,
            " and ".join(f"{key} {size}" for key, size in batches.items()),
        )
    return share


def log_devices(runtime: cfg.RuntimeConfig) -> None:
    """Says what a run on one machine runs on."""
    if runtime.distribution_strategy.lower() not in LOCAL_STRATEGIES:
        return
    if runtime.num_gpus == 1:
        where = "one GPU"
    elif runtime.num_gpus:
        where = f"{runtime.num_gpus} GPUs"
    elif idle := _count_gpus():
        where = f"the CPU, as runtime.num_gpus says; {ALL_GPUS} takes all GPUs ({idle})"
    else:
        where = f"the CPU: TensorFlow sees no GPU{_onednn()}"
    _log.info("Runs on %s.", where)


def _onednn() -> str:
    """Whose convolutions a CPU computes, where the environment says so."""
    is_on = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "0") in ("1", "true")
    return " (with oneDNN; TF_ENABLE_ONEDNN_OPTS=0 goes without)" if is_on else ""


def _count_gpus() -> int:
    return len(tf.config.list_physical_devices("GPU"))


def is_slow_on_cpu(precision: str | None) -> bool:
    """Whether this CPU lacks instructions for a precision; False where none can tell.

    Only Linux tells the instructions of an x86 CPU.
    """
    wanted = _CPU_FLAGS.get(precision or "")
    if not wanted:
        return False
    try:
        with open(CPU_INFO) as file:
            flags = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not set(wanted) & set(flags[1].split())
