"""Reads the tensors of a PyTorch or safetensors file, and nothing but tensors.

A PyTorch checkpoint is a pickle, which may run any program when it is read. Only
torch's restricted reader touches it; it builds tensors, plain containers and what
training scripts note beside them (`_harmless`) and refuses everything else.
"""

import argparse
import datetime
import os
import pathlib
import pickle
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from hrnet_tf.input_files import open_input, parse_json, read_bytes
from hrnet_tf.messages import did_you_mean, listed, shown
from hrnet_tf.optional_packages import import_package
from hrnet_tf.weights import file_kinds
from hrnet_tf.weights.containers import (
    WRAPPERS,
    Names,
    is_counter,
    key_text,
    torch_array,
)
from hrnet_tf.weights.errors import WeightsError, reason

_INSTALL = "install it with: pip install 'hrnet_tf[convert]'"

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
        safetensors = import_package("safetensors")
    except ImportError as error:
        raise WeightsError(
            f"Reading {path} needs safetensors ({error}): {_INSTALL}."
        ) from None
    if not file_kinds.is_safetensors(path) and (words := file_kinds.what_it_is(path)):
        raise WeightsError(f"{path} cannot be read as safetensors: it is {words}.")
    content = read_bytes(path)
    try:
        saved = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors; it may be damaged or half "
            f"downloaded: {reason(error)}."
        ) from error
    # The library takes the last of two tensors of one name.
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    parse_json(header, f"The header of {path}")
    return {
        name: _safetensor(path, name, tensor)
        for name, tensor in sorted(saved, key=lambda item: item[0])
        if not is_counter(name)
    }


def _safetensor(path: str, name: str, tensor: Mapping[str, Any]) -> np.ndarray:
    kind = _SAFETENSORS_TYPES.get(tensor["dtype"])
    if kind is None:
        raise WeightsError(
            f"{path} holds {shown(name)} as {tensor['dtype']}, which cannot be read; "
            "write it as float32, float16 or bfloat16."
        )
    try:
        array = np.frombuffer(tensor["data"], kind).reshape(tensor["shape"])
    except ValueError as error:
        raise WeightsError(
            f"{path} holds {shown(name)} with the shape {shown(tensor['shape'])}, "
            f"which cannot be read: {reason(error)}."
        ) from error
    # NumPy does not count the types of ml_dtypes as floating-point.
    is_float = tensor["dtype"].startswith(("F", "BF"))
    with np.errstate(over="ignore"):  # Infinite weights are refused by name.
        return array.astype(np.float32) if is_float else array


# ---- PyTorch ----


def _read_torch(path: str) -> dict[str, np.ndarray]:
    if words := file_kinds.what_it_is(path):
        raise WeightsError(f"{path} is no PyTorch checkpoint: it is {words}.")
    try:
        torch = import_package("torch")
    except ImportError as error:
        raise WeightsError(
            f"Reading {path} needs PyTorch ({error}): {_INSTALL}."
        ) from None
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(_harmless()),
            torch.sparse.check_sparse_tensor_invariants(),
            open_input(path) as file,
        ):
            warnings.simplefilter("ignore")  # They are for those who wrote the file.
            # Given the path, torch would choose the format by the suffix.
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refusal(path, reason(error))) from error
    except Exception as error:  # Damaged pickles raise errors of any kind.
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint; it may be damaged or half "
            f"downloaded: {reason(error)}."
        ) from error
    tensors = Names(path).named(content)
    if not tensors:
        raise WeightsError(
            f"{path} holds {_description(content)}; it must hold a state dict, or a "
            f"dict with one under {' or '.join(map(repr, WRAPPERS))}."
        )
    return {
        name: torch_array(path, name, tensor)
        for name, tensor in tensors.items()
        if not is_counter(name)
    }


def _refusal(path: str, words: str) -> str:
    # Torch knows only those instructions of pickles that it writes itself.
    or_else = ""
    if "operand" in words:
        or_else = ", is damaged or was written by another program"
    return (
        f"{path} is refused: it holds objects other than tensors{or_else}, and reading "
        "them could run a program that somebody put there. If you trust its "
        "origin, load it where that does no harm and save only the tensors, with "
        "torch.save({name: torch.as_tensor(value) for name, value in "
        "checkpoint['state_dict'].items()}, FILE). "
        f"torch says: {words}."
    )


def _harmless() -> list[Any]:
    """Classes that do nothing when they are made, of what scripts note beside weights.

    Some come with the name by which NumPy 1 pickles them.
    """
    scalar = np.dtype(np.float64).type(0).__reduce__()[0]
    return [
        *(argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath),
        *(datetime.datetime, datetime.date, datetime.timedelta),
        (_as_list, "collections.deque"),
        *(np.dtype, scalar, (scalar, "numpy.core.multiarray.scalar")),
        *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
    ]


def _as_list(*_: Any) -> list[Any]:
    """An empty list in place of a deque, to which torch does not append."""
    return []


def _description(content: Any) -> str:
    if isinstance(content, Mapping) and content:
        keys = [shown(key_text(key)) for key in list(content)[:5]]
        return f"a dict with the keys {', '.join(keys)} and no tensors"
    return "an empty dict" if content == {} else f"a {type(content).__name__}"
