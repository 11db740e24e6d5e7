"""GPU delegates take the whole graph: shown on a Vulkan driver in software.

SwiftShader, which Debian's chromium package brings, stands in for a phone's GPU. The
tests are skipped where there is no such driver.
"""

import json
import zipfile

import flatbuffers.table
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from hrnet_tf.serving import tflite_operators


@pytest.mark.parametrize(
    ("codec", "flip_test", "quantize", "with_heatmaps", "backbone"),
    [
        pytest.param("msra", True, "none", False, "hrnet", marks=pytest.mark.heavy),
        ("dark", False, "none", True, "hrnet"),
        ("msra", False, "int8", True, "hrnet"),
        pytest.param("msra", False, "none", True, "lite", marks=pytest.mark.heavy),
        # Each is a file to convert and a process to run it in. What differs from those
        # above is looked at, in the file, by the test below.
        *(
            pytest.param(*others, marks=pytest.mark.slow)
            for others in (
                ("msra", False, "none", True, "hrnet"),
                ("udp", False, "none", True, "hrnet"),
                ("msra", False, "float16", True, "hrnet"),
                ("msra", False, "none", True, "naive"),
            )
        ),
    ],
)
def test_the_gpu_takes_the_whole_graph(
    codec, flip_test, quantize, with_heatmaps, backbone, mobile_file, run_on_gpu
):
    content = mobile_file(quantize, with_heatmaps, codec, flip_test, backbone)
    assert tflite_operators.of_content(content).not_on_gpu == {}
    answer = run_on_gpu(content, 64, 32)
    assert answer["accelerated"] is True
    assert len(answer["differences"]) == 1 + with_heatmaps
    if quantize != "int8":  # Whose peaks may be other pixels.
        assert max(answer["differences"]) < 1e-2


def test_what_the_gpu_leaves_is_known(run_on_gpu):
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.uint8)])
    def drop_a_dimension(image):
        return tf.cast(image, tf.float32)[..., 0] * 2.0

    function = drop_a_dimension.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    content = converter.convert()
    found = tflite_operators.of_content(content)
    assert found.not_on_gpu == {"STRIDED_SLICE": 1}
    with pytest.raises(AssertionError, match="STRIDED_SLICE: Slice does not support"):
        run_on_gpu(content, 8, 8)


@pytest.mark.parametrize(
    ("codec", "backbone", "quantize"),
    [
        *((codec, "hrnet", "none") for codec in ("msra", "dark", "udp")),
        ("msra", "lite", "none"),
        ("msra", "hrnet", "int8"),
        *(
            pytest.param("msra", *others, marks=pytest.mark.heavy)
            for others in (("naive", "none"), ("lite", "int8"), ("naive", "int8"))
        ),
        # What decodes stays in float, as above.
        pytest.param("dark", "hrnet", "int8", marks=pytest.mark.slow),
        pytest.param("udp", "hrnet", "int8", marks=pytest.mark.slow),
    ],
)
def test_the_graph_is_one_for_phones(codec, backbone, quantize, mobile_file):
    """Built-in operations, fixed shapes, four dimensions at most."""
    content = mobile_file(quantize, codec=codec, backbone=backbone)
    assert tflite_operators.of_content(content).not_on_gpu == {}
    model = schema.ModelT.InitFromPackedBuf(content)
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if isinstance(number, int)
    }
    used = {names[code.builtinCode] for code in model.operatorCodes}
    assert "CONV_2D" in used
    forbidden = {"CUSTOM", "GATHER_ND", "WHERE", "WHILE", "IF", "ADD_N"}
    # XNNPACK, for CPUs, has none: it would part the graph.
    forbidden |= {"RESIZE_NEAREST_NEIGHBOR"}
    forbidden |= {name for name in names.values() if "NON_MAX" in name}
    assert not used & forbidden
    assert all(code.customCode is None for code in model.operatorCodes)
    assert len(model.subgraphs) == 1
    for operation in model.subgraphs[0].operators:
        made = model.subgraphs[0].tensors[operation.outputs[0]]
        is_relu = (
            names[model.operatorCodes[operation.opcodeIndex].builtinCode] == "RELU"
        )
        # Nor has XNNPACK an 8-bit ReLU.
        assert not (is_relu and made.type == schema.TensorType.INT8)
    for tensor in model.subgraphs[0].tensors:
        assert tensor.shape is None or len(tensor.shape) <= 4, tensor.name
        assert tensor.shapeSignature is None or min(tensor.shapeSignature) >= 0


def test_metadata_is_where_tools_look(tflite_file):
    with zipfile.ZipFile(tflite_file) as archive:
        labels = archive.read("keypoints.txt").decode().split()
        description = json.loads(archive.read("hrnet_tf.json"))
    assert labels == description["skeleton"]["keypoints"] and len(labels) == 17

    model = schema.ModelT.InitFromPackedBuf(tflite_file.read_bytes())
    (entry,) = [m for m in model.metadata if m.name == b"TFLITE_METADATA"]
    buffer = bytes(model.buffers[entry.buffer].data)
    assert buffer[4:8] == b"M001"
    root = table_at(buffer, int.from_bytes(buffer[:4], "little"))
    assert text(root, 0) == "HRNet custom, coco17"
    (subgraph,) = tables(root, 3)
    (image,) = tables(subgraph, 2)
    assert text(image, 0) == "image" and "uint8 RGB" in text(image, 1)
    content = table_at(buffer, image.Indirect(image.Pos + field(image, 3)))
    properties = table_at(buffer, content.Indirect(content.Pos + field(content, 1)))
    assert buffer[content.Pos + field(content, 0)] == 2  # ImageProperties.
    assert buffer[properties.Pos + field(properties, 0)] == 1  # RGB.
    outputs = {text(output, 0): output for output in tables(subgraph, 3)}
    assert set(outputs) == {"keypoints", "heatmaps"}
    # As many descriptions as tensors, in their order.
    signature = {t.tensorIndex: t.name for t in model.signatureDefs[0].outputs}
    order = [signature[index].decode() for index in model.subgraphs[0].outputs]
    assert list(outputs) == order
    (labels_file,) = tables(outputs["keypoints"], 6)
    assert text(labels_file, 0) == "keypoints.txt"
    assert [text(file, 0) for file in tables(root, 6)] == ["hrnet_tf.json"]


def table_at(buffer: bytes, position: int) -> flatbuffers.table.Table:
    return flatbuffers.table.Table(buffer, position)


def field(table: flatbuffers.table.Table, place: int) -> int:
    offset = table.Offset(4 + 2 * place)
    assert offset, f"field {place} is missing"
    return offset


def text(table: flatbuffers.table.Table, place: int) -> str:
    return table.String(table.Pos + field(table, place)).decode()


def tables(table: flatbuffers.table.Table, place: int) -> list[flatbuffers.table.Table]:
    offset = field(table, place)
    start = table.Vector(offset)
    return [
        table_at(table.Bytes, table.Indirect(start + 4 * index))
        for index in range(table.VectorLen(offset))
    ]
