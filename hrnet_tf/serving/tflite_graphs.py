"""The content of a .tflite file as objects of TensorFlow Lite's schema, and back."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"


def names_of(enumeration: type) -> dict[int, str]:
    """The names of one of the schema's enumerations, by their numbers."""
    return {
        number: name
        for name, number in vars(enumeration).items()
        if isinstance(number, int)
    }


_KINDS = names_of(schema.BuiltinOperator)


def unpack(content: bytes) -> schema.ModelT:
    """The objects of a file's content."""
    model = schema.ModelT.InitFromPackedBuf(content)
    # Some writers put buffers behind the flatbuffer, at places that are about to move.
    for buffer in model.buffers:
        if buffer.offset > 1:
            data = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(data, np.uint8)
            buffer.offset = buffer.size = 0
    return model


def pack(model: schema.ModelT, size: int) -> bytes:
    """The content of a file of about so many bytes."""
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def kind_of(model: schema.ModelT, operation: schema.OperatorT) -> str:
    """The name of an operation's kind, such as CONV_2D, or a custom one's own."""
    code = model.operatorCodes[operation.opcodeIndex]
    if code.customCode is not None:
        return code.customCode.decode()
    # Kinds above 127 are not in the older field.
    return _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def name_of(graph: schema.SubGraphT, operation: schema.OperatorT) -> str:
    """An operation's name: those of its outputs, as LiteRT's quantiser joins them."""
    names = [graph.tensors[index].name.decode() for index in operation.outputs]
    return "".join(f"{name};" for name in names)
