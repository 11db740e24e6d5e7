import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.serving import tflite, tflite_metadata
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.tensors import TensorType
from tests.serving.conftest import CROPS


def run(content: bytes, crop: np.ndarray) -> dict[str, np.ndarray]:
    interpreter = Interpreter(model_content=content, num_threads=1)
    return interpreter.get_signature_runner()(image=crop[np.newaxis])


@pytest.mark.parametrize(
    ("codec", "flip_test"), [("msra", False), ("dark", False), ("udp", True)]
)
def test_keypoints_are_shares_of_the_crop(codec, flip_test, build_module, mobile_file):
    module, _ = build_module(codec, flip_test)
    outputs = run(mobile_file("none", False, codec, flip_test), CROPS[0])
    assert list(outputs) == ["keypoints"]
    expected = module.predict_crops(CROPS[:1])["keypoints"][0].numpy()
    keypoints = outputs["keypoints"][0] * [32, 64, 1]
    # In a random network two pixels may be all but equal peaks.
    assert (np.abs(keypoints - expected).max(axis=-1) < 1e-2).mean() > 0.9
    np.testing.assert_allclose(keypoints[:, 2], expected[:, 2], atol=1e-4)


@pytest.mark.parametrize(
    ("quantize", "error", "share_of_bytes"),
    [("float16", 0.02, 0.8), ("dynamic", 0.2, 0.7), ("int8", 0.3, 0.7)],
)
def test_quantised_heatmaps_are_close(quantize, error, share_of_bytes, mobile_file):
    whole, small = mobile_file(), mobile_file(quantize)
    assert len(small) < share_of_bytes * len(whole)
    expected = run(whole, CROPS[0])["heatmaps"]
    maps = run(small, CROPS[0])["heatmaps"]
    assert maps.shape == (1, 16, 8, 17)
    assert 0 < np.abs(maps - expected).mean() < error * expected.std()


def test_int8_computes_with_8_bits_up_to_the_head(mobile_file):
    interpreter = Interpreter(model_content=mobile_file("int8"))
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    assert image["dtype"] == np.uint8
    outputs = {
        operation["op_name"]: set()
        for operation in interpreter._get_ops_details()
        if operation["op_name"] != "DELEGATE"
    }
    for operation in interpreter._get_ops_details():
        for tensor in operation["outputs"]:
            dtype = interpreter._get_tensor_details(tensor, 0)["dtype"]
            outputs.setdefault(operation["op_name"], set()).add(dtype)
    assert outputs["PAD"] == {np.int8}
    assert np.int8 in outputs["CONCATENATION"]  # Also used in decoding.
    assert "ADD_N" not in outputs
    in_float = [
        operation
        for operation in interpreter._get_ops_details()
        if operation["op_name"] == "CONV_2D"
        and interpreter._get_tensor_details(operation["outputs"][0], 0)["dtype"]
        == np.float32
    ]
    assert len(in_float) == 1  # The head.


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_file_says_what_it_takes_and_returns(quantize, mobile_file):
    content = mobile_file(quantize)
    description = tflite_metadata.read_description(content, "model")
    told = PoseMetadata.from_dict(description, "model").file_tensors
    runner = Interpreter(model_content=content).get_signature_runner()
    for tensors, details in (
        (told.inputs, runner.get_input_details()),
        (told.outputs, runner.get_output_details()),
    ):
        assert tensors == {
            name: TensorType(tensor["shape"].tolist(), np.dtype(tensor["dtype"]).name)
            for name, tensor in details.items()
        }
    assert set(told.outputs) == {"keypoints", "heatmaps"}


def test_mistakes_are_named(build_module):
    with pytest.raises(ValueError, match="'int4'; it must be one of none, float16"):
        tflite.convert(*build_module(), "int4")
    with pytest.raises(ValueError, match="int8 needs images"):
        tflite.convert(*build_module(), "int8")
