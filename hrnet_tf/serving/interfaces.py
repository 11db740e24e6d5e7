"""Compares what a description says of a model with the model."""

import tensorflow as tf

from hrnet_tf.serving.metadata import FILE_NAME, Interface, ModelError


def check_interface(expected: Interface, received: Interface, source: str) -> None:
    """Does so, for the model at `source`.

    Raises:
        ModelError: If a signature or a tensor is missing, or is of another type or
            shape.
    """
    for signature, tensors in expected.items():
        if signature not in received:
            raise ModelError(
                f"{source} does not do what its {FILE_NAME} says: it has no signature "
                f"{signature}. Export the model again."
            )
        for name, spec in tensors.items():
            found = received[signature].get(name)
            if found is None or not _may_be(found, spec):
                raise ModelError(
                    f"{source} does not do what its {FILE_NAME} says: {name} of its "
                    f"signature {signature} is {_tensor(found)}, not {_tensor(spec)}. "
                    "Export the model again."
                )


def _may_be(found: tf.TensorSpec, expected: tf.TensorSpec) -> bool:
    return found.dtype == expected.dtype and found.shape.is_compatible_with(
        expected.shape
    )


def _tensor(spec: tf.TensorSpec | None) -> str:
    if spec is None:
        return "missing"
    sides = spec.shape.as_list() if spec.shape.rank is not None else ["..."]
    shape = ", ".join("?" if side is None else str(side) for side in sides)
    return f"{spec.dtype.name} [{shape}]"
