"""Reads the tensors of a PyTorch or safetensors file, and nothing but tensors.

A PyTorch checkpoint is a pickle, which may run any program when it is read. Only
torch's restricted reader touches it; it builds tensors and plain containers and refuses
everything else.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from hrnet_tf.messages import UserError, one_line

INSTALL = "install it with: pip install 'hrnet_tf[convert]'"

# Keys under which training scripts keep the weights, beside optimizer and notes.
_WRAPPERS = ("state_dict", "model", "model_state_dict")

# What torch writes before the reason why it refuses a pickle (advice on how to read it
# anyway), and its codes for bold letters.
_BESIDE_REASON = re.compile(
    r"(?s)^Weights only load failed.*?(?:WeightsUnpickler error:|\n\n)|\x1b\[[0-9;]*m"
)


class WeightsError(UserError):
    """A file of weights that cannot be used; the message names it and says why."""


def read_tensors(path: str) -> dict[str, np.ndarray]:
    """Reads all floating-point tensors, as float32, by their names in the file.

    Args:
        path: A `.safetensors` file, or one written by `torch.save`: a state dict, or
            a dict with one under `state_dict`, `model` or `model_state_dict`.

    Raises:
        WeightsError: If there is no such file, if it is damaged or of another kind, if
            it holds more than tensors, or if the library that reads it is missing.
    """
    if not os.path.isfile(path):
        raise WeightsError(f"There is no file {path}.")
    if path.endswith(".safetensors"):
        tensors = _read_safetensors(path)
    else:
        tensors = _read_torch(path)
    if not tensors:
        raise WeightsError(f"{path} holds no floating-point tensors.")
    return tensors


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise WeightsError(f"Reading {path} needs safetensors: {INSTALL}.") from None
    try:
        tensors = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors: {_reason(error)}."
        ) from error
    return {
        name: tensor.astype(np.float32)
        for name, tensor in tensors.items()
        if np.issubdtype(tensor.dtype, np.floating)
    }


def _read_torch(path: str) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise WeightsError(f"Reading {path} needs PyTorch: {INSTALL}.") from None
    if not _looks_like_torch(path):
        raise WeightsError(
            f"{path} is no PyTorch checkpoint: it is neither a ZIP file nor a pickle."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is refused: it holds objects other than tensors, and reading "
            "them could run a program that somebody put there. If you trust its "
            "origin, load it where that does no harm and save only the tensors, with "
            "torch.save({'state_dict': checkpoint['state_dict']}, FILE). "
            f"torch says: {_reason(error)}."
        ) from error
    except Exception as error:  # Damaged pickles raise errors of any kind.
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint; it may be damaged or half "
            f"downloaded: {_reason(error)}."
        ) from error
    tensors = _find_state_dict(content)
    if tensors is None:
        raise WeightsError(
            f"{path} holds {_description(content)}; it must hold a state dict, or a "
            f"dict with one under {' or '.join(map(repr, _WRAPPERS))}."
        )
    return {
        name: tensor.detach().to(torch.float32).numpy()
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }


def _looks_like_torch(path: str) -> bool:
    if zipfile.is_zipfile(path):
        return True
    with open(path, "rb") as file:
        return file.read(1) == b"\x80"  # The first byte of a pickle.


def _find_state_dict(content: Any) -> Mapping[str, Any] | None:
    """The innermost wrapper, if it holds tensors."""
    if not isinstance(content, Mapping):
        return None
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return _find_state_dict(content[wrapper])
    has_tensors = any(hasattr(value, "is_floating_point") for value in content.values())
    return content if has_tensors else None


def _description(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dict with the keys {', '.join(map(str, list(content)[:5]))}"
    return f"a {type(content).__name__}"


def _reason(error: Exception) -> str:
    """The first sentence of a library's message; torch writes whole paragraphs."""
    first_line = _BESIDE_REASON.sub("", str(error)).strip().partition("\n")[0]
    return one_line(first_line).partition(". ")[0].rstrip(".") or type(error).__name__
