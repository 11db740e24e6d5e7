"""Every configuration mistake is named before the first step."""

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from class_records import write_class_records
from official.core import exp_factory

from hrnet_tf import (
    preset_files,
    registry_imports,  # noqa: F401
)
from hrnet_tf.configs import backbones
from hrnet_tf.data.records.segmentation import encode_image_record
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import (
    classification,
    detection,
    garden,
    pose,
    segmentation,
    validate,
)

# One person with one keypoint.
ANNOTATIONS = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 2, 30, 40],
            "area": 900,
            "keypoints": [9, 9, 2, *[0] * 48],
            "segmentation": [[1, 2, 31, 2, 31, 42]],
        }
    ],
}


def write_record(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())


@pytest.fixture
def good(tmp_path):
    """Overrides that make hrnet_pose_coco valid in every mode."""
    for name in ("train.tfrecord", "val.tfrecord"):
        write_record(tmp_path / name)
    (tmp_path / "val.json").write_text(json.dumps(ANNOTATIONS))
    return [
        f"task.train_data.input_path={tmp_path}/train*",
        f"task.validation_data.input_path={tmp_path}/val.tf*",
        f"task.evaluation.annotation_file={tmp_path}/val.json",
    ]


def check(overrides, mode="train_and_eval"):
    validate(parse_config("hrnet_pose_coco", [], overrides), mode, pose.mistakes)


def names_one_mistake(overrides, fragments):
    with pytest.raises(ConfigError) as error:
        check(overrides)
    for fragment in fragments:
        assert fragment in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_good_configuration_passes(good):
    for mode in ("train", "eval", "train_and_eval", "continuous_eval"):
        check(good, mode)


@pytest.mark.heavy
def test_validation_leaves_the_runtime_to_the_strategy(good, tmp_path):
    """A strategy of several workers must be the first to start it."""
    generator = np.random.default_rng(0)
    image = cv2.imencode(".png", generator.integers(0, 256, (8, 8, 3), np.uint8))[1]
    record = encode_image_record(image.tobytes(), "a.png", np.zeros((8, 8), int), 2)
    with tf.io.TFRecordWriter(str(tmp_path / "labels.tfrecord")) as writer:
        writer.write(record)
    program = """
import sys
from tensorflow.python.eager import context
from hrnet_tf import registry_imports
from hrnet_tf.data.records.segmentation import missing_classes
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.training.validation import pose, validate
validate(parse_config("hrnet_pose_coco", [], sys.argv[2:]), "train", pose.mistakes)
validate(parse_config("hrnet_pose_coco", [], sys.argv[2:]), "eval", pose.mistakes)
assert missing_classes([sys.argv[1]], 2) == [1]
assert context.context()._context_handle is None
"""
    cosine = "{initial_learning_rate: 0.1, decay_steps: 900, offset: 50}"
    schedule = f"{{type: cosine, cosine: {cosine}}}"
    schedule = f"{{trainer: {{optimizer_config: {{learning_rate: {schedule}}}}}}}"
    arguments = [str(tmp_path / "labels.tfrecord"), *good, schedule]
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert (
        "trainer.optimizer_config.learning_rate.cosine.offset is 50" in process.stderr
    )


def test_a_pattern_that_matches_more_than_records_is_refused(good, tmp_path):
    (tmp_path / "train.conversion.json").write_text("{}")
    with pytest.raises(ConfigError) as error:
        check(good)
    assert f"task.train_data.input_path: '{tmp_path}/train*' matches" in str(
        error.value
    )
    assert "train.conversion.json, too, which holds no records" in str(error.value)


@pytest.mark.parametrize(
    "override, fragments",
    [
        ("task.model.backbone.type=hrnt", ["task.model.backbone.type", "'hrnet'"]),
        (
            "task.model.backbone.hrnet.model_id=w33",
            ["task.model.backbone.hrnet.model_id", "'w33'", "w32", "custom"],
        ),
        (
            "task.model.backbone.hrnet.fuse_upsampling=nearst",
            ["fuse_upsampling", "did you mean 'nearest'", "bilinear_align_corners"],
        ),
        (
            "task.model.input_size=[250, 192]",
            ["task.model.input_size", "multiples of 32", "250"],
        ),
        (
            f"{{task: {{loss: {{keypoint_weights: [{', '.join(['.nan'] * 17)}]}}}}}}",
            ["task.loss.keypoint_weights is [nan", "must be finite"],
        ),
        ("{task: {codec: {sigma: .inf}}}", ["task.codec.sigma is inf", "be finite"]),
        (
            "{trainer: {optimizer_config: {learning_rate: {stepwise: "
            "{values: [.nan, 0.1, 0.1]}}}}}",
            ["learning_rate.stepwise.values is [nan, 0.1, 0.1]", "must be finite"],
        ),
        (
            "trainer.optimizer_config.optimizer.type=adafactor",
            ["optimizer.type is 'adafactor'", "not implement", "adafactor_keras"],
        ),
        *(
            (
                "{trainer: {optimizer_config: {ema: {average_decay: 0.5}, "
                f"optimizer: {{type: {kind}}}}}}}}}",
                ["optimizer_config.ema does not work with", repr(kind), "use another"],
            )
            for kind in ("sgd_experimental", "adam_experimental", "adafactor_keras")
        ),
        (
            "trainer.optimizer_config.optimizer.type=slide",
            ["optimizer.type is 'slide'", "not implement", "adamw"],
        ),
        ("task.codec.name=mrsa", ["task.codec.name", "msra", "dark, udp"]),
        ("{trainer: {profile_steps: [5]}}", ["trainer.profile_steps is [5]"]),
        ("{trainer: {profile_steps: [9, 5]}}", ["trainer.profile_steps", "[first,"]),
        (
            "{trainer: {profile_steps: [1, 3], train_steps: 100, steps_per_loop: 100}}",
            ["trainer.profile_steps is [1, 3]", "at step 100, when training is over"],
        ),
        ("task.codec.sigma=0.0", ["task.codec.sigma", "in [0.1, 100]"]),
        ("task.loss.name=okhm", ["task.loss.name", "did you mean 'ohkm'", "mse"]),
        (
            "{task: {loss: {name: ohkm, top_k: 18}}}",
            ["task.loss.top_k is 18", "from 1 to 17"],
        ),
        ("{task: {loss: {name: ohkm, top_k: 0}}}", ["task.loss.top_k is 0"]),
        (
            "{task: {loss: {keypoint_weights: [1.0, 1.5]}}}",
            ["task.loss.keypoint_weights has 2 numbers", "it must have 17"],
        ),
        (
            f"{{task: {{loss: {{keypoint_weights: {[0.0] * 17}}}}}}}",
            ["task.loss.keypoint_weights", "at least one must be above 0"],
        ),
        (
            f"{{task: {{loss: {{keypoint_weights: {[-1.0] + [1.0] * 16}}}}}}}",
            ["task.loss.keypoint_weights", "in [0, 1e+06], not -1.0"],
        ),
        (
            "task.train_data.augmentation.color.brightness=1.0",
            ["augmentation.color.brightness is 1.0", "in [0, 1)"],
        ),
        (
            "task.train_data.augmentation.color.hue=0.6",
            ["augmentation.color.hue is 0.6", "in [0, 0.5]"],
        ),
        ("task.skeleton=coco71", ["task.skeleton", "coco17"]),
        (
            "task.train_data.input_path=/nowhere/x*",
            ["task.train_data.input_path", "/nowhere/x*"],
        ),
        ("task.train_data.global_batch_size=0", ["task.train_data.global_batch_size"]),
        ("task.train_data.cache=true", ["task.train_data.cache", "augmentation"]),
        (
            "task.train_data.augmentation.flip_probability=1.5",
            ["task.train_data.augmentation.flip_probability", "[0, 1]"],
        ),
        (
            "task.train_data.enable_tf_data_service=true",
            ["task.train_data.tf_data_service_address", "--tf_data_service"],
        ),
        (
            "runtime.tpu=local",
            ["runtime.tpu (--tpu)", "'local'", "runtime.distribution_strategy"],
        ),
        (
            "task.validation_data.drop_remainder=true",
            ["task.validation_data.drop_remainder", "must be false"],
        ),
        (
            "task.validation_data.detections_file=/nowhere/boxes.json",
            ["task.validation_data.detections_file", "/nowhere/boxes.json"],
        ),
        (
            "task.evaluation.annotation_file=/nowhere/val.json",
            ["task.evaluation.annotation_file", "/nowhere/val.json"],
        ),
        (
            "task.init_checkpoint=/nowhere/ckpt",
            ["task.init_checkpoint", "/nowhere/ckpt.index"],
        ),
        ("task.init_checkpoint_modules=head", ["init_checkpoint_modules", "backbone"]),
        (
            "task.init_checkpoint_modules=[backbone, head]",
            ["task.init_checkpoint_modules", "'head'", "backbone, decoder"],
        ),
        ("task.init_checkpoint_modules=[]", ["task.init_checkpoint_modules is []"]),
        (
            "task.model.backbone.hrnet.classification_neck=true",
            ["hrnet.classification_neck is true", "must be false"],
        ),
        (
            "task.model.decoder.type=litehrnet",
            [
                "hrnet.multi_scale_output is false",
                "litehrnet, which reads all branches",
            ],
        ),
        (
            "{task: {model: {backbone: {type: litehrnet, "
            "litehrnet: {model_id: w32}}}}}",
            ["task.model.backbone.litehrnet.model_id", "'w32'", "lite18"],
        ),
        (
            "{task: {model: {backbone: {type: litehrnet, litehrnet: {model_id: custom, "
            "custom: {width: 9}}}}}}",
            ["task.model.backbone.litehrnet.custom.width is 9; it must be even"],
        ),
        (
            "task.model.backbone.type=litehrnet,task.model.input_size=[64, 80]",
            ["task.model.input_size", "multiples of 32", "width 80"],
        ),
        (
            "trainer.best_checkpoint_eval_metric=keypoint_Ap",
            ["trainer.best_checkpoint_eval_metric", "did you mean 'keypoint_AP'"],
        ),
        ("trainer.best_checkpoint_metric_comp=max", ["metric_comp", "higher, lower"]),
        ("trainer.train_steps=abc", ["trainer.train_steps", "'abc'"]),
        (
            "trainer.summary_interval=150",
            ["trainer.summary_interval", "steps_per_loop"],
        ),
        (
            "trainer.optimizer_config.learning_rate.stepwise.values=[0.1]",
            ["trainer.optimizer_config.learning_rate.stepwise.values", "one more"],
        ),
        (
            "runtime.distribution_strategy=mirored",
            ["runtime.distribution_strategy", "did you mean 'mirrored'"],
        ),
        (
            "runtime.distribution_strategy=parameter_server",
            ["parameter_server", "--mode=train"],
        ),
        (
            "runtime.mixed_precision_dtype=mixed_float16",
            ["runtime.mixed_precision_dtype", "did you mean 'float16'", "bfloat16"],
        ),
    ],
)
def test_mistake_is_named_with_its_path_and_what_is_allowed(good, override, fragments):
    names_one_mistake([*good, override], fragments)


@pytest.mark.parametrize(
    "override, fragments",
    [
        ("trainer.train_steps=1.5e3", ["trainer.train_steps", "write 1500"]),
        ("trainer.train_steps=true", ["trainer.train_steps", "whole number"]),
        ("runtime.distribution_strategy=off", ["distribution_strategy", "quotes"]),
        ("runtime.mixed_precision_dtype=None", ["mixed_precision_dtype", "null"]),
        ("task.model.input_size=[null, 192]", ["task.model.input_size", "height"]),
        ("task.model.input_size=[256]", ["task.model.input_size", "[height, width]"]),
        ("task.model.decoder.type=null", ["task.model.decoder.type"]),
        ("task.weight_decay=-0.1", ["task.weight_decay", "in [0, 1000]"]),
        (
            "task.train_data.is_training=false",
            ["task.train_data.is_training", "must be true"],
        ),
        (
            "task.validation_data.is_training=true",
            ["task.validation_data.is_training", "must be false"],
        ),
        ("task.train_data.input_path.a=b", ["task.train_data.input_path", "pattern"]),
        ("runtime.num_gpus=64", ["runtime.num_gpus", "GPUs that TensorFlow sees"]),
        ("trainer.summary_interval=0", ["trainer.summary_interval", "in [1, 1e+12]"]),
        ("trainer.optimizer_config.optimizer.type=adma", ["optimizer.type", "'adam'"]),
        ("trainer.optimizer_config.optimizer.type=null", ["optimizer.type"]),
        ("trainer.optimizer_config.warmup.type=linear", ["warmup.linear.warmup_steps"]),
        (
            "trainer.optimizer_config.learning_rate.stepwise.boundaries=[300, 200]",
            ["trainer.optimizer_config.learning_rate.stepwise.boundaries", "increase"],
        ),
    ],
)
def test_wrong_types_and_missing_values_are_named(good, override, fragments):
    names_one_mistake([*good, override], fragments)


@pytest.mark.parametrize(
    "override, fragments",
    [
        ("task.model.bakbone.type=hrnet", ["did you mean task.model.backbone?"]),
        ("train_steps=3", ["did you mean trainer.train_steps?"]),
        ("task.model.backbone=hrnet", ["write task.model.backbone.type=hrnet"]),
        ("task.codec.name.x=1", ["task.codec.name", "not a section"]),
        # The Garden would take any key of a section that was null.
        ("trainer.optimizer_config.ema.decay=0.9", ["ema.decay", "average_decay"]),
        ("task.model={input_size: [[1, 2], [3]]}", ["not valid YAML"]),
        ("{task: {model: {input_size: [[1, 2], [3]]}}}", ["a list may hold"]),
        ("task.codec.name", ["cannot be understood"]),
        ("task.train_data.input_path=*.tfrecord", ["not valid YAML", "quotes"]),
    ],
)
def test_override_that_cannot_be_applied(override, fragments):
    with pytest.raises(ConfigError) as error:
        parse_config("hrnet_pose_coco", [], [override])
    for fragment in fragments:
        assert fragment in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "pose/coco_w48_384x288",
        "pose/coco_w48_384x288.yaml",
        "configs/pose/coco_w48_384x288.yaml",
    ],
)
def test_presets_have_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parse_config("hrnet_pose_coco", [name])
    assert params.task.model.input_size == [384, 288]
    # A folder of that name, such as a model directory, is no file.
    file = tmp_path / name
    file.mkdir(parents=True)
    params = parse_config("hrnet_pose_coco", [name])
    assert params.task.model.input_size == [384, 288]
    # A file of one's own comes first.
    file.rmdir()
    file.write_text("task: {model: {input_size: [64, 32]}}")
    params = parse_config("hrnet_pose_coco", [name])
    assert params.task.model.input_size == [64, 32]


@pytest.mark.parametrize(
    "name, words",
    [
        ("pose/coco_w48_384x280", "did you mean 'pose/coco_w48_384x288', 'pose/coco_w"),
        ("POSE/COCO_W48_384X288", "did you mean 'pose/coco_w48_384x288', 'pose/coco_w"),
        ("configs/pose/coco_w48_384x280.yaml", "did you mean 'pose/coco_w48_384x288'"),
        ("naive18", "did you mean 'pose/coco_wider_naive18_256x192', 'pose/coco_"),
        ("aflw", "(did you mean 'face/aflw_w18_256x256'?)"),
        ("my.yaml", f"no preset my.yaml; {preset_files.FOLDER} has the presets."),
        ("", f"no preset ''; {preset_files.FOLDER} has the presets."),
        # A skeleton is no configuration.
        ("pose/skeleton_exampl", "did you mean 'pose/custom_skeleton'?"),
    ],
)
def test_the_nearest_presets_are_named(name, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_config("hrnet_pose_coco", [name])


def test_experiment_and_files_that_do_not_exist(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'hrnet_pose_coco'"):
        parse_config("hrnet_pos_coco")
    with pytest.raises(ConfigError, match="there is no file and no preset .*none.yaml"):
        parse_config("hrnet_pose_coco", [str(tmp_path / "none.yaml")])
    listed = tmp_path / "list.yaml"
    listed.write_text("- task")
    with pytest.raises(ConfigError, match="list.yaml holds .* YAML mapping"):
        parse_config("hrnet_pose_coco", [str(listed)])


def test_files_then_flags_then_overrides(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("task: {codec: {name: udp, sigma: 3}}\nruntime: {tpu: here}")
    params = parse_config("hrnet_pose_coco", [str(file)], "task.codec.sigma=1.5")
    assert (params.task.codec.name, params.task.codec.sigma) == ("udp", 1.5)
    assert params.runtime.tpu == "here"
    params = parse_config("hrnet_pose_coco", [str(file)], tpu="there")
    assert params.runtime.tpu == "there"


def test_the_address_of_an_unused_service_is_refused(good):
    with pytest.raises(ConfigError, match="--tf_data_service=grpc://a changes nothing"):
        parse_config("hrnet_pose_coco", [], good, tf_data_service="grpc://a")
    enabled = "task.train_data.enable_tf_data_service=true"
    params = parse_config("hrnet_pose_coco", [], enabled, tf_data_service="grpc://a")
    assert params.task.train_data.tf_data_service_address == "grpc://a"


def test_unimplemented_mode(good):
    with pytest.raises(ConfigError, match="--mode is 'continuous_train_and_eval'"):
        check(good, "continuous_train_and_eval")


def test_validation_loss_needs_ground_truth_boxes(good, tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    metric = (
        "trainer.best_checkpoint_eval_metric=validation_loss,"
        "trainer.best_checkpoint_metric_comp=lower"
    )
    check([*good, metric])
    boxes = f"task.validation_data.detections_file={tmp_path}/boxes.json"
    with pytest.raises(ConfigError, match="best_checkpoint_eval_metric"):
        check([*good, metric, boxes])


NME = (
    "task.evaluation.metric=nme",
    "task.evaluation.normalizer=[left_eye, right_eye]",
    "trainer.best_checkpoint_eval_metric=NME",
    "trainer.best_checkpoint_metric_comp=lower",
)
PCKH = (
    "task.evaluation.metric=pckh",
    "trainer.best_checkpoint_eval_metric=PCKh@0.5",
)


def refusal(overrides, mode="train_and_eval"):
    with pytest.raises(ConfigError) as error:
        check(overrides, mode)
    return str(error.value).splitlines()


def label(tmp_path, **changes):
    """Changes the annotation of the one person there is."""
    content = json.loads(json.dumps(ANNOTATIONS))
    content["annotations"][0].update(changes)
    (tmp_path / "val.json").write_text(json.dumps(content))


def test_metrics_have_what_they_need(good, tmp_path):
    label(tmp_path, keypoints=[9, 9, 2, 9, 5, 2, 5, 9, 2, *[0] * 42], normalizer=9)
    check([*good, *NME])
    check([*good, *PCKH])
    check([*good, *PCKH, "task.evaluation.thresholds=[0.5, 0.2]"])
    check([*good, *PCKH, "trainer.best_checkpoint_eval_metric=PCKh@0.1"])
    pck = "task.evaluation.metric=pck,trainer.best_checkpoint_eval_metric=PCK@0.2"
    check([*good, pck])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["task.evaluation.metric=pkch"], ["'pkch'", "did you mean 'pckh'"]),
        (
            [*NME, "task.evaluation.normalizer=[left_eye, chin]"],
            ["task.evaluation.normalizer", "'chin'", "coco17"],
        ),
        (
            [*NME, "task.evaluation.normalizer=''"],
            ["task.evaluation.normalizer is empty", "coco17"],
        ),
        (
            [*NME, "task.evaluation.normalizer=bbox"],
            ["task.evaluation.normalizer is 'bbox'", "did you mean"],
        ),
        (
            # Nobody has both eyes labelled.
            NME,
            ["val.json", "'nme'", "left_eye–right_eye", "task.evaluation.normalizer"],
        ),
        (PCKH, ["val.json", "'pckh'", "gt_valid.mat"]),
        (
            ["task.evaluation.metric=pck"],
            ["best_checkpoint_eval_metric is 'keypoint_AP'", "PCK@0.2"],
        ),
        (
            [
                "task.evaluation.metric=nme,task.evaluation.normalizer=bbox_size",
                "trainer.best_checkpoint_eval_metric=NME",
            ],
            ["best_checkpoint_metric_comp is 'higher'", "lower NME", "set it to lower"],
        ),
        (
            ["trainer.best_checkpoint_metric_comp=lower"],
            ["'lower'", "higher keypoint_AP", "set it to higher"],
        ),
        (
            ["trainer.best_checkpoint_eval_metric=keypoint_AP_hard"],
            ["best_checkpoint_eval_metric", "keypoint_AP_hard"],
        ),
        (
            [
                "task.evaluation.metric=pck,task.evaluation.thresholds=[0.2,0.2000001]",
                "trainer.best_checkpoint_eval_metric=PCK@0.2",
            ],
            ["task.evaluation.thresholds", "repeats"],
        ),
        (
            ["task.evaluation.thresholds=[0]"],
            ["task.evaluation.thresholds", "[0.0001, 10]"],
        ),
    ],
)
def test_metrics_that_cannot_be_computed(good, overrides, told):
    (sentence,) = refusal([*good, *overrides])
    assert all(part in sentence for part in told), sentence


def test_metrics_of_annotated_boxes_refuse_a_detector_s(good, tmp_path):
    label(tmp_path, normalizer=9)
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    detected = f"task.validation_data.detections_file={tmp_path}/boxes.json"
    sentences = refusal([*good, *PCKH, detected])
    assert any("'pckh', which is of annotated boxes" in s for s in sentences)


def test_an_evaluation_alone_may_compute_another_metric(good):
    """It keeps no best checkpoint."""
    pck = [*good, "task.evaluation.metric=pck"]
    check(pck, "eval")
    for mode in ("train", "train_and_eval", "continuous_eval"):
        assert "best_checkpoint_eval_metric" in refusal(pck, mode)[0]


def test_the_best_checkpoint_may_be_the_best_in_crowds(good, tmp_path):
    content = json.loads(json.dumps(ANNOTATIONS))
    content["images"][0]["crowdIndex"] = 0.3
    (tmp_path / "val.json").write_text(json.dumps(content))
    check([*good, "trainer.best_checkpoint_eval_metric=keypoint_AP_hard"])


@pytest.mark.parametrize("modules", ["all", "backbone", "decoder", "[decoder]"])
def test_parts_of_an_initial_checkpoint(good, modules):
    check([*good, f"task.init_checkpoint_modules={modules}"])


def test_a_training_that_goes_on_needs_no_initial_checkpoint(good):
    gone = [*good, "task.init_checkpoint=/nowhere/ckpt"]
    params = parse_config("hrnet_pose_coco", [], gone)
    validate(params, "train", pose.mistakes, continues=True)
    with pytest.raises(ConfigError, match="task.init_checkpoint is '/nowhere/ckpt'"):
        validate(params, "train", pose.mistakes)


# ---- upsampling of the backbone and of the decoder ----

UPSAMPLING_DECODERS = {
    "hrnetv2": ("hrnet_seg_cityscapes", segmentation.mistakes),
    "hrnetv2_ocr": ("hrnet_seg_cityscapes", segmentation.mistakes),
    "hrnetv2p": ("hrnet_maskrcnn_coco", detection.mistakes),
}


def check_upsampling(decoder, *overrides):
    experiment, mistakes = UPSAMPLING_DECODERS[decoder]
    here = "runtime.num_gpus=0,runtime.distribution_strategy=one_device"
    kind = f"task.model.decoder.type={decoder}"
    params = parse_config(experiment, [], [here, kind, *overrides])
    validate(params, None, mistakes)


@pytest.mark.parametrize("decoder", UPSAMPLING_DECODERS)
def test_unknown_upsampling_is_refused_under_its_own_name(decoder):
    key = f"task.model.decoder.{decoder}.upsampling"
    with pytest.raises(ConfigError) as error:
        check_upsampling(decoder, f"{key}=bilinaer")
    assert str(error.value) == (
        f"{key} is 'bilinaer' (did you mean 'bilinear'?); it must be one of bilinear, "
        "bilinear_align_corners."
    )


@pytest.mark.parametrize("decoder", UPSAMPLING_DECODERS)
@pytest.mark.parametrize("fusion", ["bilinear", "bilinear_align_corners"])
@pytest.mark.parametrize("upsampling", ["bilinear", "bilinear_align_corners"])
def test_decoder_must_enlarge_branches_as_the_backbone_does(
    decoder, fusion, upsampling
):
    keys = (
        f"task.model.decoder.{decoder}.upsampling",
        "task.model.backbone.hrnet.fuse_upsampling",
    )
    overrides = [f"{keys[0]}={upsampling}", f"{keys[1]}={fusion}"]
    if fusion == upsampling:
        check_upsampling(decoder, *overrides)
        return
    with pytest.raises(ConfigError) as error:
        check_upsampling(decoder, *overrides)
    assert len(str(error.value).splitlines()) == 1
    for key in keys:
        assert key in str(error.value)


@pytest.mark.parametrize("upsampling", ["bilinear", "bilinear_align_corners"])
def test_nearest_fusion_goes_with_any_pyramid(upsampling):
    check_upsampling(
        "hrnetv2p",
        f"task.model.decoder.hrnetv2p.upsampling={upsampling}",
        "task.model.backbone.hrnet.fuse_upsampling=nearest",
    )


def test_upsampling_of_a_decoder_that_is_not_used_does_not_matter():
    check_upsampling("hrnetv2p", "task.model.decoder.hrnetv2.upsampling=bilinaer")


# ---- experiments of the Garden ----


def check_segmentation(*overrides, mode="train", **hrnet):
    params = exp_factory.get_exp_config("seg_deeplabv3_pascal")
    params.task.init_checkpoint = None
    params.task.model.backbone = backbones.Backbone(
        type="hrnet", hrnet=backbones.HRNet(**hrnet)
    )
    for override in overrides:
        params.override(override)
    validate(params, mode, garden.mistakes)


def test_segmentation_with_hrnet_passes(tmp_path):
    write_record(tmp_path / "train.tfrecord")
    data = {"input_path": f"{tmp_path}/train*"}
    weights = {"weights": {"a": 1.0}}
    check_segmentation(
        {
            "task": {
                "train_data": data,
                "validation_data": {
                    "input_path": "",
                    "tfds_name": "any",
                    "tfds_split": "validation",
                },
                "model": {"input_size": [None, None, 3]},
            }
        },
        mode="train_and_eval",
    )
    check_segmentation(
        {"task": {"train_data": {"input_path": {"a": f"{tmp_path}/t*"}, **weights}}}
    )
    check_segmentation(
        {"task": {"train_data": data, "model": {"input_size": [473, 473, 3]}}},
        fuse_upsampling="bilinear",
    )


@pytest.mark.parametrize(
    "task, hrnet, fragments",
    [
        ({}, {"model_id": "w33"}, ["task.model.backbone.hrnet.model_id", "'w33'"]),
        ({}, {"classification_neck": True}, ["classification_neck", "must be false"]),
        (
            {"model": {"input_size": [500, 512, 3]}},
            {},
            ["task.model.input_size", "500"],
        ),
        ({"train_data": {"input_path": "/no/x*"}}, {}, ["task.train_data.input_path"]),
        (
            {"train_data": {"input_path": {"a": "/no/x*"}, "weights": {"a": 1.0}}},
            {},
            ["task.train_data.input_path.a", "'/no/x*'"],
        ),
        (
            {"train_data": {"input_path": "gs://**/x*"}},
            {},
            ["task.train_data.input_path", "'gs://**/x*' cannot be looked up"],
        ),
        ({"train_data": {"global_batch_size": 0}}, {}, ["global_batch_size is 0"]),
        ({"init_checkpoint": "/no/ckpt"}, {}, ["task.init_checkpoint", "/no/ckpt"]),
        (
            {"init_checkpoint_modules": ["backbone", "head"]},
            {},
            ["task.init_checkpoint_modules", "backbone, decoder"],
        ),
    ],
)
def test_segmentation_mistake(tmp_path, task, hrnet, fragments):
    write_record(tmp_path / "train.tfrecord")
    records = {"task": {"train_data": {"input_path": f"{tmp_path}/train*"}}}
    with pytest.raises(ConfigError) as error:
        check_segmentation(records, {"task": task}, **hrnet)
    for fragment in fragments:
        assert fragment in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_classification_with_another_backbone(tmp_path):
    write_class_records(tmp_path / "train.tfrecord", [0])
    records = f"task.train_data.input_path={tmp_path}/train*"
    mistakes = classification.mistakes
    validate(parse_config("resnet_imagenet", [], records), "train", mistakes)
    wrong = [records, "runtime.distribution_strategy=x"]
    with pytest.raises(ConfigError, match="^runtime.distribution_strategy"):
        validate(parse_config("resnet_imagenet", [], wrong), "train", mistakes)


def test_ema_with_float16(good):
    overrides = [
        *good,
        "trainer.optimizer_config.ema.average_decay=0.99",
        "runtime.mixed_precision_dtype=float16",
    ]
    with pytest.raises(ConfigError, match="ema does not work.*bfloat16"):
        check(overrides)


def test_sharded_validation_with_several_workers(good):
    overrides = [
        *good,
        "runtime.distribution_strategy=multi_worker_mirrored",
        "task.validation_data.sharding=true",
    ]
    with pytest.raises(ConfigError, match="task.validation_data.sharding"):
        check(overrides)


def test_all_mistakes_are_reported_at_once(good):
    with pytest.raises(ConfigError) as error:
        check([*good, "task.codec.name=x", "runtime.distribution_strategy=y"])
    assert len(str(error.value).splitlines()) == 2


def test_only_the_files_of_the_mode_are_needed(good):
    check(good[:1], "train")
    check(good[1:], "eval")
    with pytest.raises(ConfigError, match="task.train_data.input_path is empty"):
        check(good[1:], "train")
    with pytest.raises(ConfigError, match="annotation_file is empty"):
        check(good[:2], "eval")
