"""Every configuration mistake is named before the first step."""

import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.experiment import ConfigError, parse_config
from hrnet_tf.validation import validate


@pytest.fixture
def good(tmp_path):
    """Overrides that make hrnet_pose_coco valid in every mode."""
    for name in ("train.tfrecord", "val.tfrecord", "val.json"):
        (tmp_path / name).write_text("x")
    return [
        f"task.train_data.input_path={tmp_path}/train*",
        f"task.validation_data.input_path={tmp_path}/val.tf*",
        f"task.evaluation.annotation_file={tmp_path}/val.json",
    ]


def check(overrides, mode="train_and_eval"):
    validate(parse_config("hrnet_pose_coco", [], overrides), mode)


def test_good_configuration_passes(good):
    for mode in ("train", "eval", "train_and_eval", "continuous_eval"):
        check(good, mode)


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
        ("task.codec.name=mrsa", ["task.codec.name", "msra", "dark, udp"]),
        ("task.codec.sigma=0.0", ["task.codec.sigma", "above 0"]),
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
    with pytest.raises(ConfigError) as error:
        check([*good, override])
    for fragment in fragments:
        assert fragment in str(error.value)
    assert len(str(error.value).splitlines()) == 1


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
