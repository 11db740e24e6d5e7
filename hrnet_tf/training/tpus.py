"""A TPU: connected to, or missed in one sentence; and whether it divides batches."""

import os
import re
import socket
from collections.abc import Iterator

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions as cfg

from hrnet_tf.input_files import is_remote
from hrnet_tf.messages import one_line, shortened
from hrnet_tf.training import devices
from hrnet_tf.training.experiment import ConfigError

# The TPU of the machine that the command runs on, a TPU VM.
LOCAL = "local"
# Where TensorFlow looks for a name, if it is given none.
NAMES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_CONFIG")

_ENDPOINT = re.compile(r"(?:grpc://)([^:/,]+|\[[^]]+\])(?::(\d+))?")
_PORT = 8470  # TensorFlow's, where an address has none.
_PATIENCE = 10.0  # seconds
_LONGEST_REASON = 200  # characters


def is_used(runtime: cfg.RuntimeConfig) -> bool:
    """Whether a run trains or evaluates on a TPU."""
    return runtime.distribution_strategy.lower() == "tpu"


def is_elsewhere(runtime: cfg.RuntimeConfig) -> bool:
    """Whether a run uses a TPU whose machine is another: that one reads the data."""
    return is_used(runtime) and runtime.tpu != LOCAL


def connect(
    params: cfg.ExperimentConfig, mode: str, model_dir: str
) -> tf.distribute.TPUStrategy:
    """Connects to the TPU of a checked experiment.

    Raises:
        ConfigError: If it is not there, cannot write `model_dir`, or its cores do not
            divide the batches of the mode.
    """
    if is_elsewhere(params.runtime) and not is_remote(model_dir):
        raise ConfigError(
            f"--model_dir={model_dir} is on this machine, and the TPU {_name(params)} "
            "is not: its host writes checkpoints; name a folder of a bucket, such as "
            "gs://BUCKET/run."
        )
    strategy = _connected(params)
    if wrong := list(batch_mistakes(params, mode, strategy.num_replicas_in_sync)):
        raise ConfigError("\n".join(wrong))
    return strategy


def batch_mistakes(
    params: cfg.ExperimentConfig, mode: str, cores: int
) -> Iterator[str]:
    """Checks that every core gets as large a share of a batch as the others."""
    for key, size in devices.batch_sizes(params, mode).items():
        if size % cores:
            yield (
                f"{key} is {size}; it must be a multiple of {cores}, the cores of the "
                "TPU."
            )


def _connected(params: cfg.ExperimentConfig) -> tf.distribute.TPUStrategy:
    address = params.runtime.tpu
    try:
        for host, port in _ENDPOINT.findall(address or ""):
            # TensorFlow itself would wait for ever.
            socket.create_connection((host, int(port or _PORT)), _PATIENCE).close()
        return distribute_utils.get_distribution_strategy("tpu", tpu_address=address)
    except Exception as error:  # Of TensorFlow, of Google's client or of the network.
        reason = shortened(one_line(error), _LONGEST_REASON).rstrip(".")
        raise ConfigError(
            f"The TPU {_name(params)} is not there, or does not answer ({reason}): "
            "correct its name, install tensorflow-tpu on a TPU VM (BUILD.md), or train "
            "with another runtime.distribution_strategy."
        ) from error


def _name(params: cfg.ExperimentConfig) -> str:
    if params.runtime.tpu:
        return f"{params.runtime.tpu!r} of --tpu (runtime.tpu)"
    variable = next((name for name in NAMES if name in os.environ), NAMES[0])
    return f"of the environment's {variable}"
