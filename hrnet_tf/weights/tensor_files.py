"""Reads the tensors of a PyTorch or safetensors file, and nothing but tensors.

A PyTorch checkpoint is a pickle, which may run any program when it is read. Only
torch's restricted reader touches it; it builds tensors and plain containers and refuses
everything else.
"""

import os
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from hrnet_tf.messages import UserError, did_you_mean, listed, one_line, shown
from hrnet_tf.weights import file_kinds
from hrnet_tf.weights.wrappers import is_average, is_wrapper

INSTALL = "install it with: pip install 'hrnet_tf[convert]'"

# The usual keys of the weights, beside optimizer and notes, most trusted first.
_WRAPPERS = ("state_dict", "model", "model_state_dict")

# PyTorch's counters of batches, in every norm.
_COUNTER = "num_batches_tracked"

_SAFETENSORS_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "C64": np.complex64,
    "BOOL": np.bool_,
    **{f"{kind.upper()}{8 * size}": np.dtype(f"{kind}{size}")
       for kind in "iu" for size in (1, 2, 4, 8)},
}  # fmt: skip

# What torch writes before the reason why it refuses a pickle: advice on how to read it
# anyway.
_BEFORE_REASON = re.compile(
    r"(?s)^Weights only load failed.*?(?:WeightsUnpickler error:|\n\n)"
)
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class WeightsError(UserError):
    """A file of weights that cannot be used; the message names it and says why."""


def read_tensors(path: str) -> dict[str, np.ndarray]:
    """Reads all tensors by their names in the file, floating-point ones as float32.

    Others keep their types, but PyTorch's counters of batches are left out.

    Args:
        path: A file in the safetensors format, or one written by `torch.save`: a state
            dict, or a dict with one under a key such as `state_dict` or `model`. If it
            has averages, too, under a key such as `state_dict_ema`, the names of both
            begin with their keys.

    Raises:
        WeightsError: If there is no such file, if it is damaged or of another kind, if
            it holds more than tensors, or if the library that reads it is missing.
    """
    if not os.path.isfile(path):
        raise WeightsError(f"There is no file {path}{_what_is_there(path)}.")
    if file_kinds.is_safetensors(path) or (
        path.endswith(".safetensors") and file_kinds.what_it_is(path) is not None
    ):
        tensors = _read_safetensors(path)
    else:
        tensors = _read_torch(path)
    for name in tensors:
        if not name.isprintable():
            raise WeightsError(
                f"{path} holds a tensor named {shown(name)}, which is no name that "
                "PyTorch gives; the file may be damaged."
            )
    if not any(tensor.dtype == np.float32 for tensor in tensors.values()):
        raise WeightsError(
            f"{path} holds no floating-point tensors{_types(tensors.values())}."
        )
    return tensors


def _what_is_there(path: str) -> str:
    """What stands where a file was expected."""
    if os.path.isdir(path):
        return ": it is a directory; name a file in it"
    if os.path.exists(path):
        return ", only something that cannot be read like one"
    if os.path.exists(f"{path}.index"):
        return (
            f", but {path}.index: this is a checkpoint of TensorFlow already and needs "
            "no conversion"
        )
    folder, name = os.path.split(path)
    beside = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    return did_you_mean(name, beside)


def _types(tensors: Iterable[np.ndarray]) -> str:
    types = sorted({str(tensor.dtype) for tensor in tensors})
    return f", only {listed(types)}" if types else ""


# ---- safetensors ----


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
    try:
        import safetensors
    except ImportError:
        raise WeightsError(f"Reading {path} needs safetensors: {INSTALL}.") from None
    if not file_kinds.is_safetensors(path) and (words := file_kinds.what_it_is(path)):
        raise WeightsError(f"{path} cannot be read as safetensors: it is {words}.")
    try:
        with open(path, "rb") as file:
            saved = safetensors.deserialize(file.read())
    except safetensors.SafetensorError as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors; it may be damaged or half "
            f"downloaded: {_reason(error)}."
        ) from error
    return {
        name: _safetensor(path, name, tensor)
        for name, tensor in sorted(saved, key=lambda item: item[0])
        if not _is_counter(name)
    }


def _safetensor(path: str, name: str, tensor: Mapping[str, Any]) -> np.ndarray:
    kind = _SAFETENSORS_TYPES.get(tensor["dtype"])
    if kind is None:
        raise WeightsError(
            f"{path} holds {shown(name)} as {tensor['dtype']}, which cannot be read; "
            "write it as float32, float16 or bfloat16."
        )
    array = np.frombuffer(tensor["data"], kind).reshape(tensor["shape"])
    # NumPy does not count the types of ml_dtypes as floating-point.
    is_float = tensor["dtype"].startswith(("F", "BF"))
    with np.errstate(over="ignore"):  # Infinite weights are refused by name.
        return array.astype(np.float32) if is_float else array


# ---- PyTorch ----


def _read_torch(path: str) -> dict[str, np.ndarray]:
    if words := file_kinds.what_it_is(path):
        raise WeightsError(f"{path} is no PyTorch checkpoint: it is {words}.")
    try:
        import torch
    except ImportError:
        raise WeightsError(f"Reading {path} needs PyTorch: {INSTALL}.") from None
    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore")  # They are for those who wrote the file.
            # Given the path, torch would choose the format by the suffix.
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refusal(path, _reason(error))) from error
    except Exception as error:  # Damaged pickles raise errors of any kind.
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint; it may be damaged or half "
            f"downloaded: {_reason(error)}."
        ) from error
    tensors = _named(content)
    if not tensors:
        raise WeightsError(
            f"{path} holds {_description(content)}; it must hold a state dict, or a "
            f"dict with one under {' or '.join(map(repr, _WRAPPERS))}."
        )
    return {
        name: _torch_array(path, name, tensor)
        for name, tensor in tensors.items()
        if not _is_counter(name)
    }


def _refusal(path: str, reason: str) -> str:
    # Torch knows only those instructions of pickles that it writes itself.
    or_else = ""
    if "operand" in reason:
        or_else = ", is damaged or was written by another program"
    return (
        f"{path} is refused: it holds objects other than tensors{or_else}, and reading "
        "them could run a program that somebody put there. If you trust its "
        "origin, load it where that does no harm and save only the tensors, with "
        "torch.save({'state_dict': checkpoint['state_dict']}, FILE). "
        f"torch says: {reason}."
    )


def _named(content: Any) -> dict[str, Any]:
    """The tensors of a state dict, or of wrappers: the model's and its averages'."""
    if not isinstance(content, Mapping):
        return {}
    parts = {str(key): value for key, value in content.items()}
    found = {key: _named(value) for key, value in parts.items() if is_wrapper(key)}
    found = {key: tensors for key, tensors in found.items() if tensors}
    if not found:
        return _flat(parts)
    usual = [key for key in _WRAPPERS if key in found]
    own = usual or [key for key in found if not is_average(key)]
    averages = [key for key in found if is_average(key)]
    if not averages:
        return found[own[0]]
    return {
        f"{key}.{name}": tensor
        for key in (*own[:1], averages[0])
        for name, tensor in found[key].items()
    }


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    tensors = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            inner = _flat(value)
            tensors.update({f"{key}.{name}": inner[name] for name in inner})
        elif hasattr(value, "is_floating_point"):
            tensors[str(key)] = value
    return tensors


def _torch_array(path: str, name: str, tensor: Any) -> np.ndarray:
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            return tensor.int_repr().numpy()
        if not tensor.is_floating_point():
            return tensor.numpy()
        return tensor.to_dense().float().numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise WeightsError(
            f"{path} holds {shown(name)} as {tensor.dtype}, which cannot be read: "
            f"{_reason(error)}."
        ) from error


def _description(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dict with the keys {', '.join(map(shown, list(content)[:5]))}"
    return f"a {type(content).__name__}"


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == _COUNTER


def _reason(error: Exception) -> str:
    """The first sentence of a library's message; torch writes whole paragraphs."""
    text = _BEFORE_REASON.sub("", _TERMINAL_CODES.sub("", str(error)))
    first_line = text.strip().partition("\n")[0]
    return one_line(first_line).partition(". ")[0].rstrip(".") or type(error).__name__
