"""Converted networks answer as the official PyTorch code does."""

import numpy as np
import pytest
import tf_keras

from hrnet_tf.weights.conversion import load_pytorch_checkpoint

# The promise is 1e-4 of the output's standard deviation; what is reached is 4e-6.
TOLERANCE = 1e-5


def assert_equal_to_official(received, expected):
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, atol=TOLERANCE * np.std(expected))


def convert(official_network, **options):
    conversion = load_pytorch_checkpoint(official_network.path, **options)
    network = conversion.network
    # Every tensor found its variable, and every variable its tensor.
    assert set(network.variables) == set(official_names(official_network))
    assert len(network.variables) == len(network.model.variables)
    assert network.model_id == "custom" and conversion.left_out == []
    return network


def official_names(official_network) -> list[str]:
    names = official_network.weights
    for prefix in ("model.", "backbone.", "keypoint_head."):
        names = [name.removeprefix(prefix) for name in names]
    return names


def test_pose(official):
    expected = official("pose_hrnetv1_c4")
    network = convert(expected)
    assert network.task == "pose"
    heatmaps = network.model(expected.images, training=False)
    assert_equal_to_official(heatmaps, expected.outputs["heatmaps"])


def test_face(official):
    expected = official("face_hrnetv2_c4")
    network = convert(expected)
    assert network.task == "pose" and network.finds_faces
    heatmaps = network.model(expected.images, training=False)
    assert_equal_to_official(heatmaps, expected.outputs["heatmaps"])


def test_classification(official):
    expected = official("cls_hrnet_c4")
    network = convert(expected)
    assert network.task == "classification"
    backbone = network.parts["backbone"]
    branches = tf_keras.Model(
        backbone.input, backbone.get_layer("stage4_module1").output
    )
    for number, branch in enumerate(branches(expected.images, training=False)):
        assert_equal_to_official(branch, expected.outputs[f"branch{number}"])
    logits = network.model(expected.images, training=False)
    assert_equal_to_official(logits, expected.outputs["logits"])


@pytest.mark.parametrize("align_corners", [False, True])
def test_segmentation(align_corners, official):
    name = f"seg_hrnetv2_c4_align_{str(align_corners).lower()}"
    expected = official(name)
    network = convert(expected, align_corners=align_corners)
    assert network.task == "segmentation"
    logits = network.model(expected.images, training=False)["logits"]
    assert_equal_to_official(logits, expected.outputs["logits"])


def test_aligned_corners_make_a_difference(official):
    expected = official("seg_hrnetv2_c4_align_true")
    network = convert(expected)  # Without, unless told.
    logits = network.model(expected.images, training=False)["logits"]
    difference = np.abs(logits - expected.outputs["logits"])
    assert np.max(difference) > 0.05 * np.std(expected.outputs["logits"])


def test_ocr(official):
    expected = official("seg_hrnetv2_ocr_c4_align_true")
    network = convert(expected)  # Aligned corners, unless told.
    assert network.task == "segmentation"
    logits = network.model(expected.images, training=False)["logits"]
    assert_equal_to_official(logits, expected.outputs["logits"])
    endpoints = network.parts["backbone"](expected.images, training=False)
    features = network.parts["decoder"](endpoints, training=False)
    auxiliary_logits = features["auxiliary_logits"]
    assert_equal_to_official(auxiliary_logits, expected.outputs["aux_logits"])


def test_detection(official):
    expected = official("det_hrnetv2p_c4")
    network = convert(expected)
    assert network.task == "detection"
    pyramid = network.model(expected.images, training=False)
    assert sorted(pyramid) == ["2", "3", "4", "5", "6"]
    for level, features in pyramid.items():
        assert_equal_to_official(features, expected.outputs[f"level{level}"])


@pytest.mark.parametrize(
    "name, block, reduction",
    [("litehrnet_c8", "lite", 4), ("litehrnet_naive_c8", "naive", 8)],
)
def test_lite_pose(name, block, reduction, official):
    expected = official(name)
    network = convert(expected)
    assert network.task == "pose"
    heatmaps = network.model(expected.images, training=False)
    assert_equal_to_official(heatmaps, expected.outputs["heatmaps"])
    backbone = network.config["backbone"]
    assert backbone["type"] == network.config["decoder"]["type"] == "litehrnet"
    custom = {"width": 8, "modules": [1, 2, 1], "blocks": 2, "stem_width": 8}
    assert backbone["litehrnet"]["custom"] == {
        **custom,
        "block": block,
        "reduction": reduction,
    }
