import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from random_weights import randomise

from hrnet_tf.modeling import high_resolution_module as hrm
from hrnet_tf.modeling.blocks import ConvSettings

METHODS = ["nearest", "bilinear", "bilinear_align_corners"]
WIDTH = 4


def silence(norm: tf_keras.layers.BatchNormalization) -> None:
    """Makes a norm answer zero."""
    norm.gamma.assign(tf.zeros_like(norm.gamma))
    norm.beta.assign(tf.zeros_like(norm.beta))


def features(num_branches: int, height: int = 16, width: int = 8) -> list[tf.Tensor]:
    """Branch i is [2, height / 2^i, width / 2^i, WIDTH * 2^i]."""
    shapes = [
        [2, height // 2**i, width // 2**i, WIDTH * 2**i] for i in range(num_branches)
    ]
    return [
        tf.random.stateless_normal(shape, seed=[i, 0]) for i, shape in enumerate(shapes)
    ]


def built_module(num_branches: int, **kwargs) -> hrm.HighResolutionModule:
    module = hrm.HighResolutionModule(num_branches, WIDTH, blocks=2, **kwargs)
    module(features(num_branches))
    randomise(module)
    return module


def through_blocks(
    module: hrm.HighResolutionModule, branch: int, x: tf.Tensor
) -> tf.Tensor:
    """What one branch's two blocks make of x."""
    for block in range(2):
        x = module.branch_blocks[f"{branch}_{block}"](x)
    return x


# ---- upsampling ----


@pytest.mark.parametrize(
    "method, expected",
    [
        ("nearest", [0, 0, 6, 6]),
        ("bilinear", [0, 1.5, 4.5, 6]),
        ("bilinear_align_corners", [0, 2, 4, 6]),
    ],
)
def test_upsample_a_row_of_two(method, expected):
    row = tf.reshape(tf.constant([0.0, 6.0]), [1, 1, 2, 1])
    answer = hrm.upsample(row, 2, method)
    assert answer.shape == (1, 2, 4, 1)
    np.testing.assert_allclose(answer[0, :, :, 0], [expected, expected], atol=1e-6)


def between_corners(length: int, factor: int) -> np.ndarray:
    """[length * factor, length] interpolation weights whose end points coincide."""
    positions = np.linspace(0, length - 1, length * factor)
    return np.maximum(0, 1 - abs(positions[:, None] - np.arange(length)))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsample_images(factor):
    image = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    large = (3 * factor, 5 * factor)
    rows, columns = between_corners(5, factor), between_corners(3, factor)
    expected = {
        "nearest": image.repeat(factor, axis=0).repeat(factor, axis=1),
        "bilinear": cv2.resize(image, large, interpolation=cv2.INTER_LINEAR),
        "bilinear_align_corners": rows @ image @ columns.T,
    }
    for method in METHODS:
        answer = hrm.upsample(tf.constant(image[None, :, :, None]), factor, method)
        np.testing.assert_allclose(
            answer[0, :, :, 0], expected[method], atol=1e-5, err_msg=method
        )


@pytest.mark.parametrize("method", METHODS)
def test_upsample_keeps_the_dtype_and_takes_any_size(method):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2], tf.float16)])
    def upsample(x):
        return hrm.upsample(x, 2, method)

    answer = upsample(tf.ones([1, 3, 5, 2], tf.float16))
    np.testing.assert_array_equal(answer, np.ones((1, 6, 10, 2), np.float16))
    assert answer.dtype == tf.float16


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_pixels_are_repeated_alike_in_training(factor, dtype):
    """To the bit, in sizes that are known or not, and with the same gradients."""
    image = tf.cast(tf.random.stateless_normal([2, 3, 5, 4], [0, 1]), dtype)
    pulls = tf.cast(
        tf.random.stateless_normal([2, 3 * factor, 5 * factor, 4], [1, 0]), dtype
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4], dtype)])
    def enlarge(x):
        return hrm.upsample(x, factor, "nearest", training=True)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        expected = hrm.upsample(image, factor, "nearest", training=False)
        received = hrm.upsample(image, factor, "nearest", training=True)
    assert received.shape == expected.shape and received.dtype == dtype
    np.testing.assert_array_equal(received, expected)
    np.testing.assert_array_equal(enlarge(image), expected)
    expected = tape.gradient(expected, image, pulls)
    received = tape.gradient(received, image, pulls)
    # Sums of bfloat16 are rounded at every addend, in another order each.
    tolerance = 1e-5 if dtype == tf.float32 else 1
    np.testing.assert_allclose(
        tf.cast(received, tf.float32), tf.cast(expected, tf.float32), atol=tolerance
    )


@pytest.mark.parametrize("method", METHODS)
def test_xla_compiles_and_trains_upsampling(method):
    x = tf.random.stateless_normal([2, 5, 3, 4], [0, 1])
    # XLA's own bilinear resize of 5 pixels to 15 is wrong.
    pulls = tf.random.stateless_normal([2, 15, 9, 4], [1, 0])

    def gradient(x, pulls):
        with tf.GradientTape() as tape:
            tape.watch(x)
            large = hrm.upsample(x, 3, method, training=True)
        return tape.gradient(large, x, pulls)

    compiled = tf.function(gradient, jit_compile=True)(x, pulls)
    np.testing.assert_allclose(compiled, gradient(x, pulls), atol=1e-5)


def test_upsample_to_a_size_that_is_no_multiple():
    image = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    x = tf.constant(image[None, :, :, None])
    answer = hrm.upsample(x, 4, "bilinear", size=[19, 10])
    expected = cv2.resize(image, (10, 19), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(answer[0, :, :, 0], expected, atol=1e-5)
    answer = hrm.upsample(x, 4, "bilinear_align_corners", size=[19, 10]).numpy()
    corners = np.ix_([0, -1], [0, -1])
    np.testing.assert_allclose(answer[0, :, :, 0][corners], image[corners], atol=1e-5)


def test_unknown_upsampling_is_refused():
    with pytest.raises(ValueError, match="'cubic'; it must be 'nearest', 'bilinear'"):
        hrm.upsample(tf.zeros([1, 2, 2, 1]), 2, "cubic")


# ---- fuse paths ----


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source, target", [(1, 0), (3, 1)])
def test_path_up_is_upsampling_then_convolution(source, target, method):
    path = hrm.FusePath(source, target, WIDTH, upsampling=method)
    x = features(4, 32, 32)[source]
    path(x)
    randomise(path)
    answer = path(x)
    factor = 2 ** (source - target)
    assert answer.shape == (2, 32 // 2**target, 32 // 2**target, WIDTH * 2**target)
    (conv,) = path.convs
    assert conv.kernel_size == 1
    expected = conv(hrm.upsample(x, factor, method))
    assert np.min(expected) < 0  # No activation before the sum.
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_path_down_activates_all_convolutions_but_the_last():
    path = hrm.FusePath(0, 3, WIDTH)
    (x,) = features(1)
    assert path(x).shape == (2, 2, 1, WIDTH * 8)
    shapes = [tuple(conv.conv.kernel.shape) for conv in path.convs]
    assert shapes == [(3, 3, 4, 4), (3, 3, 4, 4), (3, 3, 4, 32)]

    randomise(path)
    assert np.min(path(x)) < 0
    # A norm that answers -1 everywhere leaves zeros after its activation.
    for index in range(2):
        silence(path.convs[index].norm)
        path.convs[index].norm.beta.assign(-tf.ones([WIDTH]))
        rest = tf.zeros([2, 16 // 2 ** (index + 1), 8 // 2 ** (index + 1), WIDTH])
        for conv in path.convs[index + 1 :]:
            rest = conv(rest)
        np.testing.assert_allclose(path(x), rest, atol=1e-6)


def test_path_down_halves_like_the_stem():
    path = hrm.FusePath(1, 2, WIDTH)
    x = features(2)[1]
    assert path(x).shape == (2, 4, 2, WIDTH * 4)
    (conv,) = path.convs
    np.testing.assert_array_equal(path(x), conv(x))
    assert conv.strides == 2 and not conv.activate


# ---- modules ----


@pytest.mark.parametrize("num_branches", [2, 3, 4])
def test_module_keeps_all_shapes(num_branches):
    module = hrm.HighResolutionModule(num_branches, WIDTH, blocks=1)
    inputs = features(num_branches)
    outputs = module(inputs)
    assert [x.shape for x in outputs] == [x.shape for x in inputs]


@pytest.mark.parametrize("num_branches", [2, 3, 4])
def test_without_fusion_a_module_is_its_branches(num_branches):
    module = built_module(num_branches)
    for path in module.fuse_paths.values():
        silence(path.convs[-1].norm)
    inputs = features(num_branches)
    for branch, (x, output) in enumerate(zip(inputs, module(inputs), strict=True)):
        x = through_blocks(module, branch, x)
        np.testing.assert_allclose(output, tf.nn.relu(x), rtol=1e-6)


def test_without_fusion_and_blocks_a_module_is_the_activation():
    module = built_module(3)
    for path in module.fuse_paths.values():
        silence(path.convs[-1].norm)
    assert len(module.branch_blocks) == 3 * 2
    for block in module.branch_blocks.values():
        silence(block.convs[-1].norm)
    inputs = features(3)
    for x, output in zip(inputs, module(inputs), strict=True):
        np.testing.assert_allclose(output, tf.nn.relu(x), rtol=1e-6)


def test_fusion_adds_every_branch_to_every_branch_then_activates():
    module = built_module(4)
    inputs = features(4)
    branches = [through_blocks(module, i, x) for i, x in enumerate(inputs)]
    pairs = {(path.source, path.target): path for path in module.fuse_paths.values()}
    assert set(pairs) == {(i, j) for i in range(4) for j in range(4) if i != j}
    for target, output in enumerate(module(inputs)):
        total = branches[target]
        for source in set(range(4)) - {target}:
            contribution = pairs[source, target](branches[source])
            assert np.abs(contribution).max() > 0.1
            total += contribution
        np.testing.assert_allclose(output, tf.nn.relu(total), rtol=1e-4, atol=1e-4)


def test_upsampling_of_a_module_reaches_its_fusion():
    reference = built_module(2)
    inputs = features(2)
    for method in METHODS:
        module = built_module(2, upsampling=method)
        module.set_weights(reference.get_weights())
        high, low = module(inputs)
        same = np.allclose(high, reference(inputs)[0], atol=1e-4)
        assert same == (method == "nearest")
        np.testing.assert_allclose(low, reference(inputs)[1], atol=1e-4)


def test_single_scale_output_has_only_the_paths_into_branch_0():
    inputs = features(4)
    full = built_module(4)
    single = built_module(4, multi_scale_output=False)
    pairs = {(path.source, path.target) for path in single.fuse_paths.values()}
    assert pairs == {(1, 0), (2, 0), (3, 0)}

    for key, block in single.branch_blocks.items():
        block.set_weights(full.branch_blocks[key].get_weights())
    for key, path in single.fuse_paths.items():
        path.set_weights(full.fuse_paths[key].get_weights())
    (output,) = single(inputs)
    np.testing.assert_allclose(output, full(inputs)[0], rtol=1e-5, atol=1e-5)


def test_training_updates_all_moving_statistics():
    module = built_module(3)
    norms = [layer for layer in module.submodules if hasattr(layer, "moving_mean")]
    before = [norm.moving_mean.numpy() for norm in norms]
    module(features(3), training=False)
    for norm, mean in zip(norms, before, strict=True):
        np.testing.assert_array_equal(norm.moving_mean, mean)
    module(features(3), training=True)
    for norm, mean in zip(norms, before, strict=True):
        assert not np.allclose(norm.moving_mean, mean), norm.name


@pytest.mark.parametrize(
    "make",
    [
        lambda: hrm.FusePath(0, 2, WIDTH, settings=ConvSettings(norm_epsilon=1e-3)),
        lambda: hrm.FusePath(2, 0, WIDTH, upsampling="bilinear", name="named"),
        lambda: hrm.HighResolutionModule(
            3,
            WIDTH,
            blocks=1,
            multi_scale_output=False,
            upsampling="bilinear",
            settings=ConvSettings(kernel_regularizer=tf_keras.regularizers.L2(0.5)),
        ),
    ],
    ids=["path_down", "path_up", "module"],
)
def test_config_round_trip_through_json(make):
    layer = make()
    config = json.loads(json.dumps(layer.get_config()))
    copy = type(layer).from_config(config)
    assert copy.get_config() == layer.get_config()

    is_path = isinstance(layer, hrm.FusePath)
    inputs = features(3)[layer.source] if is_path else features(3)
    layer(inputs), copy(inputs)
    randomise(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(inputs), layer(inputs))
    assert len(copy.losses) == len(layer.losses)
