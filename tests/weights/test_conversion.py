import os

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import tf_keras
import yaml

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import backbones
from hrnet_tf.modeling.hrnet import HRNet
from hrnet_tf.modeling.litehrnet import LiteHRNet
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.weights import conversion as conversion_module
from hrnet_tf.weights import official_layout, restoring
from hrnet_tf.weights.conversion import load_pytorch_checkpoint, write_checkpoint
from hrnet_tf.weights.errors import WeightsError

POSE = "pose_hrnetv1_c4"


@pytest.fixture
def changed(official, tmp_path):
    """Writes an official network's weights with some changed; None leaves one out."""

    def write(changes, name=POSE) -> str:
        weights = {**official(name).weights, **changes}
        weights = {key: value for key, value in weights.items() if value is not None}
        path = str(tmp_path / "changed.safetensors")
        safetensors.numpy.save_file(weights, path)
        return path

    return write


# ---- what does not fit is refused ----


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"bn2.bias": None}, "1 tensor missing: 'bn2.bias'"),
        (
            {f"stage4.1.branches.3.0.bn1.{part}": None for part in ("weight", "bias")},
            "2 tensors missing: 'stage4.1.branches.3.0.bn1.weight', 'stage4.1",
        ),
        (
            {f"extra{number}": np.zeros(1, np.float32) for number in range(5)},
            "5 tensors unexpected: 'extra0', 'extra1', 'extra2' and 2 more",
        ),
        (
            {"transition1.0.0.weight": np.zeros([4, 255, 3, 3], np.float32)},
            r"'transition1.0.0.weight' is [4, 255, 3, 3] instead of [4, 256, 3, 3]",
        ),
        ({"": np.zeros(1, np.float32)}, "1 tensor unexpected: ''. Nothing"),
        ({"k" * 99: np.zeros(1, np.float32)}, f"unexpected: '{'k' * 76}.... Nothing"),
    ],
    ids=["one missing", "two", "unexpected", "another shape", "no name", "long name"],
)
def test_tensors_that_do_not_fit_are_named(changes, sentence, changed):
    path = changed(changes)
    with pytest.raises(WeightsError) as error:
        load_pytorch_checkpoint(path)
    assert sentence in str(error.value)
    assert str(error.value).startswith(path)
    assert "--allow_partial" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["conv1.weight", "stage4.1.branches.3.0.bn1.bias"])
def test_weights_of_whole_numbers_are_named(name, changed, official):
    path = changed({name: np.ones_like(official(POSE).weights[name], np.int8)})
    with pytest.raises(
        WeightsError, match=f"1 tensor of another type: '{name}' is int8 instead of"
    ) as error:
        load_pytorch_checkpoint(path)
    assert "quantized ones with tensor.dequantize()" in str(error.value)
    assert "--allow_partial" not in str(error.value)


def test_what_training_counts_is_left_out_and_tables_are_said(changed):
    changes = {"epoch": np.array(3), "table": np.arange(3)}
    conversion = load_pytorch_checkpoint(changed(changes))
    assert conversion.left_out == []
    assert "Left out as no part of the network: 'table'." in conversion.notes


@pytest.mark.parametrize("allow_partial", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e6])
def test_weights_that_are_no_numbers_are_named(value, allow_partial, changed, official):
    kernel = official(POSE).weights["conv1.weight"].copy()
    kernel[0, 1, :, 2] = value
    path = changed({"conv1.weight": kernel, "bn2.bias": np.full(64, value, np.float32)})
    with pytest.raises(WeightsError) as error:
        load_pytorch_checkpoint(path, allow_partial=allow_partial)
    assert str(error.value).startswith(
        f"{path} has weights that no trained network has (NaN or infinite, beyond "
        "1,000,000, or negative variances) in conv1.weight (3 of 1728 numbers), "
        "bn2.bias (64 of 64 numbers); nothing was written"
    )


@pytest.mark.parametrize("variance", [-0.5, 2e12])
def test_variances_that_are_none_are_named(variance, changed):
    path = changed({"bn2.running_var": np.full(64, variance, np.float32)})
    with pytest.raises(WeightsError, match=r"bn2\.running_var \(64 of 64 numbers\)"):
        load_pytorch_checkpoint(path)


def test_large_variances_are_taken(changed):
    path = changed({"bn2.running_var": np.full(64, 9e11, np.float32)})
    assert load_pytorch_checkpoint(path).left_out == []


def test_weights_that_are_not_taken_may_be_anything(changed):
    path = changed({"final_layer.bias": np.full(17, np.nan, np.float32)})
    assert load_pytorch_checkpoint(path, "backbone").left_out == []


@pytest.mark.parametrize("fault", ["missing: ", "NaN or infinite"])
def test_averages_that_do_not_fit_advise_to_take_the_model_s_own(
    fault, official, tmp_path
):
    own = official(POSE).weights
    averages = {f"state_dict_ema.{name}": value for name, value in own.items()}
    if fault == "missing: ":
        del averages["state_dict_ema.bn1.running_mean"]
    else:
        averages["state_dict_ema.bn1.bias"] = np.full(64, np.nan, np.float32)
    path = str(tmp_path / "both.safetensors")
    own = {f"state_dict.{name}": value for name, value in own.items()}
    safetensors.numpy.save_file(own | averages, path)
    with pytest.raises(WeightsError, match=f"{fault}.*--state=model takes the model"):
        load_pytorch_checkpoint(path)
    assert load_pytorch_checkpoint(path, state="model").left_out == []


def test_an_allowed_partial_load_takes_what_fits(changed, official):
    path = changed(
        {
            "bn2.bias": None,
            "extra": np.zeros(1, np.float32),
            "bn1.bias": np.zeros(63, np.float32),
        }
    )
    conversion = load_pytorch_checkpoint(path, allow_partial=True)
    assert conversion.left_out == [
        "1 tensor missing: 'bn2.bias'",
        "1 tensor unexpected: 'extra'",
        "1 tensor of another shape: 'bn1.bias' is [63] instead of [64]",
    ]
    variables = conversion.network.variables
    # An offset without a tensor keeps what it is drawn with.
    np.testing.assert_array_equal(variables["bn2.bias"], np.zeros(64))
    np.testing.assert_array_equal(variables["bn1.bias"], np.zeros(64))
    weights = official(POSE).weights
    np.testing.assert_array_equal(variables["bn1.weight"], weights["bn1.weight"])


@pytest.mark.parametrize("name", ["stage2.0.branches.0.0.conv1.weight", "conv1.weight"])
def test_what_is_no_hrnet_is_refused(name, changed):
    with pytest.raises(WeightsError, match="is not of an HRNet.*It begins with 'bn1"):
        load_pytorch_checkpoint(changed({name: None}))


def test_without_what_decides_a_size_there_is_a_sentence(changed):
    path = changed({"layer1.0.conv1.weight": None})
    with pytest.raises(WeightsError, match="tensor layer1.0.conv1.weight is missing"):
        load_pytorch_checkpoint(path)


@pytest.mark.parametrize(
    "name",
    ["conv1", "stage2.0.branches.0.0.conv1", "layer1.0.conv1", "final_layer"],
)
@pytest.mark.parametrize(
    "shape", [[], [0], [0, 3, 3, 3], [4, 3], [4, 4, 0, 0], [17, 4, 1, 1, 1]]
)
def test_tensors_of_odd_shapes_decide_no_sizes(name, shape, changed):
    name = f"{name}.weight"
    path = changed({name: np.zeros(shape, np.float32)})
    sentence = rf"The tensor {name} is \[.*must have 4 dimensions, none of them 0"
    with pytest.raises(WeightsError, match=sentence):
        load_pytorch_checkpoint(path)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"stage2.0.branches.0.0.conv1.weight": [5000, 1, 1, 1]}, "too wide for a net"),
        ({"final_layer.weight": [2**17, 1, 1, 1]}, "may have at most 65536 filters"),
        ({"final_layer.weight": [1, 1, 3000, 1]}, "has a kernel 3000 high"),
        ({f"stage2.{n}.x": [1] for n in range(99)}, r"stage2.NUMBER.* of 99 numbers"),
        (
            {f"neck.fpn_conv.{n}.weight": [1] for n in range(99)}
            | {"neck.reduction_conv.0.weight": [4, 4, 1, 1]},
            "detection networks need all branches",
        ),
        ({"classifier.weight": [10, 9]}, "classification networks need all branches"),
    ],
)
def test_networks_that_no_machine_could_build_are_refused(changes, sentence, changed):
    drawn = {name: np.zeros(shape, np.float32) for name, shape in changes.items()}
    with pytest.raises(WeightsError, match=sentence):
        load_pytorch_checkpoint(changed(drawn))


def test_half_a_head_is_not_taken_for_a_body(changed):
    path = changed({"final_layer.weight": None})
    with pytest.raises(WeightsError, match="1 tensor unexpected: 'final_layer.bias'"):
        load_pytorch_checkpoint(path)
    assert load_pytorch_checkpoint(path, "backbone").left_out == []


# ---- task and variant ----


def test_another_task_is_refused(official):
    with pytest.raises(WeightsError, match="of a pose network, not of a segmentation"):
        load_pytorch_checkpoint(official(POSE).path, "segmentation")


def test_a_body_without_a_head_is_called_so(changed):
    path = changed({"final_layer.weight": None, "final_layer.bias": None})
    with pytest.raises(WeightsError, match="a body without the head") as error:
        load_pytorch_checkpoint(path, "pose")
    assert str(error.value).count("--task=backbone") == 1


def test_the_body_of_any_network_can_be_taken(official):
    expected = official("cls_hrnet_c4")
    conversion = load_pytorch_checkpoint(expected.path, "backbone")
    endpoints = conversion.network.model(expected.images, training=False)
    for level, features in endpoints.items():
        branch = expected.outputs[f"branch{int(level) - 2}"]
        np.testing.assert_allclose(features, branch, atol=1e-5 * np.std(branch))
    assert any(
        "Left out as no part of the network: 'classifier" in note
        for note in conversion.notes
    )
    assert not any(
        name.startswith("classifier") for name in conversion.network.variables
    )


@pytest.fixture(scope="module")
def w18_small_v1(tmp_path_factory) -> str:
    """A file with the tensors of a published variant's body."""
    body = HRNet(backbones.VARIANTS["w18_small_v1"])
    tensors = {
        name: np.ones(official_layout.official_shape(variable), np.float32)
        for name, variable in official_layout.backbone_variables(body)
    }
    path = str(tmp_path_factory.mktemp("variant") / "w18_small_v1.safetensors")
    safetensors.numpy.save_file(tensors, path)
    return path


@pytest.mark.parametrize("model_id", [None, "w18_small_v1"])
def test_the_variant_is_found_out(model_id, w18_small_v1):
    conversion = load_pytorch_checkpoint(w18_small_v1, model_id=model_id)
    assert conversion.network.task == "backbone"
    assert conversion.network.model_id == "w18_small_v1"
    assert conversion.network.config["backbone"]["hrnet"]["model_id"] == "w18_small_v1"


def test_another_variant_is_refused(w18_small_v1):
    with pytest.raises(
        WeightsError,
        match=r"not of w18 but of w18_small_v1: .* 16 wide, with \[1, 1, 1\] modules",
    ):
        load_pytorch_checkpoint(w18_small_v1, model_id="w18")


def test_an_unknown_variant_is_refused(w18_small_v1):
    with pytest.raises(WeightsError, match="'w19'; it must be one of w18_small_v1"):
        load_pytorch_checkpoint(w18_small_v1, model_id="w19")


# ---- InPlaceABN, and what training leaves in a file ----


def test_inplace_abn_takes_the_absolute_scale(changed, official):
    scale = np.linspace(-1, 1, 64).astype(np.float32)
    path = changed({"bn1.weight": scale})
    conversion = load_pytorch_checkpoint(path, inplace_abn=True)
    variables, weights = conversion.network.variables, official(POSE).weights
    np.testing.assert_array_equal(variables["bn1.weight"], np.abs(scale) + 1e-5)
    # Scales only: not offsets, and not kernels.
    np.testing.assert_array_equal(variables["bn1.bias"], weights["bn1.bias"])
    kernel = weights["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(variables["conv1.weight"], kernel)
    plain = load_pytorch_checkpoint(path).network.variables
    np.testing.assert_array_equal(plain["bn1.weight"], scale)


def test_class_weights_of_the_loss_are_left_out_and_said(changed):
    path = changed(
        {"loss.criterion.weight": np.ones(19, np.float32)},
        "seg_hrnetv2_c4_align_false",
    )
    conversion = load_pytorch_checkpoint(path)
    assert conversion.left_out == []
    assert any("loss.criterion.weight" in note for note in conversion.notes)


# ---- the checkpoint that is written ----


def test_the_checkpoint_holds_the_weights(official, tmp_path):
    conversion = load_pytorch_checkpoint(official(POSE).path)
    write_checkpoint(conversion, str(tmp_path / "new" / "ckpt"))
    files = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert files == ["ckpt.data-00000-of-00001", "ckpt.index", "ckpt.yaml"]
    fresh = load_pytorch_checkpoint(official(POSE).path).network
    for variable in fresh.variables.values():
        variable.assign(tf.zeros_like(variable))
    restoring.load_modules(fresh.model, str(tmp_path / "new" / "ckpt"))
    expected = official(POSE)
    heatmaps = fresh.model(expected.images, training=False)
    expected_heatmaps = expected.outputs["heatmaps"]
    np.testing.assert_allclose(heatmaps, expected_heatmaps, atol=1e-3)


def test_a_checkpoint_that_reads_back_otherwise_is_not_left(
    official, tmp_path, monkeypatch
):
    class Forgetful(tf.train.Checkpoint):
        def write(self, *arguments, **options):
            self.backbone.get_layer("stem_conv1").norm.beta.assign(tf.zeros([64]))
            return super().write(*arguments, **options)

    conversion = load_pytorch_checkpoint(official(POSE).path)
    read_back = conversion.network.variables["bn1.bias"]
    held = read_back.numpy()
    real_verify = conversion_module._verify

    def verify(path, network):
        read_back.assign(held)
        real_verify(path, network)

    monkeypatch.setattr(conversion_module.tf.train, "Checkpoint", Forgetful)
    monkeypatch.setattr(conversion_module, "_verify", verify)
    with pytest.raises(WeightsError, match="read back has another bn1.bias"):
        write_checkpoint(conversion, str(tmp_path / "new" / "ckpt"))
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    "name, experiment",
    [
        (POSE, "hrnet_pose_coco"),
        # Each builds two networks.
        pytest.param("face_hrnetv2_c4", "hrnet_face_wflw", marks=pytest.mark.heavy),
        pytest.param("cls_hrnet_c4", "hrnet_imagenet", marks=pytest.mark.slow),
    ],
)
def test_the_yaml_configures_an_experiment_that_takes_the_checkpoint(
    name, experiment, official, tmp_path
):
    expected = official(name)
    prefix = str(tmp_path / "ckpt")
    write_checkpoint(load_pytorch_checkpoint(expected.path), prefix)
    config = parse_config(experiment, [f"{prefix}.yaml"])
    assert config.task.init_checkpoint == prefix
    assert config.task.init_checkpoint_modules == "all"
    config.task.model.input_size = list(expected.images.shape[1:])
    model = _build(config.task, num_outputs=6 if "face" in name else 17)
    restoring.load_modules(model, prefix, config.task.init_checkpoint_modules)
    (output,) = [expected.outputs[key] for key in ("heatmaps", "logits")
                 if key in expected.outputs]  # fmt: skip
    answer = model(expected.images, training=False)
    np.testing.assert_allclose(answer, output, atol=1e-5 * np.std(output))


def test_both_files_can_be_moved(official, tmp_path, monkeypatch):
    folder, moved = tmp_path / "converted", tmp_path / "moved"
    write_checkpoint(load_pytorch_checkpoint(official(POSE).path), str(folder / "ckpt"))
    assert "init_checkpoint: ./ckpt\n" in (folder / "ckpt.yaml").read_text()
    folder.rename(moved)
    # Another checkpoint of that name where the command is given.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt.index").touch()
    for path in (str(moved / "ckpt.yaml"), os.path.join("moved", "ckpt.yaml")):
        config = parse_config("hrnet_pose_coco", [path])
        assert config.task.init_checkpoint == str(moved / "ckpt")
    monkeypatch.chdir(moved)
    config = parse_config("hrnet_pose_coco", ["ckpt.yaml"])
    assert config.task.init_checkpoint == str(moved / "ckpt")


def _build(task, num_outputs: int) -> tf_keras.Model:
    if hasattr(task, "skeleton"):
        task.model.input_size = task.model.input_size[:2]
        return build_pose_model(task.model, num_outputs)
    from official.core import task_factory

    return task_factory.get_task(task).build_model()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "name, modules, keys",
    [
        ("seg_hrnetv2_ocr_c4_align_true", "all", {"num_classes", "decoder", "head"}),
        ("det_hrnetv2p_c4", ["backbone", "decoder"], {"min_level", "max_level"}),
    ],
)
def test_the_yaml_says_what_the_weights_need(name, modules, keys, official, tmp_path):
    prefix = str(tmp_path / "ckpt")
    write_checkpoint(load_pytorch_checkpoint(official(name).path), prefix)
    task = yaml.safe_load((tmp_path / "ckpt.yaml").read_text())["task"]
    assert task["init_checkpoint_modules"] == modules
    assert keys < set(task["model"])
    assert task["model"]["norm_activation"]["norm_epsilon"] == 1e-5


@pytest.mark.heavy
@pytest.mark.parametrize("model_id", ["wider_naive18", "w32"])
def test_another_kind_of_lite_network_is_named(model_id, official):
    with pytest.raises(WeightsError) as caught:
        load_pytorch_checkpoint(official("litehrnet_c8").path, model_id=model_id)
    assert f"is not of {model_id} but of custom: its " in str(caught.value)
    assert "begin 8 wide, with [1, 2, 1] modules of lite blocks in" in str(caught.value)


def test_the_first_transition_of_published_lite_networks_has_its_official_names():
    # In those of the tests, the stem is as wide as the first branch.
    spec = backbones.LiteHRNetSpec(width=8, modules=[1, 1, 1], blocks=1, stem_width=4)
    names = {name for name, _ in official_layout.backbone_variables(LiteHRNet(spec))}
    convs = ("0.0.0", "0.0.2", "0.1.0.0", "0.1.0.2", "1.2.0.0", "1.2.0.2")
    assert {f"transition{conv}.weight" for conv in convs} <= names
    assert {f"transition{norm}.running_var" for norm in ("0.0.1", "0.1.0.3")} <= names


@pytest.mark.parametrize(
    "name, filters, sentence",
    [
        ("stage0.0.fuse_layers.0.1.0", 9, "width is 9; it must be even"),
        ("stage0.0.fuse_layers.0.1.0", 4, "width is 4; with custom.reduction"),
        ("stem.conv1.conv", 7, "stem_width is 7; it must be even"),
    ],
)
def test_a_lite_network_that_cannot_be_is_no_traceback(
    name, filters, sentence, changed, official
):
    key = f"backbone.{name}.weight"
    tensor = official("litehrnet_c8").weights[key]
    path = changed(
        {key: np.resize(tensor, [filters, *tensor.shape[1:]])}, "litehrnet_c8"
    )
    with pytest.raises(WeightsError, match=f"cannot be built: .*{sentence}"):
        load_pytorch_checkpoint(path)


def test_a_body_of_lite_hrnet_is_taken_alone(official):
    conversion = load_pytorch_checkpoint(official("litehrnet_c8").path, "backbone")
    assert conversion.network.config["backbone"]["type"] == "litehrnet"
    assert not any("head" in name for name in conversion.network.variables)
    assert sorted(conversion.network.model.output) == ["2", "3", "4", "5"]


def test_a_lite_checkpoint_that_lacks_a_tensor_is_refused(official, tmp_path):
    weights = dict(official("litehrnet_naive_c8").weights)
    name = "backbone.stage1.0.layers.2.1.branch2.1.conv.weight"
    del weights[name]
    path = str(tmp_path / "broken.safetensors")
    safetensors.numpy.save_file(weights, path)
    with pytest.raises(WeightsError, match=f"1 tensor missing: '{name[9:]}'"):
        load_pytorch_checkpoint(path)
