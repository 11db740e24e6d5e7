"""Image classification's values, and labels of all records that the Garden reads."""

import pytest
import tensorflow as tf
from class_records import write_class_records

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import (
    augmentation,
    classification,
    detection,
    validate,
)


def check_classes(*overrides, mode="train_and_eval", experiment="hrnet_imagenet"):
    """What is said of an experiment of image classification; "" if nothing is."""
    try:
        params = parse_config(experiment, [], list(overrides))
        validate(params, mode, classification.mistakes)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture
def classes(tmp_path):
    """Overrides with which image classification of three classes is valid."""
    write_class_records(tmp_path / "train-0.tfrecord", [0, 1, 2])
    write_class_records(tmp_path / "train-1.tfrecord", [2])
    write_class_records(tmp_path / "val.tfrecord", [2])
    return [
        "task.model.num_classes=3",
        f"task.train_data.input_path={tmp_path}/train-*",
        f"task.validation_data.input_path={tmp_path}/val.*",
    ]


@pytest.mark.parametrize("key", ["nope", "", "image/encoded"])
def test_the_field_of_labels_is_in_the_records(classes, key):
    message = check_classes(*classes, f"task.train_data.label_field_key='{key}'")
    assert "train-0.tfrecord: record 1 does not hold the number of a class" in message
    assert f"{key!r}, which task.train_data.label_field_key names" in message
    assert "its fields are image/class/label, image/encoded." in message
    # Those of validation, which are read by the same name.
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize("key", ["nope", "", "image/class/label"])
def test_the_field_of_images_is_in_the_records(classes, key):
    message = check_classes(
        *classes, f"task.train_data.image_field_key='{key}'", mode="train"
    )
    assert "record 1 does not hold one image in the field" in message
    assert "convert" not in message and len(message.splitlines()) == 1


def test_fields_of_other_names(classes, tmp_path):
    write_class_records(tmp_path / "train-0.tfrecord", [0], key="number")
    write_class_records(tmp_path / "train-1.tfrecord", [0], key="number")
    key = "task.train_data.label_field_key=number"
    assert check_classes(*classes, key, mode="train") == ""
    both = f"{key},task.validation_data.label_field_key=class"
    assert "both must be the same" in check_classes(*classes, both, mode="train")


@pytest.mark.parametrize("label", [-1, 3, 2**40])
@pytest.mark.parametrize("file", ["train-0", "train-1", "val"])
def test_labels_name_a_class(classes, tmp_path, label, file):
    write_class_records(tmp_path / f"{file}.tfrecord", [1, label])
    message = check_classes(*classes)
    assert f"{file}.tfrecord: record 2 has the label {label}" in message
    assert "labels must be in [0, 2]" in message
    assert len(message.splitlines()) == 1


def test_records_of_several_labels(classes, tmp_path):
    many = [*classes, "task.train_data.is_multilabel=true"]
    many += ["trainer.best_checkpoint_eval_metric=meanPR-AUC"]
    assert check_classes(*many) == ""
    key = "task.train_data.label_field_key=nope"
    assert "the number of a class" in check_classes(*many, key)


def test_objects_are_of_a_class(tmp_path):
    example = tf.train.Example()
    labels = example.features.feature["image/object/class/label"].int64_list.value
    labels.extend([1, 4])
    with tf.io.TFRecordWriter(str(tmp_path / "train.tfrecord")) as writer:
        writer.write(example.SerializeToString())
    records = f"task.train_data.input_path={tmp_path}/train.*"

    def said(num_classes):
        overrides = [
            records,
            f"task.model.num_classes={num_classes}",
            "task.model.backbone.hrnet.freeze_norm_statistics=false",
        ]
        params = parse_config("hrnet_retinanet_coco", [], overrides)
        try:
            validate(params, "train", detection.mistakes)
        except ConfigError as error:
            return str(error)
        return ""

    assert said(5) == ""
    assert "record 1 has the label 4" in said(4) and "in [1, 3]" in said(4)


@pytest.mark.parametrize("compression", ["GZIP", ""])
def test_compressed_records_are_named_as_such(classes, tmp_path, compression):
    right, wrong = ("tfrecord_compressed", "tfrecord")[:: 1 if compression else -1]
    (tmp_path / "train-1.tfrecord").unlink()
    write_class_records(tmp_path / "train-0.tfrecord", [9], compression=compression)

    def said(file_type):
        key = f"task.train_data.file_type={file_type}"
        return check_classes(*classes, key, mode="train")

    # Labels are looked at in either way.
    assert "has the label 9" in said(right)
    assert said(wrong).endswith(f"but file_type is {wrong}; set it to {right}.")


# ---- losses and augmentation ----

MIXUP = "task.train_data.mixup_and_cutmix.mixup_alpha=0.8"
NO_ONE_HOT = "task.losses.one_hot=false"
SOFT = "task.losses.soft_labels=true"
BINARY = "task.losses.use_binary_cross_entropy=true"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([NO_ONE_HOT, SOFT], "one_hot is false, but soft_labels true"),
        ([NO_ONE_HOT, BINARY], "one_hot is false, but use_binary_cross_entropy true"),
        ([MIXUP], "one_hot must be false and soft_labels true"),
        ([MIXUP, SOFT], "one_hot must be false and soft_labels true"),
        ([MIXUP, NO_ONE_HOT], "one_hot must be false and soft_labels true"),
        ([MIXUP, NO_ONE_HOT, BINARY], "one_hot must be false and soft_labels true"),
        ([MIXUP, NO_ONE_HOT, SOFT], ""),
        ([MIXUP, NO_ONE_HOT, SOFT, BINARY], ""),
        ([NO_ONE_HOT], ""),
        ([BINARY], ""),
        ([SOFT], ""),
    ],
)
def test_the_loss_gets_labels_of_its_form(classes, overrides, words):
    message = check_classes(*classes, *overrides, mode="train")
    assert words in message
    assert len(message.splitlines()) == bool(words)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("aug_type.type=ssd_random_crop", "must be autoaug or randaug"),
        ("aug_type={}", "aug_type.type is null"),
        (
            "aug_type={type: autoaug, autoaug: {augmentation_name: detection_v0}}",
            "only RetinaNet can use",
        ),
        ("random_erasing={min_area: 0.5, max_area: 0.1}", "must not be above it"),
        ("random_erasing.min_aspect=5.0", "must not be above 1"),
        ("crop_area_range=[0.5, 1.0]", "would change nothing"),
        ("aug_policy=autoaug", "would change nothing"),
        ("randaug_magnitude=3", "would change nothing"),
    ],
)
@pytest.mark.parametrize("data", ["train_data", "validation_data"])
def test_augmentation_that_the_garden_has_not(classes, data, override, words):
    key, value = override.split("=", 1)
    message = check_classes(*classes, f"task: {{{data}: {yaml_of(key, value)}}}")
    assert words in message and f"task.{data}.{key.split('.')[0]}" in message
    assert len(message.splitlines()) == 1


def yaml_of(key, value):
    first, _, rest = key.partition(".")
    return f"{{{first}: {yaml_of(rest, value) if rest else value}}}"


@pytest.mark.parametrize(
    ("mixup", "words"),
    [
        ("{switch_prob: 0.2}", "switch_prob is 0.2, which would change nothing"),
        ("{mixup_alpha: 0.0, cutmix_alpha: 0.0}", "one must be above 0"),
        ("{mixup_alpha: 0.0}", ""),
    ],
)
def test_mixing_of_images(classes, mixup, words):
    key = f"task: {{train_data: {{mixup_and_cutmix: {mixup}}}}}"
    assert words in (message := check_classes(*classes, NO_ONE_HOT, SOFT, key))
    assert len(message.splitlines()) == bool(words)


def test_validation_mixes_no_images(classes):
    key = "task.validation_data.mixup_and_cutmix.prob=1.0"
    assert "it must be null" in check_classes(*classes, key)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("task.losses.one_hot=true", ""),
        (NO_ONE_HOT, "one_hot and soft_labels are false: neither"),
        ("task.train_data.is_multilabel=true", "is_multilabel is true: neither"),
    ],
)
def test_precision_and_recall_are_measured(classes, override, words):
    message = check_classes(
        *classes,
        "task.evaluation.precision_and_recall_thresholds=[0.5]",
        "trainer.best_checkpoint_eval_metric=validation_loss,"
        "trainer.best_checkpoint_metric_comp=lower",
        override,
    )
    assert words in message
    assert len(message.splitlines()) == bool(words)


@pytest.mark.parametrize("name", ["tfds_name", "mixup_and_cutmix"])
def test_several_labels_do_not_go_with_everything(classes, name):
    values = {"tfds_name": "imagenet2012", "mixup_and_cutmix": "{prob: 1.0}"}
    message = check_classes(
        *classes,
        f"task: {{train_data: {{is_multilabel: true, {name}: {values[name]}}}}}",
        "trainer.best_checkpoint_eval_metric=meanPR-AUC",
    )
    assert f"which does not go with task.train_data.{name}" in message


PARSER = [
    ("retinanet", "aug_rand_jpeg: {min_quality: 90, max_quality: 10}", "be below it"),
    ("retinanet", "aug_rand_jpeg: {min_quality: 50, max_quality: 50}", "be below it"),
    (
        "retinanet",
        "aug_type: {type: ssd_random_crop, ssd_random_crop: {aspect_ratio_range: "
        "[10, 0.1]}}",
        "aspect_ratio_range is [10, 0.1]; the second",
    ),
    (
        "retinanet",
        "aug_type: {type: ssd_random_crop, ssd_random_crop: {area_range: [1.0, 0.1]}}",
        "area_range is [1.0, 0.1]; the second",
    ),
    (
        "retinanet",
        "aug_type: {type: ssd_random_crop, ssd_random_crop: {ssd_random_crop_params: "
        "[]}}",
        "ssd_random_crop_params is empty",
    ),
    ("retinanet", "aug_policy: v0", "would change nothing"),
    ("retinanet", "aug_type: {type: autoaug}", ""),
    (
        "retinanet",
        "aug_type: {type: autoaug, autoaug: {augmentation_name: detection_v0}}",
        "",
    ),
    (
        "maskrcnn",
        "aug_type: {type: autoaug, autoaug: {augmentation_name: detection_v0}}",
        "only RetinaNet can use",
    ),
    ("maskrcnn", "aug_type: {type: ssd_random_crop}", "only RetinaNet has"),
    ("maskrcnn", "aug_type: {type: randaug}", ""),
]


@pytest.mark.parametrize(("experiment", "parser", "words"), PARSER)
def test_augmentation_of_objects(experiment, parser, words):
    override = f"task: {{train_data: {{parser: {{{parser}}}}}}}"
    params = parse_config(f"hrnet_{experiment}_coco", [], [override])
    found = list(
        augmentation.parser_mistakes(
            "task.train_data.parser", params.task.train_data.parser
        )
    )
    assert len(found) == bool(words)
    assert all(words in mistake for mistake in found)
