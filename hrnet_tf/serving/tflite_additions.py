"""Additions whose sum is needed with and without ReLU, as XNNPACK runs them fast.

The converter makes a ReLU part of the addition before it, unless something else reads
the sum, too, as in Lite-HRNet's fusions. XNNPACK has no 8-bit ReLU that stands alone:
it would part the graph, and take 25 times as long as the addition. To add once more,
with the ReLU inside, costs less.
"""

import copy

from ai_edge_litert import schema_py_generated as schema

from hrnet_tf.serving.tflite_graphs import kind_of, pack, unpack


def activate_additions(content: bytes) -> bytes:
    """Returns a file's content in which no ReLU follows an addition."""
    model = unpack(content)
    graph = model.subgraphs[0]
    additions = {
        index: operation
        for operation in graph.operators
        if kind_of(model, operation) == "ADD"
        for index in operation.outputs
    }
    none = schema.ActivationFunctionType.NONE
    for operation in graph.operators:
        addition = additions.get(operation.inputs[0])
        if kind_of(model, operation) != "RELU" or addition is None:
            continue
        options = copy.copy(addition.builtinOptions)
        if options.fusedActivationFunction != none:
            continue
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        operation.opcodeIndex, operation.inputs = addition.opcodeIndex, addition.inputs
        operation.builtinOptionsType = addition.builtinOptionsType
        operation.builtinOptions = options
    return pack(model, len(content))
