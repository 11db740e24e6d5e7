"""What the inputs and outputs of exported models are, said without TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_tf.messages import shown
from hrnet_tf.value_types import fits


@dataclasses.dataclass(frozen=True)
class TensorType:
    """The shape and type of an input or output.

    Attributes:
        shape: The sides, None where any will do; None if their number is not known.
        dtype: The type's name, as NumPy and TensorFlow have it.
    """

    shape: Sequence[int | None] | None
    dtype: str = "float32"

    @classmethod
    def of_spec(cls, spec: Any) -> "TensorType":
        """That of a `tf.TensorSpec`."""
        has_rank = spec.shape.rank is not None
        return cls(spec.shape.as_list() if has_rank else None, spec.dtype.name)

    def may_be(self, expected: "TensorType") -> bool:
        """Whether tensors of this type can be of another, too."""
        if self.dtype != expected.dtype:
            return False
        if self.shape is None or expected.shape is None:
            return True
        pairs = list(zip(self.shape, expected.shape, strict=False))
        return len(self.shape) == len(expected.shape) and all(
            None in pair or pair[0] == pair[1] for pair in pairs
        )

    def __str__(self) -> str:
        sides = ["..."] if self.shape is None else self.shape
        shape = ", ".join("?" if side is None else str(side) for side in sides)
        return f"{self.dtype} [{shape}]"


@dataclasses.dataclass(frozen=True)
class Tensors:
    """What a .tflite file takes and returns, each by name, with fixed sides."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]

    def to_dict(self) -> dict[str, Any]:
        """What hrnet_tf.json says of it."""
        return {
            field.name: {
                name: {"type": tensor.dtype, "shape": list(tensor.shape or ())}
                for name, tensor in getattr(self, field.name).items()
            }
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], _: str = "") -> "Tensors":
        """Reads what `to_dict` returned.

        Raises:
            ValueError: If it is something else.
        """
        return cls(*(_read_side(side, values[side]) for side in ("inputs", "outputs")))


def _read_side(side: str, values: Any) -> dict[str, TensorType]:
    if not isinstance(values, dict):
        raise ValueError(f"tensors.{side} is {shown(values)}; it must be an object")
    found = {}
    for name, value in values.items():
        tensor = value if isinstance(value, dict) else {}
        dtype: Any = tensor.get("type")
        shape: Any = tensor.get("shape")
        # Null would stand for any size, and a file's are fixed.
        is_fixed = isinstance(shape, list) and all(fits(side, int) for side in shape)
        if not (fits(dtype, str) and is_fixed):
            raise ValueError(
                f"tensors.{side} holds {shown(value)}; it must hold a type and a shape"
            )
        found[name] = TensorType(shape, dtype)
    return found


# Inputs and outputs by name, for each signature.
Interface = Mapping[str, Mapping[str, TensorType]]

# The inputs that models have in common: encoded images, and pixels of images of one
# size.
IMAGE_BYTES = TensorType([None], "string")
IMAGES = TensorType([None, None, None, 3], "uint8")
