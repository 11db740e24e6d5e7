"""Networks and exported models as files of other engines.

Each engine is imported where it is used: benchmarks/inference.py asks first whether it
is installed.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import exported
import measuring
import numpy as np

# The float32 networks, which files of other formats are made from.
ONNX, OPENVINO, NCNN = "fp32.onnx", "fp32.xml", "fp32.ncnn.param"


def write_random(
    folder: str, variant: str, size: list[int], files: list[str]
) -> measuring.Work:
    """Writes a random network as these files, and the heatmaps to expect of it.

    What an engine's converter refuses is left out, and named.
    """
    import tensorflow as tf

    module = exported.random_module(variant, size)
    folders = [name for name in exported.SAVED_MODELS if f"{name}/1" in files]
    quantizations = [name[:-7] for name in files if name.endswith(".tflite")]
    exported.write(module, folder, size, folders + quantizations)
    crops = exported.random_crops(exported.CALIBRATION_CROPS, size)
    expected = module.predict_heatmaps(tf.constant(crops[:1])).numpy()
    np.save(os.path.join(folder, "expected.npy"), expected)
    network = tf.function(
        lambda images: {"heatmaps": module._network(images)},
        input_signature=[tf.TensorSpec([None, *size, 3], tf.float32, "images")],
        autograph=False,
    )
    images = exported.normalized(crops)
    for suffix, write in {
        ".onnx": lambda: write_onnx(
            network, folder, images if "int8.onnx" in files else None
        ),
        ".xml": lambda: write_openvino(
            network, folder, images if "int8.xml" in files else None
        ),
        ".param": lambda: write_ncnn(network, folder),
    }.items():
        wanted = [name for name in files if name.endswith(suffix)]
        try:
            if wanted:
                write()
        # Whatever a converter raises: others can be measured all the same.
        except Exception as error:
            missing = [n for n in wanted if not os.path.exists(f"{folder}/{n}")]
            names = ", ".join(missing)
            print(f"{measuring.LEFT_OUT}: {names}: {error}", file=sys.stderr)
    return lambda: None


def write_onnx(network: Any, folder: str, images: np.ndarray | None) -> None:
    """Writes fp32.onnx and, with images to calibrate with, int8.onnx."""
    import onnxruntime
    import tf2onnx
    from onnxruntime import quantization

    # Without warnings about each resize.
    onnxruntime.set_default_logger_severity(3)
    path = os.path.join(folder, ONNX)
    tf2onnx.convert.from_function(
        network, network.input_signature, opset=17, output_path=path
    )
    if images is None:
        return

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._rest, None)
            return None if image is None else {"images": image[np.newaxis]}

    shaped = os.path.join(folder, "shaped.onnx")
    quantization.quant_pre_process(path, shaped, skip_symbolic_shape=True)
    quantized = os.path.join(folder, "int8.onnx")
    quantization.quantize_static(shaped, quantized, Reader(), per_channel=True)


def write_openvino(network: Any, folder: str, images: np.ndarray | None) -> None:
    """Writes fp32.xml and, with images to calibrate with, int8.xml."""
    import nncf
    import openvino
    import tensorflow as tf

    path = os.path.join(folder, "network")
    tf.saved_model.save(tf.Module(), path, {"serving_default": network})
    model = openvino.convert_model(path)
    openvino.save_model(model, os.path.join(folder, OPENVINO), compress_to_fp16=False)
    if images is None:
        return
    batches = [image[np.newaxis] for image in images]
    quantized = nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches))
    openvino.save_model(
        quantized, os.path.join(folder, "int8.xml"), compress_to_fp16=False
    )


def write_ncnn(network: Any, folder: str) -> None:
    """Writes fp32.ncnn.param and fp32.ncnn.bin, for one image at a time."""
    import ncnn
    import pnnx

    path = os.path.join(folder, ONNX)
    if not os.path.exists(path):
        write_onnx(network, folder, None)
    shape = [1, *network.input_signature[0].shape[1:]]
    shapes = f"inputshape=[{','.join(map(str, shape))}]f32"
    read = os.path.join(folder, "for_pnnx.onnx")
    _write_for_pnnx(path, read)
    written = [f"ncnnparam={NCNN}", f"ncnnbin={NCNN.replace('.param', '.bin')}"]
    subprocess.run(
        [pnnx.EXEC_PATH, read, shapes, "fp16=0", *written],
        check=True,
        cwd=folder,
        capture_output=True,
    )
    if ncnn.Net().load_param(os.path.join(folder, NCNN)):
        os.remove(os.path.join(folder, NCNN))
        raise RuntimeError("ncnn has not all operations that pnnx wrote.")


def _write_for_pnnx(path: str, written: str) -> None:
    """Writes an ONNX file again as pnnx can read it.

    Padding becomes the convolutions' own, as far as ONNX Runtime sees how. pnnx wants
    the sizes of a split's parts, and of a resize the way of rounding that PyTorch
    writes, even of a linear one, which rounds nothing.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    )
    options.optimized_model_filepath = written
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    model = onnx.shape_inference.infer_shapes(onnx.load(written))
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Resize" and attributes["mode"].s == b"linear":
            attributes["nearest_mode"].s = b"floor"
        if node.op_type == "Split" and len(node.input) == 1:
            sizes = [shapes[part][attributes["axis"].i] for part in node.output]
            name = f"{node.output[0]}/sizes"
            model.graph.initializer.append(
                onnx.numpy_helper.from_array(np.array(sizes, np.int64), name)
            )
            node.input.append(name)
    onnx.save(model, written)


def write_graph(model: str, folder: str, engine: str) -> measuring.Work:
    """Writes the graph of a model's file for another engine."""
    if model.endswith(".tflite"):
        source, function = model, None
    else:
        source, function = os.path.join(folder, "graph"), graph_of(model)
    if engine == "onnx":
        import tf2onnx

        path = os.path.join(folder, "given.onnx")
        if function is None:
            tf2onnx.convert.from_tflite(source, opset=17, output_path=path)
        else:
            tf2onnx.convert.from_function(
                function, function.input_signature, opset=17, output_path=path
            )
    else:
        import openvino
        import tensorflow as tf

        if function is not None:
            tf.saved_model.save(tf.Module(), source, {"serving_default": function})
        path = os.path.join(folder, "given.xml")
        openvino.save_model(
            openvino.convert_model(source), path, compress_to_fp16=False
        )
    return lambda: None


def graph_of(model: str) -> Any:
    """A SavedModel's function of images alone."""
    import tensorflow as tf

    from hrnet_tf.serving.loading import load_model

    loaded = load_model(model)
    signature, name = signature_of(loaded.signatures)
    spec = signature.structured_input_signature[1][name]
    function = tf.function(
        lambda images: signature(**{name: images}), input_signature=[spec]
    )
    function.loaded = loaded  # Without it the signature loses its constants.
    return function


def signature_of(signatures: Mapping[str, Any]) -> tuple[Any, str]:
    """The signature that takes pixels and nothing else, and its input's name."""
    for key in ("crops", "image"):
        if key in signatures:
            inputs = signatures[key].structured_input_signature[1]
            if len(inputs) == 1:
                return signatures[key], next(iter(inputs))
    raise SystemExit("The model has no signature that takes pixels alone.")
