"""8-bit .tflite files: what each layer loses by 8 bits, and which stay in float.

A layer is an operation of the part of a network that may compute with 8 bits, with
those that only move the numbers that it gives. What it loses is measured with it alone
quantised, at the tensors that this part hands on to heads and decoding: there all
layers are compared by what the rest of the model sees.
"""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.messages import UserError
from hrnet_tf.progress import Progress
from hrnet_tf.serving.tflite_additions import activate_additions
from hrnet_tf.serving.tflite_graphs import kind_of, name_of, pack, unpack

SIGNATURE = "serving_default"
_PROBE = "probe_"
# They give the numbers that they take, and have no scale of their own.
_MOVES = {
    *("PAD", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SPLIT", "SPLIT_V", "STRIDED_SLICE"),
    "TRANSPOSE",
}

# Activations below are taken for 0: their layer is dead.
_ZERO = 1e-6


class Layer(NamedTuple):
    """An operation that may compute with 8 bits.

    Attributes:
        name: The names of its outputs, as the quantiser writes them.
        kind: Its kind, such as CONV_2D.
        moves: The names of the operations that only move what it gives: these numbers
            have 8 bits where it has.
    """

    name: str
    kind: str
    moves: tuple[str, ...] = ()


class Damage(NamedTuple):
    """What a layer loses by 8 bits.

    Attributes:
        layer: The layer.
        error: The root mean square error of what the 8-bit part hands on, as a share of
            its standard deviation, when this layer alone has 8 bits.
    """

    layer: Layer
    error: float


class Quantizer:
    """Gives layers of a .tflite file in float 8-bit weights and activations.

    Attributes:
        layers: Those that can have 8 bits, in the order of the graph.
    """

    def __init__(self, content: bytes, part: str, images: Iterable[np.ndarray]):
        """Takes a file and measures the ranges of its activations.

        Args:
            content: The file's content.
            part: Regular expression for the names of the layers that may have 8 bits.
            images: Inputs uint8 [H, W, 3] to calibrate with.

        Raises:
            ValueError: If there are no images.
            UserError: If no layer has such a name.
        """
        # Each image fills a batch: the ranges are those of a file for one at a time.
        size = _batch_size(content)
        samples = [{"image": np.stack([image] * size)} for image in images]
        if not samples:
            raise ValueError("int8 needs images to calibrate with; there are none.")
        content = activate_additions(content)
        if not _layers(content, part):
            raise UserError(
                "int8 is for backbones and decoders of HRNet and Lite-HRNet, and this "
                "model has none of them: take --quantize=float16 or dynamic."
            )
        self._content = content
        self._part = part
        with _quietly():
            ranges = _recipe(content, [part]).calibrate({SIGNATURE: samples})
        self._ranges = {name: _not_empty(found) for name, found in ranges.items()}
        # The quantiser knows not every kind.
        self.layers = _layers(self.quantized(), part, schema.TensorType.INT8)

    def quantized(self, in_float: Iterable[Layer] = ()) -> bytes:
        """The file with 8 bits in all layers but some."""
        names = [name for layer in in_float for name in _names(layer)]
        return self._quantize(_recipe(self._content, [self._part], names))

    def damage(self, images: Sequence[np.ndarray]) -> list[Damage]:
        """What each layer loses, the most damaging first.

        Args:
            images: Inputs uint8 [H, W, 3] to measure with.
        """
        probed = _with_probes(self._content, self._part)
        expected = _run(probed, images)
        found = []
        with Progress(len(self.layers), "Measuring", unit="layer") as progress:
            for layer in self.layers:
                content = self._quantize(_recipe(probed, _names(layer)))
                found.append(Damage(layer, _error(expected, _run(content, images))))
                progress.advance()
        return sorted(found, key=lambda damage: -damage.error)

    def _quantize(self, recipe: Any) -> bytes:
        with _quietly():
            result = recipe.quantize(self._ranges, enable_progress_report=False)
        return bytes(result.quantized_model)


def _recipe(content: bytes, parts: Iterable[str], in_float: Iterable[str] = ()) -> Any:
    """The quantiser of a file: 8 bits in some parts, but float in others of these."""
    # Takes seconds to import, for int8 alone.
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

    recipe = quantizer.Quantizer(bytearray(content))
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    for part in parts:
        recipe.add_static_config(part, everything, 8, 8)
    for part in in_float:
        recipe.update_quantization_recipe(
            part, everything, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE
        )
    return recipe


def _not_empty(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A tensor's range; to 1 if it was always 0, as after the ReLU of a dead layer.

    The quantiser would give it a scale of 4e-12, with which XNNPACK refuses the file.
    """
    if max(np.abs(found["min"]).max(), np.abs(found["max"]).max()) > _ZERO:
        return found
    return {**found, "max": np.ones_like(found["max"])}


def _names(layer: Layer) -> list[str]:
    """Regular expressions for the names of a layer's operations."""
    return [f"^{re.escape(name)}$" for name in (layer.name, *layer.moves)]


def _layers(
    content: bytes, part: str, output_type: int | None = None
) -> tuple[Layer, ...]:
    """The layers whose names match, and whose outputs are of a type if one is given."""
    model = unpack(content)
    graph = model.subgraphs[0]
    layers: list[Layer] = []
    makers: dict[int, int] = {}  # The place of the layer that each tensor is from.
    for operation in graph.operators:
        name = name_of(graph, operation)
        types = {graph.tensors[index].type for index in operation.outputs}
        if not re.search(part, name) or output_type not in (None, *types):
            continue
        kind = kind_of(model, operation)
        places = [makers[index] for index in operation.inputs if index in makers]
        # Copies of one tensor, joined, are a resize.
        is_copied = kind == "CONCATENATION" and len(set(operation.inputs)) == 1
        is_moved = places and (kind in _MOVES or is_copied)
        place = places[0] if is_moved else len(layers)
        if place == len(layers):
            layers.append(Layer(name, kind))
        else:
            layer = layers[place]
            layers[place] = layer._replace(moves=(*layer.moves, name))
        makers.update(dict.fromkeys(operation.outputs, place))
    return tuple(layers)


def _with_probes(content: bytes, part: str) -> bytes:
    """The file with what its 8-bit part hands on as outputs, too."""
    model = unpack(content)
    graph = model.subgraphs[0]
    made: set[int] = set()
    used = set(graph.outputs.tolist())
    for operation in graph.operators:
        if re.search(part, name_of(graph, operation)):
            made.update(operation.outputs.tolist())
        else:
            used.update(operation.inputs.tolist())
    handed_on = sorted(made & used)
    for place, index in enumerate(handed_on):
        _add_probe(model, index, f"{_PROBE}{place}")
    return pack(model, len(content))


def _add_probe(model: schema.ModelT, index: int, name: str) -> None:
    """Makes a copy of a tensor an output: the quantiser may replace the tensor."""
    graph = model.subgraphs[0]
    source = graph.tensors[index]
    tensor, entry = schema.TensorT(), schema.TensorMapT()
    tensor.name, tensor.shape, tensor.type = name.encode(), source.shape, source.type
    entry.name, entry.tensorIndex = name.encode(), len(graph.tensors)
    code, copy = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    copy.opcodeIndex = len(model.operatorCodes)
    copy.inputs, copy.outputs = [index], [entry.tensorIndex]
    copy.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    copy.builtinOptions = schema.ReshapeOptionsT()
    copy.builtinOptions.newShape = source.shape
    model.operatorCodes.append(code)
    graph.operators.append(copy)
    graph.tensors.append(tensor)
    graph.outputs = np.array([*graph.outputs, entry.tensorIndex], np.int32)
    model.signatureDefs[0].outputs.append(entry)


def _batch_size(content: bytes) -> int:
    graph = unpack(content).subgraphs[0]
    return int(graph.tensors[graph.inputs[0]].shape[0])


def _batches(content: bytes, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Images as a file takes them, so many at once; the last ones again to the end."""
    size = _batch_size(content)
    for start in range(0, len(images), size):
        batch = list(images[start : start + size])
        yield np.stack(batch + batch[-1:] * (size - len(batch)))


def _run(content: bytes, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the probes of a file say of images: each an array [N, ...]."""
    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner(SIGNATURE)
    names = [name for name in run.get_output_details() if name.startswith(_PROBE)]
    found = [run(image=batch) for batch in _batches(content, images)]
    return [np.concatenate([outputs[name] for outputs in found]) for name in names]


def _error(expected: list[np.ndarray], received: list[np.ndarray]) -> float:
    """The root mean square of the errors of all probes, by their own deviations."""
    # What is the same everywhere, as of a dead layer, has no deviation.
    squares = [
        np.mean((one - other) ** 2) / max(np.var(one), np.finfo(np.float32).tiny)
        for one, other in zip(expected, received, strict=True)
    ]
    return float(np.sqrt(np.mean(squares)))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hides the quantiser's progress bars: the exporter says it better."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
