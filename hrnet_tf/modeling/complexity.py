"""How large a network is: its trainable parameters and its multiply-accumulates.

These are the numbers that the paper and the official repositories print beside a
model. Divide multiply-accumulates by 2^30 for their "GFLOPs".
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras


@dataclasses.dataclass(frozen=True)
class Complexity:
    """The size of a network or of a part of one."""

    parameters: int = 0  # see `count_parameters`
    macs: int = 0  # see `count_macs`

    def __add__(self, other: "Complexity") -> "Complexity":
        return Complexity(self.parameters + other.parameters, self.macs + other.macs)


def count_parameters(model: tf_keras.layers.Layer) -> int:
    """Counts trainable numbers: kernels, biases, and the scale and offset of norms.

    Moving averages of batch norms are not trained and not counted.
    """
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_macs(model: tf_keras.Model, input_size: Sequence[int]) -> int:
    """Counts the multiply-accumulates of inference on one image, (height, width) large.

    Traces the model without running it and adds up its convolutions and its layers'
    matrix multiplications. Biases, norms, activations and resizing are left out, as in
    official lib/utils/utils.py (`get_model_summary`), and so is attention, whose
    batched products have no kernel: in networks with object-contextual representations
    (OCR), the comparison of pixels with regions.

    Raises:
        ValueError: If the model takes no image of that size, or one of its operations
            has a size that is not known before it runs, or runs a whole function
            (grouped convolutions, control flow, all of a loaded SavedModel).
    """
    graph = _trace(model, input_size)
    return sum(_macs(operation) for operation in graph.get_operations())


def count_parts(
    model: tf_keras.Model,
    input_size: Sequence[int],
    parts: Mapping[str, Sequence[tf_keras.layers.Layer]],
) -> dict[str, Complexity]:
    """Counts the parameters and multiply-accumulates of each part of a model.

    A convolution or matrix multiplication belongs to the part that holds its kernel.
    `parts` are lists of layers, which together hold all trainable weights.

    Raises:
        ValueError: As in `count_macs`, or if a weight is in no part or in two, or if
            an operation to be counted has no kernel.
    """
    held = [
        (id(weight.handle), part)
        for part, layers in parts.items()
        for layer in layers
        for weight in layer.trainable_weights
    ]
    handles = [id(weight.handle) for weight in model.trainable_weights]
    if sorted(handle for handle, _ in held) != sorted(handles):
        raise ValueError(
            f"The parts {', '.join(parts)} do not make up the model: every trainable "
            "weight must be in one part and in no other."
        )
    counts = {
        part: Complexity(parameters=sum(map(count_parameters, layers)))
        for part, layers in parts.items()
    }
    graph = _trace(model, input_size)
    part_of = dict(held)
    # The graph has names of its own for the weights.
    owners = {
        inner.op.name: part_of[id(outer)]
        for outer, inner in graph.captures
        if id(outer) in part_of
    }
    for operation in graph.get_operations():
        if macs := _macs(operation):
            part = owners.get(_kernel_name(operation))
            if part is None:
                raise ValueError(
                    f"{operation.name} multiplies by no trainable kernel and so "
                    "belongs to no part of the model."
                )
            counts[part] += Complexity(macs=macs)
    return counts


def _trace(model: tf_keras.Model, input_size: Sequence[int]) -> tf.Graph:
    """The operations of inference on one image."""
    height, width = input_size

    @tf.function(autograph=False)
    def infer(images):
        return model(images, training=False)

    images = tf.TensorSpec([1, height, width, 3], tf.float32)
    return infer.get_concrete_function(images).graph


def _kernel_name(operation: tf.Operation) -> str:
    """The graph's name for the second factor of a product."""
    source = operation.inputs[1].op
    while source.type in ("ReadVariableOp", "Cast"):
        source = source.inputs[0].op
    return source.name


def _macs(operation: tf.Operation) -> int:
    """Multiply-accumulates of one operation: per output value, times their number."""
    if operation.type == "Conv2D":
        height, width, channels, _ = operation.inputs[1].shape
        per_output = height * width * channels
    elif operation.type == "DepthwiseConv2dNative":
        height, width, _, _ = operation.inputs[1].shape
        per_output = height * width
    elif operation.type == "MatMul":
        axis = 0 if operation.get_attr("transpose_a") else 1
        per_output = operation.inputs[0].shape[axis]
    elif any(value.HasField("func") for value in operation.node_def.attr.values()):
        raise ValueError(
            f"The multiply-accumulates of {operation.name} cannot be counted: it runs "
            "a function, and operations inside functions are not counted."
        )
    else:
        return 0
    outputs = operation.outputs[0].shape.num_elements()
    if outputs is None or per_output is None:
        raise ValueError(
            f"The multiply-accumulates of {operation.name} cannot be counted: its "
            f"output {operation.outputs[0].shape} has a side that is known only when "
            "it runs."
        )
    return outputs * per_output
