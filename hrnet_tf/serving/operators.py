"""What an exported model computes with: its operations by kind, and where they run."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hrnet_tf.messages import listed, shown
from hrnet_tf.value_types import described, fits

if TYPE_CHECKING:
    import tensorflow as tf

# Nodes of a graph that compute nothing: they hold, name, order or call others.
_BOOKKEEPING = {
    *("Const", "Placeholder", "NoOp", "Identity", "IdentityN", "PartitionedCall"),
    *("StatefulPartitionedCall", "VarHandleOp", "ReadVariableOp"),
}


# What hrnet_tf.json says of each, in words where it is no plain type.
_COUNTS = "an object with a whole number for each kind"
_TYPES: dict[str, Any] = {
    "kinds": _COUNTS,
    "custom": list[str],
    "not_on_gpu": _COUNTS,
    "in_8_bits": int,
    "multiply_adds_in_8_bits": float,
}


@dataclasses.dataclass(frozen=True)
class Operators:
    """The operations of an exported model.

    Attributes:
        kinds: How many there are of each kind, the most frequent first; of a SavedModel
            those of all its signatures.
        custom: The kinds that neither TensorFlow nor LiteRT brings.
        not_on_gpu: Of a .tflite file, how many of each kind a GPU is not known to
            take; see `tflite_operators`.
        in_8_bits: Of a .tflite file, how many compute with numbers of 8 bits.
        multiply_adds_in_8_bits: Of a .tflite file, the share of the multiply-adds of
            its convolutions and linear layers that those do, from 0 to 1.
    """

    kinds: Mapping[str, int]
    custom: tuple[str, ...] = ()
    not_on_gpu: Mapping[str, int] | None = None
    in_8_bits: int | None = None
    multiply_adds_in_8_bits: float | None = None

    def sentence(self) -> str:
        """All of it in a line."""
        custom = f"not built in: {listed(self.custom)}"
        parts = [
            f"{sum(self.kinds.values())} operations of {len(self.kinds)} kinds, "
            f"{custom if self.custom else 'all built in'}"
        ]
        if self.not_on_gpu is not None:
            count = sum(self.not_on_gpu.values())
            but = f" but {count} ({listed(list(self.not_on_gpu))})" if count else ""
            parts.append(f"GPU: all{but}")
        if self.in_8_bits:
            share = self.multiply_adds_in_8_bits or 0
            parts.append(f"8-bit: {self.in_8_bits}, {share:.0%} of the multiply-adds")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """What hrnet_tf.json says of it."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], _: str = "") -> "Operators":
        """Reads what `to_dict` returned.

        Raises:
            ValueError: If it is something else.
        """
        told = {"kinds": values["kinds"], **values}
        for name, value in told.items():
            kind = _TYPES[name]
            is_right = _are_counts(value) if kind is _COUNTS else fits(value, kind)
            if not is_right:
                expected = kind if kind is _COUNTS else described(kind)
                raise ValueError(
                    f"operators.{name} is {shown(value)}; it must be {expected}"
                )
        return cls(**{**told, "custom": tuple(told.get("custom", ()))})


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and fits(list(value.values()), list[int])


def of_graphs(graphs: "Iterable[tf.Graph]") -> Operators:
    """The operations of a SavedModel.

    Args:
        graphs: Those of its signatures. What several of them call is counted once in
            each, and the body of a loop once.
    """
    import tensorflow as tf

    kinds: collections.Counter[str] = collections.Counter()
    for graph in graphs:
        definition = graph.as_graph_def()
        for nodes in (
            definition.node,
            *(function.node_def for function in definition.library.function),
        ):
            kinds.update(node.op for node in nodes if node.op not in _BOOKKEEPING)
    return Operators(
        dict(by_count(kinds)),
        tuple(sorted(kind for kind in kinds if not hasattr(tf.raw_ops, kind))),
    )


def by_count(kinds: Mapping[str, int]) -> list[tuple[str, int]]:
    """Kinds with their counts: the most frequent first, equal ones by name."""
    return sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
