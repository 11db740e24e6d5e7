"""The tensors in the containers of a PyTorch checkpoint, and their numbers."""

import contextlib
from collections.abc import Iterator, Mapping
from itertools import filterfalse
from typing import Any

import ml_dtypes
import numpy as np

from hrnet_tf.messages import shown
from hrnet_tf.weights.errors import WeightsError, reason
from hrnet_tf.weights.official_names import body_prefixes
from hrnet_tf.weights.wrappers import is_average, is_wrapper, unwrapped

# The usual keys of the weights, beside optimizer and notes, most trusted first.
WRAPPERS = ("state_dict", "model", "model_state_dict")

# Numbers of a tensor. None of these networks has one of more, and a file may claim more
# than it holds: of copies, of zeros between the values of a sparse tensor.
_MOST_NUMBERS = 2**28

# Of containers in a checkpoint: how deep, and how many entries in all.
_DEEPEST = 20
_MOST_ENTRIES = 10**6

# The types of torch that NumPy lacks, and whole numbers of their sizes.
_VIEWS = {
    "bfloat16": ("int16", ml_dtypes.bfloat16),
    "float8_e4m3fn": ("uint8", ml_dtypes.float8_e4m3fn),
    "float8_e5m2": ("uint8", ml_dtypes.float8_e5m2),
    "float8_e4m3fnuz": ("uint8", ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2fnuz": ("uint8", ml_dtypes.float8_e5m2fnuz),
    "float8_e8m0fnu": ("uint8", ml_dtypes.float8_e8m0fnu),
}


class Names:
    """Finds the tensors in the containers of a checkpoint, which may hold themselves.

    Raises `WeightsError` for what no script writes.
    """

    def __init__(self, path: str):
        self._path = path
        self._count = 0
        self._open: list[int] = []  # the containers around the one that is looked at

    def named(self, content: Any) -> dict[str, Any]:
        """Tensors of a state dict, or of wrappers: the model's and its averages'."""
        if not isinstance(content, Mapping) or id(content) in self._open:
            return {}
        with self._inside(content):
            found = {
                name: tensors
                for key, value in content.items()
                if is_wrapper(name := key_text(key)) and (tensors := self.named(value))
            }
        if not found:
            return self._flat(content)
        own = [key for key in (*WRAPPERS, *found) if key in found]
        own = self._rightful([key for key in own if not is_average(key)], found)
        averages = self._rightful([key for key in found if is_average(key)], found)
        if not averages:
            return found[own[0]]
        return {
            f"{key}.{name}": tensor
            for key in (*own, *averages)
            for name, tensor in found[key].items()
        }

    def _rightful(
        self, keys: list[str], found: Mapping[str, Mapping[str, Any]]
    ) -> list[str]:
        """The first of keys with a network, once it is known that others hold the same.

        Without a network, the first of all.
        """
        networks = [
            key for key in dict.fromkeys(keys) if body_prefixes(_unwrapped(found[key]))
        ]
        for key in networks[1:]:
            if self._differ(found[networks[0]], found[key]):
                raise WeightsError(
                    f"{self._path} holds two networks that differ, under "
                    f"{shown(networks[0])} and {shown(key)}: save the one to convert "
                    f"in a file of its own, with torch.save(checkpoint[{shown(key)}], "
                    "FILE)."
                )
        return (networks or keys)[:1]

    def _differ(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        one, other = _unwrapped(one), _unwrapped(other)
        if one.keys() != other.keys():
            return True
        for name in filterfalse(is_counter, one):
            arrays = [
                torch_array(self._path, name, held[name]) for held in (one, other)
            ]
            first, second = arrays
            if first.shape != second.shape or first.tobytes() != second.tobytes():
                return True
        return False

    def _flat(self, content: Mapping[Any, Any]) -> dict[str, Any]:
        tensors: dict[str, Any] = {}
        with self._inside(content):
            for key, value in content.items():
                found = {}
                if isinstance(value, Mapping) and id(value) not in self._open:
                    inner = self._flat(value)
                    found = {f"{key_text(key)}.{name}": inner[name] for name in inner}
                elif hasattr(value, "is_floating_point"):
                    found = {key_text(key): value}
                for name in found.keys() & tensors.keys():
                    raise WeightsError(
                        f"{self._path} holds {shown(name)} twice; save the tensors "
                        "under keys that are texts, each once."
                    )
                tensors.update(found)
        return tensors

    @contextlib.contextmanager
    def _inside(self, content: Mapping[Any, Any]) -> Iterator[None]:
        self._open.append(id(content))
        self._count += len(content)
        if len(self._open) > _DEEPEST or self._count > _MOST_ENTRIES:
            raise WeightsError(
                f"{self._path} is no checkpoint that can be read: its dicts are nested "
                f"more than {_DEEPEST} deep, or hold more than {_MOST_ENTRIES} entries."
            )
        yield
        self._open.pop()


def is_counter(name: str) -> bool:
    """Whether a tensor is one of PyTorch's counters of batches, in every norm."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def _unwrapped(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {unwrapped(name): tensor for name, tensor in tensors.items()}


def key_text(key: Any) -> str:
    """The key of a dict as a text; any object of a checkpoint may be one."""
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    is_plain = key is None or (isinstance(key, int) and abs(key) < 2**63)
    return repr(key) if is_plain else f"<{type(key).__name__}>"


def torch_array(path: str, name: str, tensor: Any) -> np.ndarray:
    """The numbers of a tensor, floating-point ones as float32."""
    if tensor.is_nested:
        raise WeightsError(
            f"{path} holds {shown(name)} as a nested tensor, which is of no network; "
            "save the file without it."
        )
    if tensor.is_meta or tensor.numel() > _MOST_NUMBERS:
        fault = "without its values"
        if not tensor.is_meta:
            fault = f"with the shape {list(tensor.shape)}, larger than in any network"
        raise WeightsError(f"{path} holds {shown(name)} {fault}; save it again.")
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            return tensor.int_repr().numpy()
        array = _strided_array(tensor.to_dense().resolve_conj().resolve_neg())
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise WeightsError(
            f"{path} holds {shown(name)} as {tensor.dtype}, which cannot be read: "
            f"{reason(error)}."
        ) from error
    if not tensor.is_floating_point():
        return array
    with np.errstate(over="ignore"):  # Infinite weights are refused by name.
        return array.astype(np.float32)


def _strided_array(tensor: Any) -> np.ndarray:
    """A tensor as an array, without the threads of torch's arithmetic."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _VIEWS:
        return tensor.numpy()
    import torch

    whole, own = _VIEWS[kind]
    return tensor.contiguous().view(getattr(torch, whole)).numpy().view(own)
