"""Whole steps compile with XLA, and do what they do uncompiled, for every task.

A step that XLA compiles calls nothing on the host and has static shapes: what a TPU
asks for. Losses and gradients are compared; where chance or a choice between equals
would decide, the configuration takes them out.
"""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import yaml

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.serving import kinds
from hrnet_tf.serving.exporter import Options
from hrnet_tf.tasks.garden import get_task
from hrnet_tf.tasks.segmentation_prediction import unpadded
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_BACKBONE, TOY_DETECTOR, TOY_RCNN, draw_detector_weights

RCNN = {
    **TOY_RCNN,
    # All regions and objects are sampled: 20 that are proposed and 100 places for
    # annotated ones.
    "roi_sampler": {"num_sampled_rois": 120, "foreground_fraction": 1.0},
}


def lite(block):
    custom = {"width": 8, "modules": [1, 1, 1], "block": block, "stem_width": 8}
    network = {"model_id": "custom", "custom": custom, "kernel_initializer": "kaiming"}
    return {
        "backbone": {"type": "litehrnet", "litehrnet": network},
        "decoder": {"type": "litehrnet"},
    }


def upsampling(method):
    return {
        "backbone": {"hrnet": {**TOY_BACKBONE["hrnet"], "fuse_upsampling": method}},
        "decoder": {"hrnetv2": {"upsampling": method}},
    }


# Evaluations of any size do not compile: those of a fixed one do.
FIXED = {"resizing": {"method": "fixed", "size": [64, 96]}}
# Sides that halve to odd ones, of which XLA's own resize is wrong.
ODD = {"train_data": {"crop_size": [70, 52]}}
# Changes of `task`, by the names of experiments and what they are about.
CASES = {
    "pose": {},
    "pose udp ohkm": {
        "codec": {"name": "udp"},
        "loss": {"name": "ohkm"},
        "evaluation": {"flip_test": True},
    },
    "pose lite": {"model": lite("lite")},
    "pose naive": {"model": lite("naive"), "codec": {"name": "dark"}},
    "seg bilinear": {"model": upsampling("bilinear"), **FIXED, **ODD},
    "seg aligned": {
        "model": upsampling("bilinear_align_corners"),
        **FIXED,
        "losses": {"ohem": True, "ohem_min_kept": 1000},
        "evaluation": {"scales": [0.5, 1.0], "flip_test": True},
    },
    # Without a chance to drop channels.
    "seg ocr": {
        "model": {
            **upsampling("bilinear_align_corners"),
            "decoder": {"type": "hrnetv2_ocr", "hrnetv2_ocr": {"dropout_rate": 0}},
        },
        **FIXED,
    },
    "fasterrcnn": {"model": RCNN},
    "maskrcnn": {
        "model": {
            **RCNN,
            "mask_head": {"num_convs": 1, "num_filters": 8},
            "mask_sampler": {"num_sampled_masks": 4},
        }
    },
    "cascadercnn": {"model": RCNN},
    "retinanet": {
        "model": {
            **TOY_DETECTOR,
            "head": {"num_convs": 1, "num_filters": 8},
            "detection_generator": {"max_num_detections": 12},
        }
    },
    "classification": {
        "model": {
            "num_classes": 3,
            "input_size": [64, 64, 3],
            "backbone": TOY_BACKBONE,
        }
    },
}
DETECTORS = ("maskrcnn", "retinanet")
EXPERIMENTS = {
    "pose": ("hrnet_pose_coco", "toy_data", "toy.yaml"),
    "seg": ("hrnet_seg_custom", "parsing_data", "parsing.yaml"),
    "classification": ("hrnet_imagenet", None, None),
}
# Compiling takes from 5 seconds to a minute. Of what XLA got wrong, the fast tests in
# tests/modeling/test_high_resolution_module.py and tests/ops/test_interpolation.py.
slow = pytest.mark.slow


@pytest.fixture
def make(request, tmp_path):
    """Returns a function that makes the task of a case, and its experiment."""

    def make(case, **changes):
        detector = (f"hrnet_{case}_coco", "detection_data", "detection.yaml")
        found = EXPERIMENTS.get(case.split()[0], detector)
        experiment, fixture, file = found
        content = {"task": {}}
        if fixture:
            folder = request.getfixturevalue(fixture)
            content = yaml.safe_load((folder / file).read_text())
        if found == detector:
            content["task"].pop("model")
        overrides = [content, {"task": copy.deepcopy(CASES[case])}, {"task": changes}]
        params = parse_config(
            experiment, [], [yaml.safe_dump(one) for one in overrides]
        )
        return get_task(params.task, str(tmp_path)), params

    return make


def batch(task, training):
    """The first batch for training, or an evaluation's last, which is filled up."""
    tf_keras.utils.set_random_seed(0)
    config = task.task_config
    if not hasattr(task, "report"):  # The Garden's classification.
        images = tf.random.stateless_normal([4, *config.model.input_size], [0, 1])
        return images, tf.constant([0, 1, 2, 0])
    data = config.train_data if training else config.validation_data
    dataset = task.build_inputs(data)
    return next(iter(dataset)) if training else list(dataset)[-1]


def step(task, inputs, is_compiled):
    """The loss of a step of training, and its gradient as one vector."""
    tf_keras.utils.set_random_seed(0)
    model = task.build_model()
    weights = model.trainable_weights
    before = [weight.numpy() for weight in weights]
    optimizer = tf_keras.optimizers.legacy.SGD(1.0)
    metrics = task.build_metrics(training=True)
    train = tf.function(task.train_step, jit_compile=True)
    logs = (train if is_compiled else task.train_step)(
        inputs, model, optimizer, metrics
    )
    moves = [
        np.ravel(first - weight) for first, weight in zip(before, weights, strict=True)
    ]
    return float(logs[task.loss]), np.concatenate(moves)


def difference(first, second):
    return np.linalg.norm(first - second) / np.linalg.norm(first)


@pytest.mark.parametrize(
    "case", ["pose", "seg bilinear", *(pytest.param(c, marks=slow) for c in DETECTORS)]
)
def test_batches_have_one_shape(case, make):
    """And hold nothing that a TPU has no type for."""
    task, params = make(case)
    if case == "seg bilinear":
        params.task.validation_data.padded_size = [96, 96]
    train_data = params.task.train_data.replace(drop_remainder=True)
    for data in (train_data, params.task.validation_data):
        for spec in tf.nest.flatten(task.build_inputs(data).element_spec):
            assert spec.shape.is_fully_defined() and spec.dtype != tf.string


@slow
@pytest.mark.parametrize("case", CASES)
def test_training_steps_compile(case, make):
    task, _ = make(case)
    inputs = batch(task, training=True)
    loss, gradient = step(task, inputs, is_compiled=False)
    compiled_loss, compiled_gradient = step(task, inputs, is_compiled=True)
    assert compiled_loss == pytest.approx(loss, rel=1e-4)
    assert difference(gradient, compiled_gradient) < 1e-2


@slow
@pytest.mark.parametrize(
    "case",
    ["pose", "seg bilinear", "seg ocr", "maskrcnn", "retinanet", "classification"],
)
def test_training_steps_compile_in_bfloat16(case, make):
    """Rounding goes far in so small a network: no farther than without XLA.

    In Mask R-CNN, gradients differ by 0.85 of their length from those of float32, where
    one of zeros differs by 1; the two in bfloat16 differ by 0.42. At first, all regions
    score all but alike, and many alike in bfloat16, which then proposes others, whose
    loss differs by up to 4%, with XLA and without.
    """
    task, _ = make(case)
    inputs = batch(task, training=True)
    loss, gradient = step(task, inputs, is_compiled=False)
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    rounded_loss, rounded_gradient = step(task, inputs, is_compiled=False)
    compiled_loss, compiled_gradient = step(task, inputs, is_compiled=True)
    assert compiled_loss == pytest.approx(rounded_loss, rel=5e-3)
    away = 8e-2 if case == "maskrcnn" else 2e-2
    assert compiled_loss == pytest.approx(loss, rel=away)
    usual = difference(gradient, rounded_gradient)
    assert difference(gradient, compiled_gradient) < 2 * usual < 2
    assert difference(rounded_gradient, compiled_gradient) < 0.8


def build(task):
    """A model that finds something."""
    tf_keras.utils.set_random_seed(0)
    model = task.build_model()
    if hasattr(task, "detect"):
        draw_detector_weights(model)
    elif hasattr(task, "label_set"):
        # At first all classes are all but equal, and rounding would choose.
        for weight in model.head.trainable_weights:
            if "kernel" in weight.name:
                weight.assign(300 * weight)
    return model


def images_of(outputs):
    """What an evaluation found, without what fills images of segmentation up."""
    outputs = {name: np.asarray(value) for name, value in outputs.items()}
    if "confusion" in outputs:
        parts = {name: (tf.constant(value),) for name, value in outputs.items()}
        predicted = [np.ravel(found) for _, found, _ in unpadded(parts)]
        outputs["predicted"] = np.concatenate(predicted)
    return outputs


def assert_alike(found, expected, near=1e-3, few=1e-3):
    """Whether all but a `few` numbers are as `near`, by the largest of their name."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        received = found[name].astype(np.float64)
        assert received.shape == value.shape, name
        away = np.abs(received - value)
        if name == "confusion":
            wrong = away.sum() / (2 * value.sum())
        else:
            size = max(np.abs(value.astype(np.float64)).max(initial=0), 1e-3)
            wrong = (away > near * size).mean()
        # Of all but equal classes, another may win.
        is_won = name in ("confusion", "predicted")
        assert wrong < (max(1e-2, few) if is_won else few), name


@slow
@pytest.mark.parametrize("case", CASES)
def test_evaluation_steps_compile(case, make):
    task, _ = make(case)
    model = build(task)
    inputs = batch(task, training=False)
    expected = images_of(task.validation_step(inputs, model))
    compiled = tf.function(task.validation_step, jit_compile=True)
    assert_alike(images_of(compiled(inputs, model)), expected)


@slow
@pytest.mark.parametrize(
    "case",
    ["pose udp ohkm", "pose lite", "seg bilinear", "seg ocr", "classification"],
)
def test_evaluation_steps_compile_in_bfloat16(case, make):
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    task, _ = make(case)
    model = build(task)
    inputs = batch(task, training=False)
    expected = images_of(task.validation_step(inputs, model))
    compiled = tf.function(task.validation_step, jit_compile=True)
    assert_alike(images_of(compiled(inputs, model)), expected, near=3e-2, few=2e-2)


@slow
@pytest.mark.parametrize("case", ["maskrcnn", "cascadercnn", "retinanet"])
def test_detectors_evaluation_steps_compile_in_bfloat16(case, make):
    """Rounding chooses others of the regions that random weights find, as well scored.

    Scores were up to 5% of the largest away.
    """
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    task, _ = make(case)
    model = build(task)
    inputs = batch(task, training=False)
    expected = images_of(task.validation_step(inputs, model))
    compiled = tf.function(task.validation_step, jit_compile=True)
    found = images_of(compiled(inputs, model))
    assert expected["num_detections"].max() > 0
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    scores, others = (of["scores"].astype(np.float64) for of in (found, expected))
    np.testing.assert_allclose(scores, others, rtol=0, atol=0.1 * others.max())
    assert all(np.isfinite(value.astype(np.float64)).all() for value in found.values())


@slow
@pytest.mark.parametrize(
    "case, signature, shape",
    [
        ("pose udp ohkm", "crops", (3, 64, 64, 3)),
        ("pose lite", "crops", (3, 64, 64, 3)),
        # A SavedModel of segmentation takes images of any size, and does not compile.
        ("seg bilinear", None, (1, 64, 96, 3)),
        ("seg ocr", None, (1, 64, 96, 3)),
        ("maskrcnn", "image", (2, 96, 80, 3)),
        ("cascadercnn", "image", (2, 96, 80, 3)),
        ("retinanet", "image", (2, 96, 80, 3)),
    ],
)
def test_exported_inference_compiles(case, signature, shape, make):
    """Of pixels, since XLA knows no files; without a signature, that of phones."""
    task, params = make(case)
    exporter = kinds.kind_of(params.task).exporter(task, Options())
    module = exporter.module(build(task))
    predict = module.signatures()[signature] if signature else module.mobile_function()
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    expected = images_of(predict(images))
    compiled = tf.function(lambda images: predict(images), jit_compile=True)
    assert_alike(images_of(compiled(images)), expected)
