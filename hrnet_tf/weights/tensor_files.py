"""Reads the tensors of a PyTorch or safetensors file, and nothing but tensors.

A PyTorch checkpoint is a pickle, which may run any program when it is read. Only
torch's own restricted reader touches it, which builds tensors and plain containers and
refuses everything else.
"""

import os
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

INSTALL = "install it with: pip install 'hrnet_tf[convert]'"

# Where a training script puts the weights beside its optimizer and its notes.
_WRAPPERS = ("state_dict", "model", "model_state_dict")


class WeightsError(ValueError):
    """A file of weights that cannot be used; the message names it and says why."""


def read_tensors(path: str) -> dict[str, np.ndarray]:
    """Reads all floating-point tensors, as float32 by the name that the file gives.

    Args:
        path: A `.safetensors` file, or one written by `torch.save`: a state dict, or
            a dict with one under `state_dict` or `model`.

    Raises:
        WeightsError: If there is no such file, it is damaged or of another kind, it
            holds more than tensors, or the library that reads it is not installed.
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
            f"{path} cannot be read as safetensors: {_one_line(error)}"
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
            f"{path} is no PyTorch checkpoint: it is neither a zip nor a pickle."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is refused: it holds objects other than tensors, and reading "
            "these could run a program that somebody put there. If you trust its "
            "origin, load it where that does no harm and save the tensors alone, with "
            "torch.save({'state_dict': checkpoint['state_dict']}, FILE). "
            f"torch says: {_one_line(error)}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint; it may be damaged or half "
            f"downloaded: {_one_line(error)}"
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
    """The innermost of the wrappers that has tensors in it; None if there is none."""
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


def _one_line(error: Exception) -> str:
    """The first sentence of a message; torch's go on for paragraphs."""
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:157]}..."
