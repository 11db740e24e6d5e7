import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.configs import common, retinanet
from official.vision.modeling.backbones import factory

from hrnet_tf.configs import backbones
from hrnet_tf.modeling import complexity, hrnet
from hrnet_tf.modeling.blocks import ConvNorm, ConvSettings

SIZES = json.loads(
    (pathlib.Path(__file__).parents[1] / "testdata" / "model_sizes.json").read_text()
)
TINY = {
    "width": 4,
    "modules": [1, 2, 1],
    "blocks": 1,
    "layer1_planes": 2,
    "layer1_blocks": 1,
    "stem_width": 6,
}


def input_specs(height: int | None, width: int | None) -> tf_keras.layers.InputSpec:
    return tf_keras.layers.InputSpec(shape=[None, height, width, 3])


def tiny_hrnet(height: int | None = 64, width: int | None = 96, **kwargs):
    return hrnet.HRNet(
        backbones.HRNetSpec(**TINY), input_specs(height, width), **kwargs
    )


def images(height: int = 64, width: int = 96) -> tf.Tensor:
    return tf.random.stateless_normal([2, height, width, 3], seed=[0, 0])


def randomise(model: tf_keras.Model, seed: int = 0) -> None:
    """Gives every weight, moving statistics too, a value of its own, variances > 0."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        values = generator.normal(scale=0.5, size=weight.shape)
        weight.assign(abs(values) + 0.1 if "variance" in weight.name else values)


def assert_same_answers(model, copy, **kwargs):
    answers, expected = copy(images(**kwargs)), model(images(**kwargs))
    assert answers.keys() == expected.keys()
    for level, answer in answers.items():
        np.testing.assert_array_equal(answer, expected[level])


# ---- all variants ----


def classification_head_parameters(width: int) -> int:
    """Parameters of the official classification network past its four branches.

    A widening bottleneck per branch, three stride-2 convolutions between them, a 1x1
    convolution to 2048 and a classifier of 1000 (official lib/models/cls_hrnet.py).
    """
    total = 0
    for branch, planes in enumerate((32, 64, 128, 256)):
        inputs, outputs = width * 2**branch, 4 * planes
        kernels = inputs * planes + 9 * planes**2 + planes * outputs + inputs * outputs
        total += kernels + 2 * (2 * planes + 2 * outputs)
    for outputs in 256, 512, 1024:
        total += 9 * (outputs // 2) * outputs + 3 * outputs
    return total + 1024 * 2048 + 3 * 2048 + 2048 * 1000 + 1000


# Other variants have more modules, or differ from w18 in their width alone, and take
# seconds each to build; test_complexity.py builds w32 and w48 for pose.
FAST_VARIANTS = {"w18_small_v1", "custom"}
VARIANTS = [
    pytest.param(name, marks=[] if name in FAST_VARIANTS else [pytest.mark.slow])
    for name in [*backbones.VARIANTS, "custom"]
]


@pytest.mark.parametrize("model_id", VARIANTS)
def test_variant(model_id):
    config = backbones.HRNet(model_id=model_id, custom=backbones.HRNetSpec(**TINY))
    spec = backbones.hrnet_spec(config)
    backbone = hrnet.HRNet(spec, input_specs(256, 192))

    expected = {
        str(level): (None, 256 >> level, 192 >> level, spec.width << (level - 2))
        for level in range(2, 6)
    }
    assert {level: tuple(x) for level, x in backbone.output_specs.items()} == expected
    assert {level: tuple(x.shape) for level, x in backbone.output.items()} == expected

    parameters = complexity.count_parameters(backbone)
    if f"backbone_{model_id}" in SIZES:
        assert parameters == SIZES[f"backbone_{model_id}"]["params"]
    if f"cls_hrnet_{model_id}" in SIZES:
        head = classification_head_parameters(spec.width)
        assert parameters + head == SIZES[f"cls_hrnet_{model_id}"]["params"]


def test_every_published_variant_has_a_size_to_compare_with():
    assert {f"cls_hrnet_{model_id}" for model_id in backbones.VARIANTS} <= set(SIZES)


# ---- structure ----


def test_single_scale_output_is_the_same_network_without_the_last_fusions():
    full, single = tiny_hrnet(), tiny_hrnet(multi_scale_output=False)
    assert list(single.output_specs) == ["2"]
    randomise(full)
    for layer in single.layers[1:-1]:
        layer.set_weights(full.get_layer(layer.name).get_weights())
    last, full_last = single.layers[-1], full.get_layer("stage4_module0")
    assert last.name == full_last.name
    for key, block in last.branch_blocks.items():
        block.set_weights(full_last.branch_blocks[key].get_weights())
    for key, path in last.fuse_paths.items():
        path.set_weights(full_last.fuse_paths[key].get_weights())
    np.testing.assert_allclose(
        single(images())["2"], full(images())["2"], rtol=1e-5, atol=1e-5
    )


def test_only_the_last_module_is_single_scale():
    backbone = tiny_hrnet(multi_scale_output=False)
    outputs = {
        layer.name: layer.num_outputs
        for layer in backbone.layers
        if layer.name.startswith("stage")
    }
    assert outputs == {
        "stage2_module0": 2,
        "stage3_module0": 3,
        "stage3_module1": 3,
        "stage4_module0": 1,
    }


def test_transitions_are_convolutions_only_where_width_or_resolution_change():
    def transitions(**changes):
        backbone = hrnet.HRNet(backbones.HRNetSpec(**{**TINY, **changes}))
        return {
            layer.name: (layer.kernel_size, layer.strides, layer.filters)
            for layer in backbone.layers
            if layer.name.startswith("transition")
        }

    new_branches = {
        "transition1_branch1": (3, 2, 8),
        "transition2_branch2": (3, 2, 16),
        "transition3_branch3": (3, 2, 32),
    }
    assert transitions() == {**new_branches, "transition1_branch0": (3, 1, 4)}
    # Stage 1 is four times as wide as its planes.
    assert transitions(layer1_planes=1) == new_branches


def test_sizes_unknown_when_built():
    backbone = tiny_hrnet(None, None)
    assert backbone.output_specs["5"].as_list() == [None, None, None, 32]
    for height, width in (32, 64), (96, 32):
        endpoints = backbone(images(height, width))
        assert endpoints["2"].shape == (2, height // 4, width // 4, 4)
        assert endpoints["5"].shape == (2, height // 32, width // 32, 32)


@pytest.mark.parametrize("height, width", [(100, 64), (64, 100), (16, 64), (0, 64)])
def test_sides_that_are_no_multiples_of_32_are_refused(height, width):
    sentence = f"must be multiples of 32, .* got height {height} and width {width}"
    with pytest.raises(ValueError, match=sentence):
        tiny_hrnet(height, width)


def test_one_known_side_is_checked_too():
    with pytest.raises(ValueError, match="got height None and width 40"):
        tiny_hrnet(None, 40)


@pytest.mark.parametrize("method", ["bilinear", "bilinear_align_corners"])
@pytest.mark.parametrize("known", [True, False])
def test_bilinear_fusion_takes_any_size(method, known):
    """As in LIP's 473: 237, 119, 60, 30, 15 after the halvings."""
    height, width = 473, 90
    backbone = tiny_hrnet(
        height if known else None, width if known else None, fuse_upsampling=method
    )
    endpoints = backbone(images(height, width))
    assert [x.shape[1:3].as_list() for x in endpoints.values()] == [
        [119, 23],
        [60, 12],
        [30, 6],
        [15, 3],
    ]
    if known:
        assert backbone.output_specs["5"].as_list() == [None, 15, 3, 32]


# ---- saving ----


@pytest.mark.parametrize(
    # Two more networks to build.
    "filename",
    ["checkpoint", pytest.param("weights.weights.h5", marks=pytest.mark.slow)],
)
def test_weights_survive_saving(tmp_path, filename):
    backbone, copy = tiny_hrnet(), tiny_hrnet()
    randomise(backbone)
    backbone.save_weights(tmp_path / filename)
    copy.load_weights(tmp_path / filename)
    assert_same_answers(backbone, copy)


def test_config_survives_json():
    backbone = tiny_hrnet(
        multi_scale_output=False,
        fuse_upsampling="bilinear",
        settings=ConvSettings(
            activation="swish", kernel_regularizer=tf_keras.regularizers.L2(0.5)
        ),
        name="named",
    )
    config = json.loads(json.dumps(backbone.get_config()))
    copy = hrnet.HRNet.from_config(config)
    assert copy.get_config() == backbone.get_config()
    assert copy.name == "named"
    randomise(backbone)
    copy.set_weights(backbone.get_weights())
    assert_same_answers(backbone, copy)
    np.testing.assert_allclose(sum(copy.losses), sum(backbone.losses), rtol=1e-6)


# ---- precision ----


@pytest.mark.parametrize(
    # Two more networks to build.
    "dtype",
    ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)],
)
def test_mixed_precision(dtype):
    tf_keras.utils.set_random_seed(0)
    reference = tiny_hrnet(settings=ConvSettings(kernel_initializer="kaiming"))
    tf_keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
    backbone = tiny_hrnet()
    backbone.set_weights(reference.get_weights())
    assert {weight.dtype for weight in backbone.weights} == {tf.float32}
    expected = reference(images())
    for level, endpoint in backbone(images()).items():
        assert endpoint.dtype == dtype
        answer = tf.cast(endpoint, tf.float32)
        error = np.abs(answer - expected[level])
        assert np.max(error) < 0.1 * np.max(expected[level])


# ---- the Model Garden's factory ----


def build(config: backbones.Backbone, l2_regularizer=None, **norm_activation):
    return factory.build_backbone(
        input_specs=input_specs(64, 64),
        backbone_config=config,
        norm_activation_config=common.NormActivation(**norm_activation),
        l2_regularizer=l2_regularizer,
    )


def tiny_config(**kwargs) -> backbones.Backbone:
    custom = backbones.HRNetSpec(**TINY)
    options = backbones.HRNet(model_id="custom", custom=custom, **kwargs)
    return backbones.Backbone(type="hrnet", hrnet=options)


def test_factory_builds_what_the_configuration_says():
    backbone = build(
        tiny_config(
            multi_scale_output=False,
            fuse_upsampling="bilinear",
            kernel_initializer="kaiming",
        ),
        l2_regularizer=tf_keras.regularizers.L2(0.5),
        activation="swish",
        norm_momentum=0.8,
        norm_epsilon=1e-4,
        use_sync_bn=True,
    )
    assert isinstance(backbone, hrnet.HRNet) and list(backbone.output_specs) == ["2"]
    config = backbone.get_config()
    assert config["spec"] == TINY and config["fuse_upsampling"] == "bilinear"

    conv_norms = [layer for layer in backbone.submodules if isinstance(layer, ConvNorm)]
    assert len(backbone.losses) == len(conv_norms) > 20
    for layer in conv_norms:
        np.testing.assert_allclose(layer.activation(1.0), tf.nn.swish(1.0))
        assert layer.norm.momentum == 0.8 and layer.norm.epsilon == 1e-4
        assert layer.norm.synchronized
        assert layer.conv.kernel_initializer.scale == 2
        assert layer.conv.kernel_regularizer.l2 == 0.5


def test_stock_garden_model_takes_hrnet_and_dotted_overrides():
    config = retinanet.RetinaNet(backbone=backbones.Backbone(type="hrnet"))
    config.override(
        {"backbone": {"hrnet": {"model_id": "custom", "custom": {**TINY, "width": 5}}}}
    )
    backbone = build(config.backbone)
    assert backbone.output_specs["5"].as_list() == [None, 2, 2, 40]


def test_the_garden_s_own_backbones_stay_available():
    assert build(backbones.Backbone(type="mobilenet")).output_specs


def test_unknown_variant_is_refused():
    config = backbones.Backbone(type="hrnet", hrnet=backbones.HRNet(model_id="w31"))
    with pytest.raises(ValueError, match="model_id is 'w31'; .* w18, .* w64, custom"):
        build(config)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"modules": [1, 4]}, r"modules needs three numbers, .* got \[1, 4\]"),
        ({"modules": [1, 0, 1]}, r"modules must hold positive integers; got \[1, 0"),
        ({"width": -4}, "width must hold positive integers; got -4"),
        ({"stem_width": "64"}, "stem_width must hold positive integers; got '64'"),
        ({"blocks": 1.5}, "blocks must hold positive integers; got 1.5"),
    ],
)
def test_impossible_custom_network_is_refused(changes, sentence):
    config = backbones.HRNet(model_id="custom")
    config.override({"custom": changes})
    with pytest.raises(ValueError, match=rf"hrnet\.custom\.{sentence}"):
        backbones.hrnet_spec(config)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="fuse_upsampling is 'area'"):
        build(tiny_config(fuse_upsampling="area"))
    with pytest.raises(ValueError, match="kernel_initializer is 'zeros'"):
        build(tiny_config(kernel_initializer="zeros"))
