import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hrnet_tf
from hrnet_tf.weights import conversion, official_layout
from tests.api.conftest import pose_variables, write_official

SMALL = "hrnet_w18_small_v1"

pytestmark = pytest.mark.usefixtures("built_once")


def test_models_are_listed_by_pattern():
    assert hrnet_tf.list_models("*w18*") == [
        "hrnet_w18",
        "hrnet_w18_small_v1",
        "hrnet_w18_small_v2",
    ]
    assert len(hrnet_tf.list_models()) == 13
    assert hrnet_tf.list_models("resnet*") == []


@pytest.mark.parametrize(
    ("task", "options", "shape"),
    [
        (None, {}, [2, 1000]),
        ("classification", {"num_classes": 7}, [2, 7]),
        ("pose", {}, [2, 16, 24, 17]),
        ("pose", {"num_keypoints": 5}, [2, 16, 24, 5]),
        ("face", {"num_keypoints": 19}, [2, 16, 24, 19]),
        ("segmentation", {}, {"logits": [2, 16, 24, 19]}),
        ("segmentation_ocr", {"num_classes": 3}, None),
        ("detection", {}, {"2": [2, 16, 24, 256], "6": [2, 1, 1, 256]}),
    ],
)
def test_a_model_answers_as_its_task_does(task, options, shape):
    model = hrnet_tf.create_model(SMALL, task, input_shape=(64, 96, 3), **options)
    assert isinstance(model, tf_keras.Model)
    outputs = model(tf.zeros([2, 64, 96, 3]))
    if isinstance(shape, dict):
        assert {key: outputs[key].shape for key in shape} == shape
    elif shape:
        assert outputs.shape == shape
    else:
        assert outputs["logits"].shape == [2, 16, 24, 3]


def test_features_are_those_of_the_four_branches():
    model = hrnet_tf.create_model(SMALL, features_only=True, input_shape=(64, 96, 3))
    outputs = model(tf.zeros([1, 64, 96, 3]))
    assert {key: list(value.shape) for key, value in outputs.items()} == {
        "2": [1, 16, 24, 16],
        "3": [1, 8, 12, 32],
        "4": [1, 4, 6, 64],
        "5": [1, 2, 3, 128],
    }


@pytest.mark.slow  # Builds a network of hundreds of layers, twice.
def test_a_lite_network_answers_too(tmp_path):
    model = hrnet_tf.create_model(
        "hrnet_naive18", "pose", num_keypoints=3, input_shape=(64, 96, 3)
    )
    images = tf.random.normal([1, 64, 96, 3], seed=1)
    heatmaps = model(images)
    assert heatmaps.shape == [1, 16, 24, 3]
    prefix = str(tmp_path / "ckpt")
    tf.train.Checkpoint(**model.checkpoint_items).write(prefix)
    again = hrnet_tf.create_model(
        "naive18", "pose", num_keypoints=3, weights=prefix, input_shape=(64, 96, 3)
    )
    np.testing.assert_array_equal(again(images), heatmaps)


def test_any_size_of_image_is_the_default():
    model = hrnet_tf.create_model("w18_small_v1", "pose")
    for height, width in ((64, 32), (32, 96)):
        assert model(tf.zeros([1, height, width, 3])).shape[1:3] == (
            height // 4,
            width // 4,
        )


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An official file, the same as a checkpoint, and the model they are of."""
    folder = tmp_path_factory.mktemp("weights")
    model = hrnet_tf.create_model(SMALL, "pose")
    for variable in model.weights:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    file = folder / "pose.safetensors"
    write_official(file, pose_variables(model))
    converted = conversion.load_pytorch_checkpoint(str(file))
    conversion.write_checkpoint(converted, str(folder / "ckpt"))
    return file, folder / "ckpt", model


@pytest.mark.parametrize("form", [0, 1])
def test_weights_are_those_of_the_file(weights, form):
    path = [weights[0], f"{weights[1]}.index"][form]
    found = hrnet_tf.create_model(
        SMALL, "pose", num_keypoints=np.int64(17), weights=path
    )
    for one, other in zip(found.weights, weights[2].weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.heavy
def test_weights_of_faces_are_those_of_the_file(tmp_path):
    model = hrnet_tf.create_model(SMALL, "face", num_keypoints=19)
    tensors = {
        **dict(official_layout.backbone_variables(model.backbone)),
        **dict(official_layout.decoder_variables(model.decoder, "head")),
        **dict(official_layout.output_variables(model.head.conv, "head.3")),
    }
    path = tmp_path / "HR18-AFLW.safetensors"
    write_official(path, tensors)
    found = hrnet_tf.create_model(SMALL, "face", num_keypoints=19, weights=path)
    for one, other in zip(found.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    loaded = hrnet_tf.load(path)
    assert list(loaded.metadata.skeleton.keypoints[:1]) == ["right_eyebrow_outer"]
    assert loaded.metadata.codec.name == "msra_floor"
    assert tuple(loaded.metadata.input_size) == (256, 256)


@pytest.mark.parametrize("form", [0, 1])
def test_with_other_outputs_the_backbone_takes_the_weights(weights, form, log):
    found = hrnet_tf.create_model(SMALL, "pose", num_keypoints=5, weights=weights[form])
    ours, theirs = found.backbone.weights, weights[2].backbone.weights
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.head.conv.kernel.shape[-1] == 5
    assert "the backbone has its weights, all else starts afresh" in log()


@pytest.mark.parametrize("form", [0, 1])
def test_what_pose_networks_lack_is_named(weights, form):
    with pytest.raises(hrnet_tf.UserError, match="stage4|lacks"):
        hrnet_tf.create_model(SMALL, features_only=True, weights=weights[form])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hrnet_w23"], r"no model 'hrnet_w23' \(did you mean 'hrnet_w32'"),
        (["lite19"], r"no model 'lite19' \(did you mean 'hrnet_lite18'"),
        (["lite18"], "no official classification network 'lite18': give task='pose'"),
        (["lite18", "segmentation_ocr"], "give task='pose', or features_only=True"),
        (["resnet50"], "no model 'resnet50'.*there are hrnet_lite18, .*hrnet_w18, "),
        (["w18", "poze"], r"no task 'poze' \(did you mean 'pose'"),
        (["w18", "pose", {"num_classes": 3}], "A pose network has no num_classes"),
        (["w18", None, {"num_keypoints": 3}], "A classification network has no num_k"),
        (["w18", "pose", {"num_keypoints": 0}], "num_keypoints must be a whole number"),
        (["w18", "pose", {"num_keypoints": 2.5}], "a whole number from 1; got 2.5"),
        (["w18", "pose", {"features_only": True}], "leave out task='pose'"),
        (["w18", None, {"input_shape": (250, 192, 3)}], "multiples of 32"),
        (["w18", None, {"input_shape": (256, 192)}], r"\(height, width, 3\); got"),
        (["w18", None, {"input_shape": (256, 192, 4)}], "3 channels"),
        ([None], "no model None"),
        (["w18", "pose", {"num_keypoints": True}], "a whole number from 1; got true"),
        (["w18", None, {"input_shape": 5}], r"must be \(height, width, 3\); got 5. He"),
        (["w18", None, {"input_shape": (256.0, 192.0, 3)}], "input_shape must be"),
        (["w18", None, {"weights": 5}], "weights must be a path; got 5"),
        (["w18", None, {"weights": "nowhere"}], "There are no weights 'nowhere'"),
        (["w18", None, {"weights": "nowhere.pth"}], "no file nowhere.pth"),
    ],
)
def test_what_cannot_be_created_is_named(arguments, sentence):
    *places, options = [*arguments, {}] if len(arguments) < 3 else arguments
    with pytest.raises(hrnet_tf.UserError, match=sentence):
        hrnet_tf.create_model(*places, **options)


@pytest.mark.slow  # Builds several networks.
def test_weights_of_another_network_are_refused(weights):
    for form in weights[:2]:
        with pytest.raises(
            hrnet_tf.UserError,
            match=r"does not fit|is not of hrnet_w18, but of hrnet_w18_small_v1\.",
        ):
            hrnet_tf.create_model("hrnet_w18", "pose", weights=form)
