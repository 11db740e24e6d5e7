import json
import pathlib

import pytest
import tensorflow as tf
import tf_keras
from official.core import exp_factory
from official.vision.modeling import factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import backbones, pose
from hrnet_tf.modeling import complexity, pose_model
from hrnet_tf.modeling.heads import HeatmapHead

SIZES = json.loads(
    (pathlib.Path(__file__).parents[1] / "testdata" / "model_sizes.json").read_text()
)
SMALL_MODELS = ("w18_small_v1",)


@pytest.mark.slow  # Large networks of two sizes.
@pytest.mark.parametrize("model_id", ["w32", "w48"])
def test_pose_networks_are_as_large_as_the_official_ones(model_id):
    backbone = backbones.Backbone(
        type="hrnet", hrnet=backbones.HRNet(model_id=model_id, multi_scale_output=False)
    )
    config = pose.PoseModel(input_size=[None, None], backbone=backbone)
    model = pose_model.build_pose_model(config, num_keypoints=17)
    for height, width in (256, 192), (384, 288):
        expected = SIZES[f"pose_hrnet_{model_id}_coco17_{height}x{width}"]
        assert complexity.count_parameters(model) == expected["params"]
        macs = complexity.count_macs(model, (height, width))
        assert macs == expected["conv_linear_macs"]


@pytest.mark.slow  # A large network.
def test_networks_of_faces_are_as_large_as_the_official_ones():
    config = exp_factory.get_exp_config("hrnet_face_wflw").task.model
    model = pose_model.build_pose_model(config, num_keypoints=98)
    assert complexity.count_macs(model, (256, 256)) == 4_693_650_432
    assert complexity.count_parameters(model) == 9_662_528
    # Other landmarks change the head alone: 270 weights and an offset for each.
    body = 9_662_528 - complexity.count_parameters(model.head)
    for keypoints, parameters in ((68, 9_654_398), (29, 9_643_829), (19, 9_641_119)):
        head = HeatmapHead(keypoints)
        head({"2": tf.zeros([1, 1, 1, 270])})
        assert body + complexity.count_parameters(head) == parameters


# Those of four stages of many modules take five seconds and more each.
@pytest.mark.heavy
@pytest.mark.parametrize(
    "model_id",
    [
        pytest.param(name, marks=[] if name in SMALL_MODELS else pytest.mark.slow)
        for name in backbones.VARIANTS
    ],
)
def test_classification_networks_are_as_large_as_the_official_ones(model_id):
    config = exp_factory.get_exp_config("hrnet_imagenet").task.model
    config.backbone.hrnet.model_id = model_id
    model = factory.build_classification_model(
        tf_keras.layers.InputSpec(shape=[None, *config.input_size]), config
    )
    expected = SIZES[f"cls_hrnet_{model_id}"]
    assert complexity.count_parameters(model) == expected["params"]
    macs = complexity.count_macs(model, expected["input_hw"])
    assert macs == expected["conv_linear_macs"]


def sequential(*layers: tf_keras.layers.Layer, shape=(8, 6, 3)) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input(shape), *layers])


@pytest.mark.parametrize(
    "layers, parameters, macs",
    [
        (
            [tf_keras.layers.Conv2D(5, 3, strides=2, padding="same")],
            9 * 3 * 5 + 5,
            (4 * 3) * 9 * 3 * 5,
        ),
        (
            [tf_keras.layers.DepthwiseConv2D((3, 1), depth_multiplier=2)],
            3 * 1 * 3 * 2 + 6,
            (6 * 6) * 3 * 1 * 3 * 2,
        ),
        (
            [tf_keras.layers.Flatten(), tf_keras.layers.Dense(7)],
            8 * 6 * 3 * 7 + 7,
            8 * 6 * 3 * 7,
        ),
        (
            [tf_keras.layers.BatchNormalization(), tf_keras.layers.UpSampling2D()],
            3 + 3,
            0,
        ),
    ],
    ids=["convolution", "depthwise", "dense", "norm"],
)
def test_layers_counted_by_hand(layers, parameters, macs):
    model = sequential(*layers)
    assert complexity.count_parameters(model) == parameters
    assert complexity.count_macs(model, (8, 6)) == macs


@pytest.mark.parametrize("transpose", [False, True])
def test_transposed_matrices_count_the_same(transpose):
    class Product(tf_keras.layers.Layer):
        def call(self, inputs):
            matrix = tf.reshape(inputs, [6, 24] if transpose else [24, 6])
            return tf.matmul(matrix, tf.ones([6, 5]), transpose_a=transpose)

    assert complexity.count_macs(sequential(Product()), (8, 6)) == 24 * 6 * 5


def test_a_shared_layer_counts_its_weights_once_and_its_work_twice():
    conv = tf_keras.layers.Conv2D(3, 1, use_bias=False)
    model = sequential(conv, conv)
    assert complexity.count_parameters(model) == 9
    assert complexity.count_macs(model, (8, 6)) == 2 * 8 * 6 * 9


def test_work_that_cannot_be_seen_is_refused():
    # Keras runs grouped convolutions in a compiled function of their own.
    model = sequential(tf_keras.layers.Conv2D(6, 3, groups=3))
    with pytest.raises(ValueError, match="cannot be counted: it runs a function"):
        complexity.count_macs(model, (8, 6))


def test_a_size_known_only_at_run_time_is_refused():
    class RandomCrop(tf_keras.layers.Layer):
        def call(self, inputs):
            return inputs[:, : tf.random.uniform([], 1, 4, tf.int32)]

    model = sequential(RandomCrop(), tf_keras.layers.Conv2D(3, 1), shape=(8, 6, 3))
    with pytest.raises(ValueError, match="known only when it runs"):
        complexity.count_macs(model, (8, 6))
