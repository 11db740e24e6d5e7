"""What the inputs and outputs of exported models are, said without TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


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


# Inputs and outputs by name, for each signature.
Interface = Mapping[str, Mapping[str, TensorType]]

# The inputs that models have in common: encoded images, and pixels of images of one
# size.
IMAGE_BYTES = TensorType([None], "string")
IMAGES = TensorType([None, None, None, 3], "uint8")
