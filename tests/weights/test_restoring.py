import functools
import gc
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.configs import common, maskrcnn
from official.vision.configs import image_classification as classification
from official.vision.configs import semantic_segmentation as segmentation
from official.vision.modeling import factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import backbones, decoders, pose
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.weights.restoring import (
    CheckpointError,
    DamagedCheckpointError,
    load_modules,
)

SPEC = backbones.HRNetSpec(
    width=2, modules=[1, 1, 2], blocks=1, layer1_planes=4, layer1_blocks=1, stem_width=4
)
NORM = common.NormActivation(use_sync_bn=False)
DATA = ".data-00000-of-00001"
IMAGES = tf_keras.layers.InputSpec(shape=[None, 64, 64, 3])


def backbone(**options) -> backbones.Backbone:
    hrnet = backbones.HRNet(model_id="custom", custom=SPEC, **options)
    return backbones.Backbone(type="hrnet", hrnet=hrnet)


def pose_model(num_keypoints: int = 5, kernel_size: int = 1) -> tf_keras.Model:
    config = pose.PoseModel(
        input_size=[64, 64],
        backbone=backbone(multi_scale_output=False),
        head=pose.HeatmapHead(kernel_size=kernel_size),
    )
    return build_pose_model(config, num_keypoints)


def classification_model() -> tf_keras.Model:
    config = classification.ImageClassificationModel(
        num_classes=3,
        backbone=backbone(classification_neck=True),
        norm_activation=NORM,
    )
    return factory.build_classification_model(IMAGES, config)


def segmentation_model() -> tf_keras.Model:
    config = segmentation.SemanticSegmentationModel(
        num_classes=3,
        backbone=backbone(),
        decoder=decoders.Decoder(type="hrnetv2"),
        head=segmentation.SegmentationHead(level=2, num_convs=0),
        norm_activation=NORM,
    )
    model = factory.build_segmentation_model(IMAGES, config)
    model(tf_keras.Input([64, 64, 3]))
    return model


def detector(cascade: bool = False) -> tf_keras.Model:
    pyramid = decoders.HRNetV2p(num_filters=8)
    config = maskrcnn.MaskRCNN(
        num_classes=3,
        min_level=2,
        max_level=6,
        backbone=backbone(),
        decoder=decoders.Decoder(type="hrnetv2p", hrnetv2p=pyramid),
        rpn_head=maskrcnn.RPNHead(num_filters=8),
        detection_head=maskrcnn.DetectionHead(
            num_convs=0, fc_dims=8, class_agnostic_bbox_pred=cascade
        ),
        include_mask=False,
        norm_activation=NORM,
    )
    if cascade:
        config.roi_sampler.cascade_iou_thresholds = [0.6]
    model = factory.build_maskrcnn(IMAGES, config)
    image_shape = tf_keras.Input([2])
    model(tf_keras.Input([64, 64, 3]), image_shape=image_shape, training=False)
    return model


def save(model: tf_keras.Model, path) -> str:
    """Writes a checkpoint as the Garden's trainer does, of no weights drawn fresh."""
    for number, variable in enumerate(model.variables):
        variable.assign(tf.fill(variable.shape, 1.0 + number))
    items = model.checkpoint_items
    return tf.train.Checkpoint(model=model, **items).write(str(path / "ckpt"))


def by_name(model: tf_keras.Model) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.variables}


def assert_backbone_is(model: tf_keras.Model, source: tf_keras.Model) -> None:
    expected = by_name(source.backbone)
    for name, value in by_name(model.backbone).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    model = classification_model()
    return model, save(model, tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    """A pose model and its checkpoint, for tests that change neither."""
    model = pose_model()
    return model, save(model, tmp_path_factory.mktemp("posed"))


@pytest.mark.parametrize(
    "build, fresh",
    [
        (pose_model, ["head (2 "]),
        (segmentation_model, ["decoder (6 ", "head (2 "]),
        # Detectors take long to make.
        pytest.param(
            detector,
            ["decoder (12 ", "rpn_head (26 ", "detection_head (10 "],
            marks=pytest.mark.heavy,
        ),
        pytest.param(
            lambda: detector(cascade=True),
            ["decoder (12 ", "detection_head (20 "],
            marks=pytest.mark.heavy,
        ),
    ],
    ids=["pose", "segmentation", "detection", "cascade"],
)
def test_an_imagenet_backbone_starts_every_task(build, fresh, classifier, caplog):
    source, path = classifier
    model = build()
    with caplog.at_level(logging.INFO, "hrnet_tf"):
        load_modules(model, path, "backbone")
    assert_backbone_is(model, source)
    count = len(model.backbone.variables)
    assert f"Restored {count} of {count} variables of backbone from {path}." in (
        caplog.text
    )
    for text in fresh:
        assert f"Starts afresh: {text}variables)." in caplog.text


def test_a_detector_takes_backbone_and_pyramid(tmp_path, caplog):
    source = detector()
    path = save(source, tmp_path)
    model = detector(cascade=True)
    with caplog.at_level(logging.INFO, "hrnet_tf"):
        load_modules(model, path, ["backbone", "decoder"])
    assert_backbone_is(model, source)
    for one, other in zip(
        source.decoder.variables, model.decoder.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert "Restored 12 of 12 variables of decoder" in caplog.text
    assert "afresh: decoder" not in caplog.text


def test_all_includes_what_the_garden_does_not_name(classifier):
    # The checkpoint items of its classification model leave out the classifier.
    source, path = classifier
    model = classification_model()
    load_modules(model, path, "all")
    for one, other in zip(source.variables, model.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_directory_stands_for_its_latest_checkpoint(tmp_path):
    source = pose_model()
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**source.checkpoint_items), tmp_path, max_to_keep=2
    )
    manager.save()
    source.head.conv.bias.assign(tf.ones([5]))
    manager.save()
    model = pose_model()
    load_modules(model, str(tmp_path), "all")
    np.testing.assert_array_equal(model.head.conv.bias, np.ones(5))


def test_a_pose_backbone_is_too_small_for_segmentation(posed):
    source, path = posed
    model = segmentation_model()
    have, want = len(source.backbone.variables), len(model.backbone.variables)
    with pytest.raises(CheckpointError) as error:
        load_modules(model, path, "backbone")
    message = str(error.value)
    assert have < want
    assert f"only {have} of {want} variables of backbone" in message
    assert "stage4_module1/fuse_" in message
    assert "It holds backbone, decoder, head, model." in message


def test_a_head_of_another_size_is_refused(posed):
    _, path = posed
    with pytest.raises(CheckpointError, match="with 5 keypoints, .* with 7 keypoints"):
        load_modules(pose_model(num_keypoints=7), path, "all")


def test_tensorflow_does_not_list_what_our_sentence_says(posed, caplog, monkeypatch):
    log = tf.get_logger()
    monkeypatch.setattr(log, "filters", [])
    _, path = posed
    model = pose_model(kernel_size=3)
    for _ in range(2):
        with pytest.raises(CheckpointError, match="hape"):
            load_modules(model, path, "all")
        gc.collect()
    assert not caplog.messages
    assert len(log.filters) == 1
    log.warning("Something else could not be found.")
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "modules, sentence",
    [
        ("neck", "no module 'neck'; it has backbone, decoder, head"),
        (["backbone", "neck"], "no module 'neck'"),
        ("decoder", "'decoder' of this model has no variables"),
    ],
)
def test_modules_that_cannot_be_loaded_are_refused(modules, sentence, posed):
    model, path = posed
    with pytest.raises(CheckpointError, match=sentence):
        load_modules(model, path, modules)


def test_a_checkpoint_that_is_missing_is_refused(posed, tmp_path):
    model, _ = posed
    with pytest.raises(CheckpointError, match="There is no checkpoint .*nothing"):
        load_modules(model, str(tmp_path / "nothing"))
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_modules(model, str(tmp_path))


@pytest.mark.parametrize(
    ("suffix", "kept"),
    [
        *((".index", 0), (".index", 0.5), (".index", "pipe")),
        *((DATA, 0), (DATA, 0.5), (DATA, "pipe"), (DATA, None)),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_called_damaged(
    suffix, kept, posed, tmp_path
):
    model, whole = posed
    shutil.copytree(Path(whole).parent, tmp_path, dirs_exist_ok=True)
    path = str(tmp_path / "ckpt")
    file = Path(path + suffix)
    if kept in (None, "pipe"):
        file.unlink()
        if kept == "pipe":
            os.mkfifo(file)
    else:
        file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(
        DamagedCheckpointError, match=f"{path} are damaged or not all there"
    ):
        load_modules(model, path)


def lite_model(
    block: str,
    num_keypoints: int = 5,
    last_modules: int = 1,
    blocks: int = 1,
    decoder: str = "litehrnet",
) -> tf_keras.Model:
    spec = backbones.LiteHRNetSpec(
        width=8,
        modules=[1, 1, last_modules],
        blocks=blocks,
        block=block,
        stem_width=4,
    )
    lite = backbones.LiteHRNet(model_id="custom", custom=spec)
    config = pose.PoseModel(
        input_size=[64, 64],
        backbone=backbones.Backbone(type="litehrnet", litehrnet=lite),
        decoder=decoders.Decoder(type=decoder),
    )
    return build_pose_model(config, num_keypoints)


HELD = {
    "hrnet": (
        pose_model,
        "an HRNet of 4 modules of 1 block, 2 channels wide, with 5 keypoints",
    ),
    "lite": (
        lambda: lite_model("lite"),
        "a Lite-HRNet of 3 modules of 1 lite block, 8 channels wide, with 5 keypoints",
    ),
    "naive": (
        lambda: lite_model("naive"),
        "a Lite-HRNet of 3 modules of 1 naive block, 8 channels wide, with 5 keypoints",
    ),
    "more keypoints": (
        lambda: lite_model("naive", 6),
        "a Lite-HRNet of 3 modules of 1 naive block, 8 channels wide, with 6 keypoints",
    ),
    "more blocks": (
        lambda: lite_model("naive", blocks=2),
        "a Lite-HRNet of 3 modules of 2 naive blocks, 8 channels wide, "
        "with 5 keypoints",
    ),
    "more modules": (
        lambda: lite_model("naive", last_modules=2),
        "a Lite-HRNet of 4 modules of 1 naive block, 8 channels wide, with 5 keypoints",
    ),
}


@pytest.fixture(scope="module")
def network() -> Callable[[str], tf_keras.Model]:
    """Returns the networks of HELD, each built once: what is refused changes none."""
    return functools.cache(lambda name: HELD[name][0]())


@pytest.mark.parametrize(
    "written, asked",
    [
        ("hrnet", "lite"),
        ("naive", "hrnet"),
        ("naive", "lite"),
        ("lite", "naive"),
        ("naive", "more keypoints"),
        # Each is a network to make.
        *(
            pytest.param(*pair, marks=pytest.mark.heavy)
            for pair in (
                ("naive", "more modules"),
                ("more modules", "naive"),
                ("more blocks", "naive"),
            )
        ),
    ],
)
def test_networks_of_two_kinds_are_both_named(written, asked, network, tmp_path):
    prefix = str(tmp_path / "ckpt")
    tf.train.Checkpoint(**network(written).checkpoint_items).write(prefix)
    with pytest.raises(CheckpointError) as caught:
        load_modules(network(asked), prefix)
    held, wanted = (HELD[name][1] for name in (written, asked))
    assert f"it holds {held}, and the model is {wanted}. Give" in str(caught.value)


def test_a_head_is_not_given_features_of_another_decoder(tmp_path):
    path = save(lite_model("naive"), tmp_path)
    model = lite_model("naive", decoder="hrnetv1")
    sentence = "holds 40 variables of decoder, and the model's decoder, HRNetV1, has no"
    with pytest.raises(CheckpointError, match=sentence):
        load_modules(model, path)
    load_modules(model, path, "backbone")


@pytest.mark.heavy
def test_other_heads_of_a_cascade_are_told_like_any(tmp_path):
    path = save(detector(), tmp_path)
    with pytest.raises(CheckpointError, match="variables of detection_head; "):
        load_modules(detector(cascade=True), path)


@pytest.mark.heavy
def test_a_body_of_lite_hrnet_starts_another_head(tmp_path):
    model, other = lite_model("lite"), lite_model("lite", 9)
    prefix = str(tmp_path / "ckpt")
    tf.train.Checkpoint(**model.checkpoint_items).write(prefix)
    load_modules(other, prefix, ["backbone", "decoder"])
    images = tf.random.normal([1, 64, 64, 3], seed=1)
    for level, features in model.backbone(images).items():
        np.testing.assert_array_equal(other.backbone(images)[level], features)
