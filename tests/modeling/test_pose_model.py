import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import backbones, pose
from hrnet_tf.losses import heatmap
from hrnet_tf.modeling import heads, hrnet, pose_model, representations

NUM_KEYPOINTS = 5


def tiny_config(**changes) -> pose.PoseModel:
    spec = backbones.HRNetSpec(
        width=4,
        modules=[1, 1, 1],
        blocks=1,
        layer1_planes=4,
        layer1_blocks=1,
        stem_width=8,
    )
    options = {
        "model_id": "custom",
        "custom": spec,
        "multi_scale_output": False,
        "kernel_initializer": "kaiming",
        **changes,
    }
    return pose.PoseModel(
        input_size=[64, 96],
        backbone=backbones.Backbone(type="hrnet", hrnet=backbones.HRNet(**options)),
    )


def tiny_model(**changes) -> pose_model.PoseModel:
    return pose_model.build_pose_model(tiny_config(**changes), NUM_KEYPOINTS)


def crops() -> tf.Tensor:
    return tf.random.stateless_normal([2, 64, 96, 3], seed=[0, 0])


# ---- the model and its parts ----


def test_shapes_and_parts():
    model = tiny_model()
    heatmaps = model(crops())
    assert heatmaps.shape == (2, 16, 24, NUM_KEYPOINTS)
    assert heatmaps.dtype == tf.float32
    assert isinstance(model.backbone, hrnet.HRNet)
    assert isinstance(model.decoder, representations.HRNetV1)
    assert isinstance(model.head, heads.HeatmapHead)


def test_model_is_built_when_it_is_returned():
    config = tiny_config()
    config.head.kernel_size = 3
    model = pose_model.build_pose_model(config, NUM_KEYPOINTS)
    assert model.head.conv.kernel.shape == (3, 3, 4, NUM_KEYPOINTS)
    assert model.head.conv.bias.shape == (NUM_KEYPOINTS,)
    assert model(crops()).shape == (2, 16, 24, NUM_KEYPOINTS)


def test_heatmaps_are_raw_values_of_the_level_2_features():
    head = heads.HeatmapHead(NUM_KEYPOINTS)
    features = tf.random.stateless_normal([2, 3, 4, 6], seed=[0, 0])
    head({"2": features})
    kernel = np.random.default_rng(0).normal(size=(6, NUM_KEYPOINTS))
    bias = np.arange(NUM_KEYPOINTS) - 2
    head.conv.set_weights([kernel[None, None], bias])
    heatmaps = head({"2": features, "3": tf.zeros([2, 1, 2, 6])})
    assert np.min(heatmaps) < 0
    np.testing.assert_allclose(heatmaps, features.numpy() @ kernel + bias, rtol=1e-4)


def test_representation_passes_level_2_alone():
    endpoints = {str(level): tf.fill([1, 2, 2, 1], float(level)) for level in (2, 3)}
    representation = representations.HRNetV1()(endpoints)
    assert list(representation) == ["2"]
    np.testing.assert_array_equal(representation["2"], endpoints["2"])


def test_representation_needs_level_2():
    with pytest.raises(ValueError, match="needs a backbone with a level-2 .* 3, 4"):
        representations.build_hrnetv1({"3": None, "4": None}, model_config=None)


def test_input_sides_must_be_multiples_of_32():
    config = tiny_config()
    config.input_size = [256, 200]
    with pytest.raises(
        ValueError, match="multiples of 32, .* height 256 and width 200"
    ):
        pose_model.build_pose_model(config, NUM_KEYPOINTS)


def test_regulariser_reaches_all_kernels():
    regularizer = tf_keras.regularizers.L2(0.5)
    model = pose_model.build_pose_model(tiny_config(), NUM_KEYPOINTS, regularizer)
    kernels = [weight for weight in model.trainable_weights if "kernel" in weight.name]
    expected = sum(0.5 * np.sum(np.square(kernel)) for kernel in kernels)
    assert len(model.losses) == len(kernels)
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)


# ---- saving ----


def test_checkpoint_items_name_every_weight():
    model = tiny_model()
    items = model.checkpoint_items
    assert list(items) == ["backbone", "decoder", "head"]
    num_weights = sum(len(item.weights) for item in items.values())
    assert num_weights == len(model.weights) > 0


def test_backbone_is_loaded_alone(tmp_path):
    model, other = tiny_model(), tiny_model()
    model.head.conv.bias.assign(tf.ones([NUM_KEYPOINTS]))
    path = tf.train.Checkpoint(**model.checkpoint_items).write(tmp_path / "ckpt")
    status = tf.train.Checkpoint(backbone=other.backbone).read(path)
    status.expect_partial().assert_existing_objects_matched()
    answers = other.backbone(crops())["2"]
    np.testing.assert_array_equal(answers, model.backbone(crops())["2"])
    np.testing.assert_array_equal(other.head.conv.bias, np.zeros(NUM_KEYPOINTS))


def test_config_survives_json():
    model = tiny_model(fuse_upsampling="bilinear")
    config = json.loads(json.dumps(model.get_config()))
    copy = pose_model.PoseModel.from_config(config)
    assert copy.get_config() == model.get_config()


def test_whole_model_survives_saving(tmp_path):
    model = tiny_model(fuse_upsampling="bilinear")
    model.head.conv.bias.assign(tf.range(NUM_KEYPOINTS, dtype=tf.float32))
    model.save(tmp_path / "pose.keras")
    copy = tf_keras.models.load_model(tmp_path / "pose.keras")
    assert isinstance(copy, pose_model.PoseModel) and copy.name == model.name
    np.testing.assert_array_equal(copy(crops()), model(crops()))


# ---- precision and training ----


@pytest.mark.parametrize(
    # Two more networks to build.
    "dtype",
    ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)],
)
def test_heatmaps_are_float32_under_mixed_precision(dtype):
    tf_keras.utils.set_random_seed(0)
    reference = tiny_model()
    tf_keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
    model = tiny_model()
    model.set_weights(reference.get_weights())
    assert model.backbone(crops())["2"].dtype == dtype
    heatmaps = model(crops())
    assert heatmaps.dtype == tf.float32
    assert model.head.conv.compute_dtype == "float32"
    expected = reference(crops())
    assert np.max(np.abs(heatmaps - expected)) < 0.1 * np.max(expected)


def test_training_lowers_the_loss():
    tf_keras.utils.set_random_seed(0)
    model = tiny_model()
    optimizer = tf_keras.optimizers.Adam(0.02)
    target = tf.random.stateless_uniform([2, 16, 24, NUM_KEYPOINTS], seed=[0, 0])
    losses = []
    for _ in range(8):
        with tf.GradientTape() as tape:
            heatmaps = model(crops(), training=True)
            weights = tf.ones([2, NUM_KEYPOINTS])
            loss = tf.reduce_mean(heatmap.heatmap_mse(heatmaps, target, weights))
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    assert all(np.any(gradient) for gradient in gradients)
