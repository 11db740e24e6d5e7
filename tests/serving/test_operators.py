"""What exported models say of their operations."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import decoders
from hrnet_tf.modeling import task_models
from hrnet_tf.serving import operators, tflite, tflite_operators
from hrnet_tf.serving.metadata import ModelError, parse
from hrnet_tf.serving.operators import Operators
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.predictors import load_predictor
from tests.serving.conftest import BACKBONES

SIDES = tf.TensorSpec([1, 4, 4, 2])


def converted(function, *kinds, optimize: bool = False) -> bytes:
    """A .tflite file of a function of SIDES; `kinds` besides TFLite's own."""
    graph = tf.function(function, input_signature=[SIDES]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, *kinds]
    converter.optimizations = [tf.lite.Optimize.DEFAULT] * optimize
    return converter.convert()


def test_operations_are_counted_by_kind():
    found = tflite_operators.of_content(
        converted(lambda x: tf.nn.softmax(tf.abs(tf.abs(x) * x) - 1.0))
    )
    assert found.kinds == {"ABS": 2, "MUL": 1, "SOFTMAX": 1, "SUB": 1}
    assert list(found.kinds)[0] == "ABS"
    assert found.custom == () and found.not_on_gpu == {} and found.in_8_bits == 0
    assert found.sentence() == "5 operations of 4 kinds, all built in; GPU: all"


def test_custom_ones_are_named():
    content = converted(tf.math.erf, tf.lite.OpsSet.SELECT_TF_OPS)
    found = tflite_operators.of_content(content)
    assert found.custom == ("FlexErf",) and found.not_on_gpu == {"FlexErf": 1}
    assert "not built in: FlexErf; GPU: all but 1 (FlexErf)" in found.sentence()


def test_gpus_take_four_fixed_dimensions():
    def five(x):
        return tf.transpose(tf.reshape(x, [1, 4, 2, 2, 2]), [0, 4, 2, 3, 1]) * 2.0

    found = tflite_operators.of_content(converted(five))
    assert set(found.not_on_gpu) == {"RESHAPE", "TRANSPOSE", "MUL"}
    found = tflite_operators.of_content(converted(lambda x: tf.where(x > 0.5)))
    assert set(found.not_on_gpu) == {"WHERE"}


def test_the_share_of_8_bits_is_of_multiply_adds():
    values = np.random.default_rng(0).normal(size=2048).astype(np.float32)

    def mixed(x):
        x = tf.nn.conv2d(x, values[:1152].reshape(3, 3, 2, 64), 1, "SAME")
        # Weights of fewer than 1024 numbers stay as they are.
        kernel = values[:576].reshape(3, 3, 64, 1)
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
        return tf.reshape(x, [1, 1024]) @ values.reshape(1024, 2)

    found = tflite_operators.of_content(converted(mixed))
    assert found.in_8_bits == 0 and found.multiply_adds_in_8_bits == 0
    found = tflite_operators.of_content(converted(mixed, optimize=True))
    conv, depthwise, dense = 16 * 1152, 16 * 576, 2048
    assert found.in_8_bits == 2
    assert found.multiply_adds_in_8_bits == pytest.approx(
        (conv + dense) / (conv + depthwise + dense), abs=1e-4
    )
    assert found.sentence().endswith("; 8-bit: 2, 69% of the multiply-adds")


@pytest.mark.parametrize(
    ("quantize", "backbone"),
    [*(("int8", backbone) for backbone in BACKBONES), ("float16", "hrnet")],
)
def test_8_bits_are_those_of_the_arithmetic(quantize, backbone, mobile_file):
    content = mobile_file(quantize, backbone=backbone)
    found = tflite_operators.of_content(content)
    # The head and what is around the network stay in float32.
    expected = (0.9, 1) if quantize == "int8" else (0, 0)
    assert expected[0] <= found.multiply_adds_in_8_bits <= expected[1]
    assert found.in_8_bits < sum(found.kinds.values()) - found.kinds["MUL"]


@pytest.mark.parametrize(
    "variant",
    # Lite-HRNet has hundreds of layers to make. The 8 bits of a small one are above.
    ["w18_small_v1", pytest.param("naive18", marks=pytest.mark.slow)],
)
def test_backbones_and_decoders_of_all_tasks_have_8_bits(variant):
    backbone = task_models.named_backbone(variant)
    pyramid = decoders.Decoder(type="hrnetv2p")
    detector = task_models.build_detection(backbone, pyramid)
    parts = [detector.backbone, detector.decoder]
    parts.append(task_models.build("pose", variant, 3).decoder)
    if variant == "w18_small_v1":
        parts[-1] = task_models.build("segmentation", variant, 3).decoder
    for part in parts:
        assert re.search(tflite.QUANTIZED_PART, f"a_model/{part.name}/conv/Conv2D;")
    assert not re.search(tflite.QUANTIZED_PART, "pose_model/head/conv/Conv2D;")


def test_a_saved_model_says_what_its_signatures_compute(saved_model_dir):
    found = load_predictor(str(saved_model_dir)).metadata.operators
    assert found.kinds["Conv2D"] > 3 and "Const" not in found.kinds
    assert found.custom == () and found.not_on_gpu is None
    assert found.sentence().endswith("kinds, all built in")


def test_a_tflite_file_says_it(tflite_file):
    found = load_predictor(str(tflite_file)).metadata.operators
    assert found == tflite_operators.of_content(tflite_file.read_bytes())
    assert found.kinds["CONV_2D"] > 3


def test_nodes_that_compute_nothing_are_not_counted():
    graph = tf.function(lambda x: tf.identity(tf.nn.relu(x) + 1.0))
    found = operators.of_graphs([graph.get_concrete_function(SIDES).graph] * 2)
    assert found.kinds == {"AddV2": 2, "Relu": 2}


def test_descriptions_without_them_are_read(build_module):
    _, metadata = build_module()
    assert "operators" not in metadata.to_dict()
    read = PoseMetadata.from_dict(parse(metadata.to_json(), "m"), "m")
    assert read.operators is None
    told = dataclasses.replace(metadata, operators=Operators({"ADD": 2}, ("A",)))
    read = PoseMetadata.from_dict(parse(told.to_json(), "m"), "m")
    assert read.operators == told.operators


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ([], "operators is \\[\\]; it must be an object"),
        ({}, "'?kinds'? is missing"),
        ({"kinds": {"ADD": "2"}}, "operators.kinds is .* a whole number for each kind"),
        ({"kinds": {}, "custom": "A"}, "operators.custom is 'A'; .* a list of texts"),
        ({"kinds": {}, "in_8_bits": 0.5}, "operators.in_8_bits is 0.5"),
        ({"kinds": {}, "other": 1}, "'?other'? is missing or unknown"),
    ],
)
def test_others_are_refused(operators, message, build_module):
    _, metadata = build_module()
    with pytest.raises(ModelError, match=message):
        PoseMetadata.from_dict({**metadata.to_dict(), "operators": operators}, "m")
