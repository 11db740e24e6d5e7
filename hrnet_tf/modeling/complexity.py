"""How large a network is: its trainable parameters and its multiply-accumulates.

These are the numbers that the paper and the official repositories print beside a
model. Divide multiply-accumulates by 2^30 for their "GFLOPs".
"""

import math
from collections.abc import Sequence

import tensorflow as tf
import tf_keras


def count_parameters(model: tf_keras.Model) -> int:
    """Counts trainable numbers: kernels, biases, and the scale and offset of norms.

    Moving averages of batch norms are not trained and not counted.
    """
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_macs(model: tf_keras.Model, input_size: Sequence[int]) -> int:
    """Counts the multiply-accumulates of inference on one image.

    Traces the model without running it and adds up its convolutions and matrix
    multiplications. Biases, norms, activations and resizing are left out, as in
    official lib/utils/utils.py (`get_model_summary`).

    Args:
        model: Maps images [B, H, W, 3] to anything.
        input_size: (height, width) of the image in pixels.

    Raises:
        ValueError: If the model takes no image of that size, or has an operation
            whose size is not known before it runs, or that runs a whole function
            (grouped convolutions, control flow, all of a loaded SavedModel).
    """
    height, width = input_size

    @tf.function(autograph=False)
    def infer(images):
        return model(images, training=False)

    images = tf.TensorSpec([1, height, width, 3], tf.float32)
    graph = infer.get_concrete_function(images).graph
    return sum(_macs(operation) for operation in graph.get_operations())


def _macs(operation: tf.Operation) -> int:
    """Multiply-accumulates of one operation: those per output number, times these."""
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
            "a function of its own, which is not looked into."
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
