import re

import numpy as np
import pytest
import safetensors.numpy

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.weights.conversion import load_pytorch_checkpoint, write_checkpoint
from hrnet_tf.weights.errors import WeightsError
from hrnet_tf.weights.official_names import (
    find_task,
    is_openmmlab,
    to_official_names,
)


def rename(weights, rules):
    """The weights under other names; every rule must have something to do."""
    renamed = {}
    unused = set(rules)
    for name, tensor in weights.items():
        for pattern, replacement in rules.items():
            name, count = re.subn(pattern, replacement, name)
            if count:
                unused.discard(pattern)
        renamed[name] = tensor
    assert not unused
    return renamed


BODY = r"^(conv\d\.|bn\d\.|layer1|transition|stage)"
IN_BACKBONE = {BODY: r"backbone.\1"}
OFFICIAL_PREFIX = {r"^model\.": ""}

# How mmsegmentation calls the parts of the OCR head.
MMSEG_ATTENTION = {
    rf"^ocr_distri_head\.object_context_block\.{official}\.{place}\.": (
        f"decode_head.1.object_context_block.{theirs}."
    )
    for official, place, theirs in (
        ("f_pixel", "0", "query_project.0.conv"),
        ("f_pixel", r"1\.0", "query_project.0.bn"),
        ("f_pixel", "2", "query_project.1.conv"),
        ("f_pixel", r"3\.0", "query_project.1.bn"),
        ("f_object", "0", "key_project.0.conv"),
        ("f_object", r"1\.0", "key_project.0.bn"),
        ("f_object", "2", "key_project.1.conv"),
        ("f_object", r"3\.0", "key_project.1.bn"),
        ("f_down", "0", "value_project.conv"),
        ("f_down", r"1\.0", "value_project.bn"),
        ("f_up", "0", "out_project.conv"),
        ("f_up", r"1\.0", "out_project.bn"),
    )
}

# Publisher, official network, what is renamed.
STYLES = {
    "DataParallel": ("pose_hrnetv1_c4", {r"^": "module."}),
    "mmpose 0.x": (
        "pose_hrnetv1_c4",
        IN_BACKBONE | {r"^final_layer": "keypoint_head.final_layer"},
    ),
    "mmpose 1.x": (
        "pose_hrnetv1_c4",
        IN_BACKBONE | {r"^final_layer": "head.final_layer"},
    ),
    "mmpose 0.x, faces": (
        "face_hrnetv2_c4",
        IN_BACKBONE | {r"^head\.": "keypoint_head.final_layer."},
    ),
    "mmpose 1.x, faces": (
        "face_hrnetv2_c4",
        IN_BACKBONE
        | {
            r"^head\.([01])\.": r"head.conv_layers.\1.",
            r"^head\.3\.": "head.final_layer.",
        },
    ),
    "mmpose 0.x, Lite-HRNet": ("litehrnet_c8", {}),
    "mmpose 1.x, Lite-HRNet": (
        "litehrnet_naive_c8",
        {r"^keypoint_head\.final_layer": "head.final_layer"},
    ),
    "mmpose, wrapped": ("litehrnet_c8", {r"^": "model."}),
    "mmdetection": (
        "det_hrnetv2p_c4",
        {
            r"^neck\.reduction_conv\.0\.": "neck.reduction_conv.conv.",
            r"^neck\.fpn_conv\.(\d)\.": r"neck.fpn_conv.\1.conv.",
        },
    ),
    "mmsegmentation": (
        "seg_hrnetv2_c4_align_false",
        OFFICIAL_PREFIX
        | IN_BACKBONE
        | {
            r"^last_layer\.0\.": "decode_head.convs.0.conv.",
            r"^last_layer\.1\.": "decode_head.convs.0.bn.",
            r"^last_layer\.3\.": "decode_head.conv_seg.",
        },
    ),
    "mmsegmentation, OCR": (
        "seg_hrnetv2_ocr_c4_align_true",
        OFFICIAL_PREFIX
        | IN_BACKBONE
        | MMSEG_ATTENTION
        | {
            r"^aux_head\.0\.": "decode_head.0.convs.0.conv.",
            r"^aux_head\.1\.": "decode_head.0.convs.0.bn.",
            r"^aux_head\.3\.": "decode_head.0.conv_seg.",
            r"^conv3x3_ocr\.0\.": "decode_head.1.bottleneck.conv.",
            r"^conv3x3_ocr\.1\.": "decode_head.1.bottleneck.bn.",
            r"^ocr_distri_head\.conv_bn_dropout\.0\.": (
                "decode_head.1.object_context_block.bottleneck.conv."
            ),
            r"^ocr_distri_head\.conv_bn_dropout\.1\.0\.": (
                "decode_head.1.object_context_block.bottleneck.bn."
            ),
            r"^cls_head\.": "decode_head.1.conv_seg.",
        },
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_publishers_names_become_the_official_ones(style, official):
    name, rules = STYLES[style]
    weights = official(name).weights
    renamed = to_official_names(rename(weights, rules))
    expected = to_official_names(weights)
    assert set(renamed) == set(expected)
    assert all(renamed[key] is expected[key] for key in expected)
    assert is_openmmlab(rename(weights, rules)) == style.startswith("mm")


@pytest.mark.parametrize(
    "name, task",
    [
        ("pose_hrnetv1_c4", "pose"),
        ("cls_hrnet_c4", "classification"),
        ("seg_hrnetv2_c4_align_false", "segmentation"),
        ("seg_hrnetv2_ocr_c4_align_true", "segmentation"),
        ("det_hrnetv2p_c4", "detection"),
        ("litehrnet_c8", "pose"),
        ("face_hrnetv2_c4", "pose"),
    ],
)
def test_the_task_shows_in_the_tensors(name, task, official):
    assert find_task(to_official_names(official(name).weights)) == task


def test_another_network_with_a_conv1_is_none():
    assert to_official_names({"conv1.weight": 0, "layer1.0.conv1.weight": 0}) is None


@pytest.mark.parametrize(
    "style, biases",
    [
        ("mmsegmentation", ["last_layer.0.bias"]),
        ("mmsegmentation, OCR", ["aux_head.0.bias", "conv3x3_ocr.0.bias"]),
    ],
)
def test_mmsegmentation_has_no_biases_before_norms(style, biases, official, tmp_path):
    name, rules = STYLES[style]
    weights = {
        key: tensor
        for key, tensor in rename(official(name).weights, rules).items()
        if not re.search(r"\.(convs\.0|bottleneck)\.conv\.bias$", key)
    }
    path = str(tmp_path / "mm.safetensors")
    safetensors.numpy.save_file(weights, path)
    conversion = load_pytorch_checkpoint(path)
    for bias in biases:
        np.testing.assert_array_equal(conversion.network.variables[bias], 0.0)
    assert any(f"without the biases {biases[0]}" in note for note in conversion.notes)
    decoder = conversion.network.config["decoder"]
    assert decoder[decoder["type"]]["upsampling"] == "bilinear"


@pytest.mark.parametrize("style", ["official", "mmpose 0.x, faces"])
def test_faces_are_decoded_as_their_publisher_does(style, official, tmp_path):
    name, rules = STYLES.get(style, ("face_hrnetv2_c4", {}))
    path = str(tmp_path / "face.safetensors")
    safetensors.numpy.save_file(rename(official(name).weights, rules), path)
    prefix = str(tmp_path / "ckpt")
    write_checkpoint(load_pytorch_checkpoint(path), prefix)
    task = parse_config("hrnet_pose_coco", [f"{prefix}.yaml"]).task
    is_official = style == "official"
    assert task.codec.name == ("msra_floor" if is_official else "msra")
    assert task.evaluation.flip_test is not is_official
    assert task.model.input_size == [256, 256]
    assert task.model.decoder.type == "hrnetv2"
    hrnet = task.model.backbone.hrnet
    assert hrnet.multi_scale_output and hrnet.fuse_upsampling == "bilinear"


def test_half_a_network_of_faces_is_refused(official, tmp_path):
    weights = official("face_hrnetv2_c4").weights
    path = str(tmp_path / "face.safetensors")
    left = {
        name: value
        for name, value in weights.items()
        if not name.startswith("stage4.0.fuse_layers.1.")
    }
    safetensors.numpy.save_file(left, path)
    with pytest.raises(WeightsError, match="face networks need all branches"):
        load_pytorch_checkpoint(path)


def test_timm_publishes_classification_without_biases_too(official, tmp_path):
    expected = official("cls_hrnet_c4")
    biases = [
        *(f"downsamp_modules.{number}.0.bias" for number in range(3)),
        "final_layer.0.bias",
    ]
    path = str(tmp_path / "ssld.safetensors")
    safetensors.numpy.save_file(
        {key: value for key, value in expected.weights.items() if key not in biases},
        path,
    )
    conversion = load_pytorch_checkpoint(path)
    for bias in biases:
        np.testing.assert_array_equal(conversion.network.variables[bias], 0.0)
    assert conversion.left_out == []
