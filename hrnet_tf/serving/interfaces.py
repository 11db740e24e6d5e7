"""Compares what a description says of a model with the model."""

from hrnet_tf.serving.metadata import FILE_NAME, ModelError
from hrnet_tf.serving.tensors import Interface


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
        for name, tensor in tensors.items():
            found = received[signature].get(name)
            if found is None or not found.may_be(tensor):
                raise ModelError(
                    f"{source} does not do what its {FILE_NAME} says: {name} of its "
                    f"signature {signature} is {found or 'missing'}, not {tensor}. "
                    "Export the model again."
                )
