"""Metadata inside a .tflite file, as other tools expect to find it.

The file ends in a ZIP archive of hrnet_tf.json and a file of labels (keypoints.txt or
classes.txt, one name a line):
`unzip model.tflite` takes them out. A checksum is the archive's comment, see
`checksums`. A metadata buffer in TensorFlow Lite's own schema
(tensorflow/lite/schema/metadata_schema.fbs) names and describes the tensors for viewers
and for Android's MetadataExtractor.
"""

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hrnet_tf.input_files import ZIP_FAULTS
from hrnet_tf.serving import checksums, tflite_graphs, tflite_operators
from hrnet_tf.serving import metadata as metadata_lib
from hrnet_tf.serving.metadata import ModelError, NetworkMetadata
from hrnet_tf.serving.tensors import Tensors, TensorType

# Names fixed by the metadata schema and by its readers.
_BUFFER_NAME = b"TFLITE_METADATA"
_FILE_IDENTIFIER = b"M001"
# The earliest time that a ZIP archive can hold.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_IMAGE_PROPERTIES = 2
_RGB = 1
# NumPy's names are these in small letters.
_TYPES = tflite_graphs.names_of(schema.TensorType)
_DESCRIPTIONS, _TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS = 1, 2, 3


def add_metadata(content: bytes, metadata: NetworkMetadata) -> bytes:
    """Returns a .tflite file's content with the metadata in it.

    The metadata are told the operations and the tensors of the file before.
    """
    model = tflite_graphs.unpack(content)
    metadata = dataclasses.replace(
        metadata,
        operators=tflite_operators.of_content(content),
        file_tensors=_tensors(model),
    )
    # The model's order of tensors, by the names that its signature gives them.
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    inputs = _signature_names(signature.inputs, graph.inputs)
    outputs = _signature_names(signature.outputs, graph.outputs)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_model_metadata(metadata, inputs, outputs), np.uint8)
    entry.name, entry.buffer = _BUFFER_NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]

    file = io.BytesIO()
    file.write(tflite_graphs.pack(model, len(content)))
    with zipfile.ZipFile(file, "a") as archive:
        labels = metadata.labels
        for name, text in (
            (metadata_lib.FILE_NAME, metadata.to_json()),
            (labels.file, "\n".join(labels.names) + "\n"),
        ):
            # Without a time of its own, the same export is the same file.
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), text)
        archive.comment = checksums.PLACEHOLDER
    return checksums.sealed(file.getvalue())


def check_kind(content: bytes, source: str) -> None:
    """Raises `ModelError` if the content does not begin as a .tflite file does."""
    if content[4:8] != tflite_graphs.IDENTIFIER:
        raise ModelError(f"{source} is not a .tflite file.", is_there=False)


def read_description(content: bytes, source: str) -> dict[str, Any]:
    """Reads hrnet_tf.json out of a .tflite file's content.

    Args:
        content: The file's content.
        source: Its path, for messages.

    Raises:
        ModelError: If this package did not export the file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entry = archive.getinfo(metadata_lib.FILE_NAME)
            if entry.file_size > metadata_lib.MAX_BYTES:
                raise ModelError(
                    f"{source}: its {metadata_lib.FILE_NAME} has {entry.file_size} "
                    f"bytes and may have {metadata_lib.MAX_BYTES}: export the model "
                    "again."
                )
            text = archive.read(entry)
    except ModelError:
        raise
    except ZIP_FAULTS as error:
        raise ModelError(
            f"{source} was not exported by hrnet_tf, or is incomplete: it holds no "
            f"{metadata_lib.FILE_NAME}."
        ) from error
    return metadata_lib.parse(text, source)


def _tensors(model: schema.ModelT) -> Tensors:
    """What the only signature takes and returns."""
    graph, signature = model.subgraphs[0], model.signatureDefs[0]

    def types(side: list[schema.TensorMapT]) -> dict[str, TensorType]:
        tensors = {
            entry.name.decode(): graph.tensors[entry.tensorIndex] for entry in side
        }
        return {
            name: TensorType(tensor.shape.tolist(), _TYPES[tensor.type].lower())
            for name, tensor in sorted(tensors.items())
        }

    return Tensors(types(signature.inputs), types(signature.outputs))


def _signature_names(
    tensors: list[schema.TensorMapT], graph_order: np.ndarray
) -> list[str]:
    names = {tensor.tensorIndex: tensor.name.decode() for tensor in tensors}
    return [names[index] for index in graph_order]


def _model_metadata(
    metadata: NetworkMetadata, inputs: list[str], outputs: list[str]
) -> bytes:
    """A ModelMetadata table of the metadata schema, as a flatbuffer."""
    tables = _Tables()
    names = metadata.labels
    labels_kind = _TENSOR_VALUE_LABELS if names.are_values else _TENSOR_AXIS_LABELS
    image_properties = tables.table({0: np.int8(_RGB)})
    image_content = tables.table(
        {0: np.uint8(_IMAGE_PROPERTIES), 1: image_properties},
    )
    labels = tables.table(
        {
            0: tables.text(names.file),
            1: tables.text("Names, one a line."),
            2: np.int8(labels_kind),
        }
    )

    def tensor(name: str) -> int:
        fields = {
            0: tables.text(name),
            1: tables.text(metadata.tensors[name]),
        }
        if name == "image":
            fields[3] = image_content
        if name == names.output:
            fields[6] = tables.vector([labels])
        return tables.table(fields)

    subgraph = tables.table(
        {
            2: tables.vector([tensor(name) for name in inputs]),
            3: tables.vector([tensor(name) for name in outputs]),
        }
    )
    description = tables.table(
        {
            0: tables.text(metadata_lib.FILE_NAME),
            1: tables.text("What the model is and how to use it, as JSON."),
            2: np.int8(_DESCRIPTIONS),
        }
    )
    return tables.finish(
        {
            0: tables.text(metadata.title),
            1: tables.text(metadata.description),
            2: tables.text(metadata.version),
            3: tables.vector([subgraph]),
            6: tables.vector([description]),
        }
    )


class _Tables:
    """Writes flatbuffer tables by the numbers of their fields in the schema."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder()

    def text(self, text: str) -> int:
        return self._builder.CreateString(text)

    def vector(self, offsets: list[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()

    def table(self, fields: Mapping[int, int | np.integer]) -> int:
        """Writes a table; its fields are offsets of this class, or numpy integers."""
        self._builder.StartObject(max(fields) + 1)
        for place, value in fields.items():
            if isinstance(value, np.int8):
                self._builder.PrependInt8Slot(place, int(value), 0)
            elif isinstance(value, np.uint8):
                self._builder.PrependUint8Slot(place, int(value), 0)
            else:
                self._builder.PrependUOffsetTRelativeSlot(place, value, 0)
        return self._builder.EndObject()

    def finish(self, fields: Mapping[int, int | np.integer]) -> bytes:
        self._builder.Finish(self.table(fields), _FILE_IDENTIFIER)
        return bytes(self._builder.Output())
