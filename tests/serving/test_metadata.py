import json

import pytest

import hrnet_tf
from hrnet_tf.configs import pose
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.metadata import ModelError, parse
from hrnet_tf.serving.pose.metadata import PoseMetadata


@pytest.fixture
def metadata() -> PoseMetadata:
    task = pose.PoseTask()
    task.codec.override({"name": "udp", "sigma": 1.5})
    task.model.override({"input_size": [128, 96]})
    return PoseMetadata.of_task(task, load_skeleton("mpii16"), flip_test=True)


def test_survives_a_round_trip(metadata):
    read = PoseMetadata.from_dict(parse(metadata.to_json(), "model"), "model")
    assert read == metadata


def test_says_of_which_family_a_network_is(metadata):
    assert metadata.title == "HRNet w32, mpii16"
    task = pose.PoseTask()
    task.model.override(
        {"backbone": {"type": "litehrnet", "litehrnet": {"model_id": "naive18"}}}
    )
    lite = PoseMetadata.of_task(task, load_skeleton("coco17"), flip_test=False)
    read = PoseMetadata.from_dict(parse(lite.to_json(), "model"), "model")
    assert read.title == lite.title == "Lite-HRNet naive18, coco17"


def test_tells_apps_all_they_need(metadata):
    values = json.loads(metadata.to_json())
    assert values["hrnet_tf_version"] == hrnet_tf.__version__
    assert values["model"] == "w32"
    assert values["input"] == {"height": 128, "width": 96, "colors": "RGB"}
    assert values["codec"] == {"name": "udp", "sigma": 1.5}
    skeleton = values["skeleton"]
    assert len(skeleton["limbs"]) == len(skeleton["limb_colors"])
    assert skeleton["keypoints"][skeleton["keypoints"].index("pelvis")] == "pelvis"
    assert set(sum(skeleton["flip_pairs"], [])) <= set(skeleton["keypoints"])
    assert values["normalization"]["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"skeleton": {"limb_colors": []}}'])
def test_refuses_what_it_did_not_write(text):
    with pytest.raises(ModelError, match="m.tflite: its hrnet_tf.json is not what"):
        PoseMetadata.from_dict(parse(text, "m.tflite"), "m.tflite")


def test_values_of_another_type_are_refused(metadata):
    for name in ("box_padding", "flip_test", "model"):
        values = {**metadata.to_dict(), name: [1]}
        with pytest.raises(ModelError, match=f"{name} is \\[1\\]"):
            PoseMetadata.from_dict(values, "m.tflite")


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ([], "tensors is \\[\\]; it must be an object"),
        ({"inputs": {}}, "'outputs' is missing or unknown"),
        (
            {"inputs": [], "outputs": {}},
            "tensors.inputs is \\[\\]; it must be an object",
        ),
        ({"inputs": {"a": 1}, "outputs": {}}, "tensors.inputs holds 1; it must hold a"),
        (
            {"inputs": {}, "outputs": {"a": {"type": "int32", "shape": [1, None]}}},
            "tensors.outputs holds .*; it must hold a type and a shape",
        ),
    ],
)
def test_tensors_of_another_form_are_refused(tensors, sentence, metadata):
    values = {**metadata.to_dict(), "tensors": tensors}
    with pytest.raises(ModelError, match=sentence):
        PoseMetadata.from_dict(values, "m.tflite")
