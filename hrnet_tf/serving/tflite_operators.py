"""The operations of a .tflite file: which are built in, and which run where.

LiteRT cannot be asked what its GPU accelerator takes without a GPU, and TensorFlow's
Analyzer finds every model compatible with one. So there is a list of the kinds that the
accelerator took when each was tried alone, with tensors of four dimensions at most.
"""

import collections
import math
from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hrnet_tf.serving.operators import Operators, by_count
from hrnet_tf.serving.tflite_graphs import kind_of, unpack

# By LiteRT 2.3. tests/serving/test_mobile_gpu.py compares it with the accelerator.
GPU_KINDS = {
    *("ABS", "ADD", "ARG_MAX", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CAST", "CEIL"),
    *("CONCATENATION", "CONV_2D", "COS", "CUMSUM", "DEPTHWISE_CONV_2D"),
    *("DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "ELU", "EQUAL", "EXP", "FLOOR"),
    *("FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER", "GELU", "GREATER"),
    *("GREATER_EQUAL", "HARD_SWISH", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG"),
    *("LOGICAL_AND", "LOGICAL_OR", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN"),
    *("MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "ONE_HOT", "PACK", "PAD"),
    *("PADV2", "POW", "PRELU", "QUANTIZE", "REDUCE_ANY", "REDUCE_MAX"),
    *("REDUCE_MIN", "REDUCE_PROD", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR"),
    *("RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT"),
    *("SELECT_V2", "SIGN", "SIN", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT"),
    *("SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB"),
    *("SUM", "TANH", "TILE", "TOPK_V2", "TRANSPOSE", "TRANSPOSE_CONV", "UNPACK"),
}
_GPU_DIMENSIONS = 4

# Of kinds that multiply with weights, the axis of these that counts the outputs.
_OUTPUT_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
_WEIGHTS = 1

# They change numbers into 8 bits and back, and compute nothing.
_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def of_content(content: bytes) -> Operators:
    """The operations of a .tflite file's content, loops' bodies included."""
    model = unpack(content)
    kinds: collections.Counter[str] = collections.Counter()
    not_on_gpu: collections.Counter[str] = collections.Counter()
    custom = set()
    in_8_bits, multiply_adds, multiply_adds_in_8_bits = 0, 0, 0
    for graph in model.subgraphs:
        for operation in graph.operators:
            kind = kind_of(model, operation)
            kinds[kind] += 1
            if model.operatorCodes[operation.opcodeIndex].customCode is not None:
                custom.add(kind)
            tensors = list(_tensors(graph, operation))
            if not _suits_gpus(kind, operation, tensors):
                not_on_gpu[kind] += 1
            done = _multiply_adds(kind, graph, operation)
            multiply_adds += done
            if kind not in _CONVERSIONS and any(
                tensor.type == schema.TensorType.INT8 for tensor in tensors
            ):
                in_8_bits += 1
                multiply_adds_in_8_bits += done
    return Operators(
        dict(by_count(kinds)),
        tuple(sorted(custom)),
        dict(by_count(not_on_gpu)),
        in_8_bits,
        round(multiply_adds_in_8_bits / max(multiply_adds, 1), 4),
    )


def _tensors(
    graph: schema.SubGraphT, operation: schema.OperatorT
) -> Iterator[schema.TensorT]:
    for index in (*operation.inputs, *operation.outputs):
        if index >= 0:  # -1 stands for one that is left out, such as a bias.
            yield graph.tensors[index]


def _suits_gpus(
    kind: str, operation: schema.OperatorT, tensors: list[schema.TensorT]
) -> bool:
    """Whether GPUs take the kind, and dimensions that are fixed and few."""
    if kind not in GPU_KINDS:
        return False
    # A slice may keep its dimensions, but not drop one.
    if kind == "STRIDED_SLICE" and operation.builtinOptions.shrinkAxisMask:
        return False
    return all(
        np.size(tensor.shape) <= _GPU_DIMENSIONS
        and (tensor.shapeSignature is None or min(tensor.shapeSignature) >= 0)
        for tensor in tensors
    )


def _multiply_adds(
    kind: str, graph: schema.SubGraphT, operation: schema.OperatorT
) -> int:
    if kind not in _OUTPUT_AXES:
        return 0
    weights = graph.tensors[operation.inputs[_WEIGHTS]].shape
    output = graph.tensors[operation.outputs[0]].shape
    per_output = math.prod(map(int, weights)) // int(weights[_OUTPUT_AXES[kind]])
    return math.prod(map(int, output)) * per_output
