"""What a run computes on: the GPUs that are there, or a CPU and what it is good at."""

import logging
import re

import tensorflow as tf
from official.core import config_definitions as cfg

# In place of a number, `runtime.num_gpus` may ask for all that TensorFlow sees.
ALL_GPUS = -1

CPU_INFO = "/proc/cpuinfo"
# Instructions for each kind of numbers. A CPU that has none of them converts every
# number to float32 and back.
_CPU_FLAGS = {
    "bfloat16": ("avx512_bf16", "amx_bf16"),
    "float16": ("avx512_fp16", "amx_fp16"),
}

_log = logging.getLogger(__name__)


def use_gpus(params: cfg.ExperimentConfig) -> None:
    """Puts the GPUs that are there in place of `runtime.num_gpus` -1, and says so."""
    runtime = params.runtime
    if runtime.num_gpus != ALL_GPUS:
        return
    strategy = str(runtime.distribution_strategy).lower()
    count = len(tf.config.list_physical_devices("GPU"))
    if strategy in ("off", "one_device"):
        count = min(count, 1)
    elif strategy == "mirrored" and count == 0:
        strategy = "one_device"
    runtime.override({"num_gpus": count, "distribution_strategy": strategy})
    if strategy in ("off", "one_device", "mirrored"):
        where = {0: "the CPU: TensorFlow sees no GPU", 1: "one GPU"}
        _log.info("Runs on %s.", where.get(count, f"{count} GPUs"))


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
