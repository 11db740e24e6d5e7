"""Lite-HRNet: sizes as published, blocks and fusion as the paper and the code say."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from hrnet_tf.configs import backbones, decoders
from hrnet_tf.modeling import complexity, task_models
from hrnet_tf.modeling.blocks import DepthwiseNorm, SeparableConvNorm, fold_norms
from hrnet_tf.modeling.iterative_decoder import IterativeDecoder
from hrnet_tf.modeling.lite_blocks import (
    ChannelWeighting,
    CrossResolutionWeighting,
    SpatialWeighting,
    join_shuffled,
)
from hrnet_tf.modeling.lite_module import LiteModule
from hrnet_tf.modeling.litehrnet import LiteHRNet

TINY = backbones.LiteHRNetSpec(width=8, modules=[1, 1, 1], blocks=1, stem_width=4)
# Where whole networks are built: naive ones have fewer kinds of layers.
# Seconds to make and to trace.
BLOCKS = [
    pytest.param("lite", marks=pytest.mark.heavy),
    pytest.param("naive", marks=pytest.mark.slow),
]


def branches(count: int, width: int = 8, size: int = 16) -> list[tf.Tensor]:
    draw = np.random.default_rng(7)
    shapes = [(2, size >> i, size >> i, width << i) for i in range(count)]
    return [tf.constant(draw.normal(size=shape), tf.float32) for shape in shapes]


def shaken(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """Gives every variable of a layer that is built another value."""
    draw = np.random.default_rng(5)
    layer.set_weights(
        [
            draw.uniform(0.5, 1.5, value.shape) * np.where(value == 0, 0.1, 1)
            for value in layer.get_weights()
        ]
    )
    return layer


@pytest.mark.slow  # Networks of hundreds of layers.
@pytest.mark.parametrize(
    "model_id, parameters",
    [
        ("lite18", 1_130_769),
        ("lite30", 1_763_717),
        ("naive18", 760_365),
        ("wider_naive18", 1_318_625),
    ],
)
def test_parameters_are_those_of_the_official_networks(model_id, parameters):
    built = task_models.build("pose", model_id, 17)
    assert complexity.count_parameters(built.model) == parameters
    parts = [layer for layers in built.stages().values() for layer in layers]
    assert sum(map(complexity.count_parameters, parts)) == parameters


def test_endpoints_have_the_widths_and_strides_of_four_branches():
    model = LiteHRNet(TINY, tf_keras.layers.InputSpec(shape=[None, 64, 96, 3]))
    shapes = {level: tuple(spec) for level, spec in model.output_specs.items()}
    assert shapes == {
        "2": (None, 16, 24, 8),
        "3": (None, 8, 12, 16),
        "4": (None, 4, 6, 32),
        "5": (None, 2, 3, 64),
    }
    with pytest.raises(ValueError, match="multiples of 32"):
        LiteHRNet(TINY, tf_keras.layers.InputSpec(shape=[None, 64, 80, 3]))


@pytest.mark.parametrize("block", backbones.LITE_BLOCKS)
def test_a_network_comes_back_from_its_configuration(block):
    spec = TINY.replace(block=block)
    model = LiteHRNet(spec, name="mine")
    again = LiteHRNet.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    images = tf.random.normal([1, 32, 64, 3], seed=1)
    for level, features in model(images).items():
        np.testing.assert_array_equal(again(images)[level], features)


def test_channels_take_turns():
    first = tf.reshape(tf.range(12.0), [1, 2, 2, 3])
    joined = join_shuffled(first, 100 + first)
    np.testing.assert_array_equal(joined[0, 1, 0], [6, 106, 7, 107, 8, 108])


@pytest.mark.parametrize("block", backbones.LITE_BLOCKS)
def test_blocks_leave_one_half_as_it_is(block):
    inputs = branches(3)
    module = LiteModule(3, 8, blocks=1, block=block)
    module(inputs)
    outputs = module.block_layers[0](inputs)
    for before, after in zip(inputs, outputs, strict=True):
        half = before.shape[-1] // 2
        np.testing.assert_array_equal(after[..., ::2], before[..., :half])
        assert np.abs(after[..., 1::2] - before[..., half:]).max() > 0.01


def test_fusion_counts_branch_0_twice_and_reads_it_summed_up():
    """The two peculiarities of the official code, in NumPy's order of things."""
    inputs = branches(3)
    module = LiteModule(3, 8, blocks=0)
    module(inputs)
    shaken(module)
    paths = module.fuse_paths
    outputs = module(inputs)
    sum0 = 2 * inputs[0] + paths["1_to_0"](inputs[1]) + paths["2_to_0"](inputs[2])
    sum1 = 2 * paths["0_to_1"](sum0) + inputs[1] + paths["2_to_1"](inputs[2])
    sum2 = 2 * paths["0_to_2"](sum0) + paths["1_to_2"](inputs[1]) + inputs[2]
    assert (sum0.numpy() < 0).any()
    for expected, output in zip((sum0, sum1, sum2), outputs, strict=True):
        np.testing.assert_allclose(tf.nn.relu(expected), output, rtol=1e-5, atol=1e-5)


def test_cross_resolution_weights_are_the_same_over_a_pixel_of_the_lowest_branch():
    inputs = branches(3, width=8)
    layer = CrossResolutionWeighting([8, 16, 32], reduction=4)
    layer(inputs)
    layer.set_weights([0.1 * value for value in shaken(layer).get_weights()])
    outputs = layer(inputs)
    weights = outputs[0] / inputs[0]
    assert ((weights.numpy() > 0) & (weights.numpy() < 1)).all()
    blocks = tf.reshape(weights, [2, 4, 4, 4, 4, 8]).numpy()
    np.testing.assert_allclose(
        blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape), rtol=1e-4
    )
    # Another branch's pixel changes the weights that lie upon it, and no others.
    changed = [
        inputs[0],
        inputs[1],
        tf.tensor_scatter_nd_add(inputs[2], [[0, 1, 2, 3]], [5.0]),
    ]
    moved = np.abs(layer(changed)[0] - outputs[0]).max(axis=-1)[0] > 0
    assert moved[4:8, 8:12].all() and moved.sum() == 16


def test_spatial_weights_are_the_same_over_an_image():
    (inputs,) = branches(1)
    layer = SpatialWeighting(8)
    layer(inputs)
    weights = shaken(layer)(inputs) / inputs
    expected = np.broadcast_to(weights[:, :1, :1], weights.shape)
    np.testing.assert_allclose(weights, expected, rtol=1e-4)


def test_depthwise_convolution_pads_both_sides_as_torch_does():
    layer = DepthwiseNorm(strides=2)
    layer(tf.zeros([1, 4, 4, 1]))
    layer.conv.depthwise_kernel.assign(tf.reshape(tf.range(9.0), [3, 3, 1, 1]))
    image = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    padded = np.pad(image[0, ..., 0], 1)
    kernel = np.arange(9.0).reshape(3, 3)
    expected = [
        [(padded[y : y + 3, x : x + 3] * kernel).sum() for x in (0, 2)] for y in (0, 2)
    ]
    np.testing.assert_allclose(
        layer(image)[0, ..., 0], np.array(expected) / np.sqrt(1 + 1e-5), rtol=1e-6
    )


@pytest.mark.parametrize("block", backbones.LITE_BLOCKS)
def test_folded_norms_compute_the_same(block):
    model = LiteHRNet(TINY.replace(block=block))
    shaken(model)
    images = tf.random.normal([1, 64, 32, 3], seed=2)
    before = model(images)
    fold_norms(model)
    for level, features in model(images).items():
        scale = np.abs(before[level]).max()
        np.testing.assert_allclose(features, before[level], atol=1e-5 * scale)


def test_decoder_adds_branches_up_from_the_lowest():
    features = {str(level): x for level, x in enumerate(branches(4, size=32), 2)}
    decoder = IterativeDecoder()
    decoder(features)
    shaken(decoder)
    x = decoder.convs[0](features["5"])
    for step, level in enumerate(("4", "3", "2"), start=1):
        size = features[level].shape[1:3]
        x = tf.compat.v1.image.resize_bilinear(x, size, align_corners=True)
        x = decoder.convs[step](features[level] + x)
    result = decoder(features)["2"]
    assert result.shape == (2, 32, 32, 8)
    np.testing.assert_allclose(result, x, rtol=1e-5, atol=1e-5)
    assert all(isinstance(conv, SeparableConvNorm) for conv in decoder.convs)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"width": 9}, "width is 9; it must be even"),
        ({"stem_width": 3}, "stem_width is 3; it must be even"),
        ({"block": "heavy"}, "block is 'heavy'; it must be one of lite, naive"),
        ({"modules": [1, 1]}, "modules needs three numbers"),
        ({"reduction": 64}, "width is 40; with custom.reduction 64 it must be at"),
        ({"blocks": 0}, "blocks must hold positive integers; got 0"),
    ],
)
def test_impossible_custom_network_is_refused(changes, sentence):
    config = backbones.LiteHRNet(model_id="custom")
    config.custom.override(changes)
    with pytest.raises(ValueError, match=rf"litehrnet\.custom\.{sentence}"):
        backbones.litehrnet_spec(config)


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"litehrnet\.model_id is 'w32'; .*lite18"):
        backbones.litehrnet_spec(backbones.LiteHRNet(model_id="w32"))


def tiny_pose(block: str, input_size=(64, 64)) -> task_models.TaskModel:
    backbone = backbones.Backbone(type="litehrnet")
    backbone.litehrnet.model_id = "custom"
    backbone.litehrnet.custom = TINY.replace(block=block)
    backbone.litehrnet.kernel_initializer = "kaiming"
    return task_models.build_pose(backbone, 3, input_size=input_size)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_whole_model_survives_saving(block, tmp_path):
    model = tiny_pose(block).model
    model.save(tmp_path / "pose.keras")
    copy = tf_keras.models.load_model(tmp_path / "pose.keras")
    images = tf.random.normal([1, 64, 64, 3], seed=4)
    np.testing.assert_array_equal(copy(images), model(images))


@pytest.mark.parametrize("block", BLOCKS)
def test_images_of_any_size_are_answered_as_those_of_one(block):
    model = tiny_pose(block, (None, None)).model
    infer = tf.function(
        model, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)]
    )
    for size in ((64, 32), (32, 96)):
        fixed = tiny_pose(block, size).model
        fixed.set_weights(model.get_weights())
        images = tf.random.normal([2, *size, 3], seed=4)
        expected = fixed(images)
        np.testing.assert_allclose(
            infer(images), expected, atol=1e-5 * np.std(expected)
        )


@pytest.mark.parametrize("block", BLOCKS)
def test_heatmaps_are_float32_under_mixed_precision(block):
    reference = tiny_pose(block).model
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = tiny_pose(block).model
    model.set_weights(reference.get_weights())
    images = tf.random.normal([2, 64, 64, 3], seed=4)
    assert model.backbone(images)["2"].dtype == tf.bfloat16
    heatmaps, expected = model(images), reference(images)
    assert heatmaps.dtype == tf.float32
    assert np.abs(heatmaps - expected).mean() < 0.1 * np.std(expected)


def test_training_moves_every_weight():
    built = tiny_pose("lite")
    assert isinstance(built.decoder, IterativeDecoder)
    assert decoders.Decoder(type="litehrnet").get() is not None
    shaken(built.model)
    with tf.GradientTape() as tape:
        images = tf.random.normal([2, 64, 64, 3], seed=3)
        loss = tf.reduce_mean(built.model(images, training=True) ** 2)
    gradients = tape.gradient(loss, built.model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


def test_channel_weighting_is_the_block_of_the_lite_networks():
    module = LiteModule(2, 8, blocks=2)
    assert all(isinstance(block, ChannelWeighting) for block in module.block_layers)
