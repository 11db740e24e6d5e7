import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from random_weights import randomise

from hrnet_tf.modeling import blocks
from hrnet_tf.modeling.blocks import ConvSettings


def make_norm_identity(layer: blocks.ConvNorm) -> None:
    channels = layer.filters
    variance = np.full(channels, 1 - layer.norm.epsilon)
    layer.norm.set_weights(
        [np.ones(channels), np.zeros(channels), np.zeros(channels), variance]
    )


def convolve(image, kernel, strides: int, **settings) -> np.ndarray:
    """ConvNorm's answer for one-channel image and kernel, norm made the identity."""
    image, kernel = np.float32(image), np.float32(kernel)
    layer = blocks.ConvNorm(1, len(kernel), strides, activate=False, **settings)
    layer(image[None, :, :, None])
    make_norm_identity(layer)
    layer.conv.set_weights([kernel[:, :, None, None]])
    return layer(image[None, :, :, None]).numpy()[0, :, :, 0]


RAMP = np.arange(16).reshape(4, 4)


def delta(row: int, column: int) -> np.ndarray:
    kernel = np.zeros((3, 3))
    kernel[row, column] = 1
    return kernel


# With torch's padding=1, output (r, c) sees the 3x3 window centred on input (2r, 2c).
@pytest.mark.parametrize(
    "kernel, expected",
    [
        (np.ones((3, 3)), [[10, 24], [51, 90]]),
        (delta(1, 1), [[0, 2], [8, 10]]),
        (delta(0, 0), [[0, 0], [0, 5]]),
        (delta(2, 2), [[5, 7], [13, 15]]),
        (delta(0, 2), [[0, 0], [5, 7]]),
    ],
)
def test_stride_2_pads_both_sides(kernel, expected):
    np.testing.assert_allclose(convolve(RAMP, kernel, strides=2), expected, rtol=1e-5)


def test_stride_2_on_odd_sides_rounds_up():
    image = np.arange(15).reshape(3, 5)
    answer = convolve(image, delta(1, 1), strides=2)
    np.testing.assert_allclose(answer, [[0, 2, 4], [10, 12, 14]], rtol=1e-5)


def test_stride_1_keeps_the_size():
    answer = convolve(RAMP, delta(0, 1), strides=1)
    expected = np.concatenate([np.zeros((1, 4)), RAMP[:3]])
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


def test_one_by_one_convolution_at_stride_2_is_not_padded():
    answer = convolve(RAMP, [[1.0]], strides=2)
    np.testing.assert_allclose(answer, [[0, 2], [8, 10]], rtol=1e-5)


@pytest.mark.parametrize("name", ["relu", "swish"])
def test_activation_follows_the_norm_unless_switched_off(name):
    inputs = tf.random.stateless_normal([2, 4, 4, 3], seed=[0, 0])
    settings = ConvSettings(activation=name)
    active = blocks.ConvNorm(5, 3, settings=settings)
    linear = blocks.ConvNorm(5, 3, activate=False, settings=settings)
    active(inputs), linear(inputs)
    randomise(active)
    linear.set_weights(active.get_weights())
    raw = linear(inputs)
    assert np.min(raw) < -0.1
    np.testing.assert_allclose(active(inputs), getattr(tf.nn, name)(raw), rtol=1e-6)


def test_norm_defaults_are_the_official_ones():
    layer = blocks.ConvNorm(1, 1, activate=False)
    inputs = tf.fill([1, 2, 2, 1], 1.0)
    layer(inputs)
    layer.conv.set_weights([np.ones((1, 1, 1, 1))])
    layer.norm.set_weights([np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1)])
    np.testing.assert_allclose(layer(inputs), inputs / np.sqrt(1e-5), rtol=1e-4)

    layer(3 * inputs, training=True)
    np.testing.assert_allclose(layer.norm.moving_mean, [0.1 * 3], rtol=1e-5)


def test_convolution_has_no_bias():
    layer = blocks.ConvNorm(4, 3)
    layer(tf.zeros([1, 4, 4, 2]))
    assert [weight.shape for weight in layer.conv.weights] == [(3, 3, 2, 4)]


def test_normal_initialiser():
    layer = blocks.ConvNorm(256, 3)
    layer(tf.zeros([1, 1, 1, 64]))
    np.testing.assert_allclose(np.std(layer.conv.kernel), 0.001, rtol=0.02)


def test_kaiming_initialiser_scales_by_fan_out():
    layer = blocks.ConvNorm(256, 3, settings=ConvSettings(kernel_initializer="kaiming"))
    layer(tf.zeros([1, 1, 1, 64]))
    kernel, expected = layer.conv.kernel.numpy(), np.sqrt(2 / (9 * 256))
    np.testing.assert_allclose(np.std(kernel), expected, rtol=0.02)
    # A normal distribution, not one that is cut off at two standard deviations.
    assert np.max(np.abs(kernel)) > 3.5 * expected


def test_no_two_kernels_start_alike():
    tf_keras.utils.set_random_seed(0)
    block = blocks.BasicBlock(8)
    block(tf.zeros([1, 4, 4, 8]))
    first, second = (conv.conv.kernel.numpy() for conv in block.convs)
    assert not np.allclose(first, second)


def test_unknown_initialiser_is_refused():
    with pytest.raises(ValueError, match="'xavier'; it must be 'normal' or 'kaiming'"):
        blocks.ConvNorm(4, 3, settings=ConvSettings(kernel_initializer="xavier"))


@pytest.mark.parametrize("use_sync_bn, expected", [(True, 1.0), (False, 0.0)])
def test_sync_bn_takes_statistics_over_all_replicas(two_cpus, use_sync_bn, expected):
    strategy = tf.distribute.MirroredStrategy(two_cpus)
    with strategy.scope():
        layer = blocks.ConvNorm(
            1, 1, activate=False, settings=ConvSettings(use_sync_bn=use_sync_bn)
        )
        layer.build((None, 2, 2, 1))
        layer(tf.zeros([1, 2, 2, 1]))
        layer.conv.set_weights([np.ones((1, 1, 1, 1))])

    @tf.function
    def step():
        # The first replica sees zeros and the second twos: mean 1, variance 1.
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            inputs = tf.fill([1, 2, 2, 1], 2.0 * tf.cast(index, tf.float32))
            return layer(inputs, training=True)

        return strategy.experimental_local_results(strategy.run(replica))

    low, high = step()
    np.testing.assert_allclose(low, np.full([1, 2, 2, 1], -expected), atol=1e-3)
    np.testing.assert_allclose(high, np.full([1, 2, 2, 1], expected), atol=1e-3)


BLOCKS = [(blocks.BasicBlock, 1, 2), (blocks.BottleneckBlock, 4, 3)]


@pytest.mark.parametrize("block_class, expansion, num_convs", BLOCKS)
def test_block_of_equal_width_adds_its_input(block_class, expansion, num_convs):
    inputs = tf.random.stateless_normal([2, 4, 6, 8 * expansion], seed=[0, 0])
    block = block_class(8)
    assert block(inputs).shape == inputs.shape
    assert block.shortcut is None and len(block.convs) == num_convs
    randomise(block)
    assert not np.allclose(block(inputs), tf.nn.relu(inputs))

    chain = inputs
    for conv in block.convs:
        chain = conv(chain)
    assert np.min(chain) < 0  # The last convolution is not activated by itself.
    np.testing.assert_allclose(block(inputs), tf.nn.relu(chain + inputs), rtol=1e-6)


@pytest.mark.parametrize("block_class, expansion, num_convs", BLOCKS)
def test_block_that_widens_projects_its_input(block_class, expansion, num_convs):
    inputs = tf.random.stateless_normal([2, 4, 6, 5], seed=[0, 0])
    block = block_class(8)
    assert block(inputs).shape == (2, 4, 6, 8 * expansion)
    randomise(block)
    last_norm = block.convs[-1].norm
    last_norm.gamma.assign(tf.zeros_like(last_norm.gamma))
    last_norm.beta.assign(tf.zeros_like(last_norm.beta))
    shortcut = block.shortcut(inputs)
    assert block.shortcut.kernel_size == 1 and np.min(shortcut) < 0
    np.testing.assert_allclose(block(inputs), tf.nn.relu(shortcut), rtol=1e-6)


def test_bottleneck_narrows_then_widens():
    block = blocks.BottleneckBlock(8)
    block(tf.zeros([1, 4, 4, 32]))
    shapes = [tuple(conv.conv.kernel.shape) for conv in block.convs]
    assert shapes == [(1, 1, 32, 8), (3, 3, 8, 8), (1, 1, 8, 32)]


def test_residual_block_itself_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        blocks.ResidualBlock(8)


SETTINGS = ConvSettings(
    activation="swish",
    norm_momentum=0.8,
    norm_epsilon=1e-3,
    kernel_initializer="kaiming",
    kernel_regularizer=tf_keras.regularizers.L2(0.25),
)


@pytest.mark.parametrize(
    "make",
    [
        lambda: blocks.ConvNorm(
            4, 3, strides=2, activate=False, settings=SETTINGS, name="named"
        ),
        lambda: blocks.BasicBlock(4, settings=SETTINGS, name="named"),
        lambda: blocks.BottleneckBlock(4, settings=SETTINGS, name="named"),
    ],
)
def test_config_round_trip_through_json(make):
    layer = make()
    config = json.loads(json.dumps(layer.get_config()))
    copy = type(layer).from_config(config)
    assert copy.name == "named" and copy.get_config() == layer.get_config()

    inputs = tf.random.stateless_normal([2, 4, 4, 3], seed=[0, 0])
    layer(inputs), copy(inputs)
    randomise(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(inputs), layer(inputs))
    np.testing.assert_allclose(sum(copy.losses), sum(layer.losses), rtol=1e-6)


def test_regulariser_reaches_every_kernel_and_nothing_else():
    block = blocks.BottleneckBlock(4, settings=SETTINGS)
    block(tf.zeros([1, 4, 4, 3]))
    randomise(block)
    kernels = [w for w in block.trainable_weights if "kernel" in w.name]
    assert len(kernels) == len(block.losses) == 4
    expected = sum(0.25 * np.sum(np.square(kernel)) for kernel in kernels)
    np.testing.assert_allclose(sum(block.losses), expected, rtol=1e-5)
