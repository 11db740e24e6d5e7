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
_LOCAL = "local"
# Where TensorFlow looks for a name, if it is given none.
NAMES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_CONFIG")

_SCHEME = "grpc://"
_ENDPOINT = re.compile(r"(?:\[([^][]+)\]|([^][:/@\s]+))(?::(\d{1,5}))?/?")
_PORT = 8470  # TensorFlow's, where an address has none.
# What a client of HTTP/2, and so of gRPC, says first: its name, and no settings.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
# Its answer begins with 3 bytes of length and this type, a frame of settings.
_SETTINGS = 4
_PATIENCE = 10.0  # seconds
_LONGEST_REASON = 200  # characters


def is_used(runtime: cfg.RuntimeConfig) -> bool:
    """Whether a run trains or evaluates on a TPU."""
    return runtime.distribution_strategy.lower() == "tpu"


def is_elsewhere(runtime: cfg.RuntimeConfig) -> bool:
    """Whether a run uses a TPU whose machine is another: that one reads the data."""
    return is_used(runtime) and runtime.tpu != _LOCAL


def connect(
    params: cfg.ExperimentConfig, mode: str, model_dir: str, checkpoint: str | None
) -> tf.distribute.TPUStrategy:
    """Connects to the TPU of a checked experiment.

    Raises:
        ConfigError: If it is not there, cannot write `model_dir` or read `checkpoint`,
            or its cores do not divide the batches of the mode.
    """
    if is_elsewhere(params.runtime):
        _check_buckets(params, model_dir, checkpoint)
    strategy = _connected(params)
    if wrong := list(batch_mistakes(params, mode, strategy.num_replicas_in_sync)):
        raise ConfigError("\n".join(wrong))
    return strategy


def _check_buckets(
    params: cfg.ExperimentConfig, model_dir: str, checkpoint: str | None
) -> None:
    if not is_remote(model_dir):
        raise ConfigError(
            f"--model_dir={model_dir} is on this machine, and the TPU {_name(params)} "
            "is not: its host writes checkpoints; name a folder of a bucket, such as "
            "gs://BUCKET/run."
        )
    if checkpoint and not is_remote(checkpoint):
        raise ConfigError(
            f"--checkpoint={checkpoint} is on this machine, and the TPU "
            f"{_name(params)} is not: its host reads checkpoints; copy it to a bucket, "
            "such as gs://BUCKET/ckpt-100."
        )


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


def address_mistakes(address: str) -> Iterator[str]:
    """Checks an address; names of TPUs have no colons. TensorFlow waits for ever."""
    if ":" in address and not _endpoints(address):
        yield (
            f"runtime.tpu (--tpu) is {address!r}; an address must be grpc://HOST:PORT, "
            "or several with commas between them."
        )


def _endpoints(address: str) -> list[tuple[str, int]]:
    """Hosts and ports of an address; none if it is a name, or wrong."""
    if not address.startswith(_SCHEME):
        return []
    found = []
    for one in address.split(","):
        match = _ENDPOINT.fullmatch(one.removeprefix(_SCHEME))
        port = int(match[3] or _PORT) if match else 0
        if not match or not 0 < port < 2**16:
            return []
        found.append((match[1] or match[2], port))
    return found


def _check_answers(host: str, port: int) -> None:
    """Raises an OSError unless something that may be a TPU's host answers."""
    with socket.create_connection((host, port), _PATIENCE) as connection:
        connection.sendall(_GREETING)
        answer = connection.recv(4)
    if answer[3:] != bytes([_SETTINGS]):
        raise OSError("what answers there does not speak gRPC")


def _connected(params: cfg.ExperimentConfig) -> tf.distribute.TPUStrategy:
    address = params.runtime.tpu
    try:
        for host, port in _endpoints(address or ""):
            # TensorFlow itself would wait for ever.
            _check_answers(host, port)
        return distribute_utils.get_distribution_strategy("tpu", tpu_address=address)
    except Exception as error:  # Of TensorFlow, of Google's client or of the network.
        raise ConfigError(
            f"The TPU {_name(params)} is not there, or does not answer "
            f"({_reason(error)}): "
            "correct its name, install tensorflow-tpu on a TPU VM (BUILD.md), or train "
            "with another runtime.distribution_strategy."
        ) from error


def _reason(error: Exception) -> str:
    """The first line of an error: TensorFlow's go on with its kernels and peers."""
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return shortened(one_line(first) or type(error).__name__, _LONGEST_REASON)


def _name(params: cfg.ExperimentConfig) -> str:
    if params.runtime.tpu:
        return f"{params.runtime.tpu!r} of --tpu (runtime.tpu)"
    variable = next((name for name in NAMES if name in os.environ), NAMES[0])
    return f"of the environment's {variable}"
