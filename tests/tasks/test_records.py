"""Damaged records of every kind, read by the pipeline that a run reads them with."""

import shutil

import cv2
import numpy as np
import pytest
import record_damage as damage
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.tasks import detection
from hrnet_tf.tasks.garden import get_task
from hrnet_tf.tasks.records import naming_culprits
from hrnet_tf.training.experiment import parse_config

KINDS = ("pose", "segmentation", "detection", "classification")
ROLES = (
    "train_data",
    pytest.param("validation_data", marks=[pytest.mark.slow, pytest.mark.faults]),
)


@pytest.fixture
def records(request, tmp_path):
    """Makes the task of a kind and a copy of its records, two files of two or more."""

    def make(kind, role):
        split = role.removesuffix("_data").replace("validation", "val")
        if kind == "classification":
            write_classes(tmp_path / f"{split}-00000-of-00002.tfrecord")
            write_classes(tmp_path / f"{split}-00001-of-00002.tfrecord")
            experiment, changes = "hrnet_imagenet", CLASSIFICATION
        else:
            fixture, folder, experiment, config = SOURCES[kind]
            data = request.getfixturevalue(fixture)
            for path in (data / folder).glob(f"{split}*"):
                shutil.copy(path, tmp_path)
            changes = str(data / config)
        pattern = f"{tmp_path}/{split}-*"
        overrides = [changes, f"task.{role}.input_path={pattern}"]
        config = parse_config(experiment, [], overrides).task
        # All records are read once.
        data = getattr(config, role)
        data.override({"shuffle_buffer_size": 1, "cycle_length": 1, "seed": 0})
        return config, data, sorted(map(str, tmp_path.glob(f"{split}-*")))

    return make


SOURCES = {
    "pose": ("toy_data", "records", "hrnet_pose_coco", "toy.yaml"),
    "segmentation": ("parsing_data", "records", "hrnet_seg_custom", "parsing.yaml"),
    "detection": ("detection_data", "objects", "hrnet_maskrcnn_coco", "detection.yaml"),
}
CLASSIFICATION = (
    "{task: {model: {num_classes: 3, input_size: [64, 64, 3]}, train_data: "
    "{global_batch_size: 2}, validation_data: {global_batch_size: 2}}}"
)


def write_classes(path):
    image = np.full((64, 64, 3), 90, np.uint8)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label in range(3):
            example = tf.train.Example()
            feature = example.features.feature
            encoded = cv2.imencode(".jpg", image)[1].tobytes()
            feature["image/encoded"].bytes_list.value.append(encoded)
            feature["image/class/label"].int64_list.value.append(label)
            writer.write(example.SerializeToString())


def read_all(config, data, change=lambda: None):
    """Reads all records as a run does, in a graph; `change` happens at the start."""
    with naming_culprits(config, data):
        dataset = get_task(config).build_inputs(data)
        change()
        batches = iter(dataset)
        read = tf.function(lambda: tf.nest.flatten(next(batches))[0][0, 0, 0, 0])
        for _ in range(12):
            try:
                read()
            except tf.errors.OutOfRangeError:
                break


# ---- damaged files ----


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_whole_records_are_read(records, kind, role):
    config, data, _ = records(kind, role)
    read_all(config, data)


DAMAGES = (
    *("delete", "folder", "cut_within_the_last"),
    *("flip_in_the_length", "flip_in_the_record", "flip_in_the_checksum"),
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("classification", name) for name in DAMAGES),
        *((kind, "flip_in_the_record") for kind in KINDS[:3]),
        # Each traces a pipeline; what names the file and the record is one for all.
        *(
            pytest.param(kind, name, marks=pytest.mark.slow)
            for kind in KINDS[:3]
            for name in DAMAGES
            if name != "flip_in_the_record"
        ),
    ],
)
def test_the_file_and_the_record_are_named(records, kind, role, name):
    config, data, files = records(kind, role)
    count = sum(1 for _ in tf.data.TFRecordDataset(files[1]))
    with pytest.raises(RecordError) as error:
        read_all(config, data, lambda: getattr(damage, name)(files[1]))
    assert str(error.value).startswith(files[1])
    if name not in ("delete", "folder"):
        assert f"{files[1]}: record {count} is damaged (" in str(error.value)
        assert "convert the data again with --overwrite" in str(error.value)


# ---- garbage that is stored faithfully ----


def edited(change):
    def edit(serialized):
        example = tf.train.Example.FromString(serialized)
        change(example.features.feature)
        return example.SerializeToString()

    return edit


def set_bytes(key, value):
    def change(feature):
        for place in range(len(feature[key].bytes_list.value)):
            feature[key].bytes_list.value[place] = value

    return edited(change)


def drop(key):
    return edited(lambda feature: feature.pop(key))


def as_number(key):
    def change(feature):
        feature[key].Clear()
        feature[key].int64_list.value.append(3)

    return edited(change)


def shorten(key, kind="float_list"):
    return edited(lambda feature: getattr(feature[key], kind).value.pop())


def floats(key, value):
    def change(feature):
        feature[key].float_list.value[0] = value

    return edited(change)


def ints(key, value):
    def change(feature):
        feature[key].int64_list.value[0] = value

    return edited(change)


def png(value, shape):
    return cv2.imencode(".png", np.full(shape, value, np.uint8))[1].tobytes()


LABELS = "image/segmentation/class/encoded"
ANY = {
    "no protocol buffer": lambda serialized: b"\xff" * 40,
    "nothing": lambda serialized: b"",
    "an undecodable image": set_bytes("image/encoded", b"no image"),
    "an empty image": set_bytes("image/encoded", b""),
    "an image cut off": edited(
        lambda feature: feature["image/encoded"].bytes_list.value.__setitem__(
            0, feature["image/encoded"].bytes_list.value[0][:100]
        )
    ),
    "a number for an image": as_number("image/encoded"),
}
GARBAGE = {
    **{(kind, name): change for kind in KINDS for name, change in ANY.items()},
    ("pose", "another K"): edited(
        lambda feature: feature["keypoints_per_person"].int64_list.value.__setitem__(
            0, 16
        )
    ),
    ("pose", "a keypoint number missing"): shorten("person/keypoints"),
    ("pose", "a box number missing"): shorten("person/bbox"),
    ("pose", "an area missing"): shorten("person/area"),
    ("pose", "a crowd flag missing"): shorten("person/iscrowd", "int64_list"),
    ("pose", "NaN for a keypoint"): floats("person/keypoints", float("nan")),
    ("pose", "an infinite box"): floats("person/bbox", float("inf")),
    ("pose", "no image id"): drop("image/id"),
    ("pose", "no height"): drop("image/height"),
    ("segmentation", "undecodable labels"): set_bytes(LABELS, b"no image"),
    ("segmentation", "no labels"): drop(LABELS),
    ("segmentation", "labels of another size"): set_bytes(LABELS, png(0, (3, 5))),
    ("segmentation", "an unknown label"): edited(
        lambda feature: feature[LABELS].bytes_list.value.__setitem__(
            0,
            cv2.imencode(
                ".png",
                np.full_like(
                    cv2.imdecode(
                        np.frombuffer(feature[LABELS].bytes_list.value[0], np.uint8), 0
                    ),
                    200,
                ),
            )[1].tobytes(),
        )
    ),
    ("detection", "undecodable masks"): set_bytes("image/object/mask", b"no image"),
    ("detection", "a coordinate missing"): shorten("image/object/bbox/xmin"),
    ("detection", "no id"): drop("image/source_id"),
    ("detection", "no masks"): drop("image/object/mask"),
    ("detection", "a class beyond"): ints("image/object/class/label", 5),
    ("detection", "masks of another shape"): set_bytes(
        "image/object/mask", png(1, (96, 30))
    ),
    ("detection", "NaN in a box"): floats("image/object/bbox/xmin", float("nan")),
    ("detection", "a box in pixels"): floats("image/object/bbox/ymax", 40.0),
    ("detection", "a label missing"): shorten("image/object/class/label", "int64_list"),
    ("classification", "a class beyond"): ints("image/class/label", 3),
    ("classification", "no class"): drop("image/class/label"),
    ("classification", "two classes"): edited(
        lambda feature: feature["image/class/label"].int64_list.value.append(1)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("kind", "name"), GARBAGE, ids=map("-".join, GARBAGE))
def test_garbage_in_a_record_is_named(records, kind, name, role):
    config, data, files = records(kind, role)
    number = damage.rewrite(files[1], GARBAGE[kind, name])
    with pytest.raises(RecordError) as error:
        read_all(config, data)
    assert f"{files[1]}: record {number}" in str(error.value)
    assert "convert the data" in str(error.value)
    # One sentence about the record, and one advice: nothing of TensorFlow's insides.
    said = str(error.value).removeprefix(f"{files[1]}: record {number}")
    assert said.startswith((": ", " is damaged (")) and said.endswith(".")
    assert said.count("convert the data") == 1
    for inside in ("Error in", "Iterator", "assertion", "Condition", *"{}[]\n"):
        assert inside not in said


@pytest.mark.parametrize(
    "changes", [{}, {"mixup_and_cutmix": {}}, {"is_multilabel": True}]
)
@pytest.mark.slow  # Three trainings.
def test_a_class_beyond_is_named_in_whatever_form_labels_are(records, changes):
    config, data, files = records("classification", "train_data")
    data.override(changes)
    read_all(config, data)
    damage.rewrite(files[1], GARBAGE["classification", "a class beyond"])
    with pytest.raises(RecordError, match=f"^{files[1]}: record 3: image/class/label "):
        read_all(config, data)


@pytest.mark.slow
def test_a_class_beyond_is_seen_before_a_mask_head_fails_on_it(records, monkeypatch):
    """Of a large set, a record may be learned before its turn to be looked at."""
    monkeypatch.setattr(detection, "checked_beside", lambda dataset, *_: dataset)
    config, data, files = records("detection", "train_data")
    number = damage.rewrite(files[1], GARBAGE["detection", "a class beyond"])
    with pytest.raises(RecordError, match=f"^{files[1]}: record {number}: .*label is"):
        read_all(config, data)


@pytest.mark.slow
def test_masks_of_other_numbers_are_not_trained_on(records):
    """An evaluation compares with the masks of its annotation file."""

    def make_grey(feature):
        size = [
            feature[key].int64_list.value[0] for key in ("image/height", "image/width")
        ]
        masks = feature["image/object/mask"].bytes_list.value
        masks[:] = [png(200, size)] * len(masks)

    config, data, files = records("detection", "train_data")
    number = damage.rewrite(files[1], edited(make_grey))
    with pytest.raises(RecordError) as error:
        read_all(config, data)
    assert str(error.value) == (
        f"{files[1]}: record {number}: image/object/mask holds other numbers than 0 "
        "and 1; convert the data again with --overwrite."
    )


def test_other_errors_stay_as_they_are(records):
    config, data, _ = records("pose", "train_data")
    with pytest.raises(tf.errors.InvalidArgumentError), naming_culprits(config, data):
        tf.reshape(tf.zeros([3]), [2])


SENTENCES = {
    ("pose", "no height"): ": image/height is missing or below 1; {again}.",
    ("pose", "an undecodable image"): (
        " is damaged (Unknown image file format. One of JPEG, PNG, GIF, BMP, WebP "
        "required); {again}."
    ),
    ("segmentation", "an unknown label"): (
        ": The labels hold a number beyond 19, the last class, that is not 255; "
        "{again}."
    ),
    ("detection", "no masks"): (
        ": image/object/mask is not of as many objects as image/object/bbox/xmin; "
        "{again}."
    ),
    ("detection", "masks of another shape"): (
        ": image/object/mask has another shape than the image; {again}."
    ),
    ("detection", "no id"): (
        ": it has no image/source_id, as records of another kind; {again}, or take "
        "records of this kind."
    ),
    ("classification", "a class beyond"): (
        ": image/class/label is not from 0 to 2, as task.model.num_classes says; "
        "{again}."
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), SENTENCES, ids=map("-".join, SENTENCES))
def test_what_is_told_is_one_sentence(records, kind, name):
    config, data, files = records(kind, "train_data")
    number = damage.rewrite(files[1], GARBAGE[kind, name])
    with pytest.raises(RecordError) as error:
        read_all(config, data)
    said = SENTENCES[kind, name].format(again="convert the data again with --overwrite")
    assert str(error.value) == f"{files[1]}: record {number}{said}"


@pytest.mark.parametrize(
    # Two pipelines to trace for each.
    "name",
    [
        "abc",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("", "1" * 30, "1e400")),
    ],
)
def test_ids_of_evaluated_images_are_numbers(records, name):
    change = set_bytes("image/source_id", name.encode())
    for role in ("train_data", "validation_data"):
        config, data, files = records("detection", role)
        number = damage.rewrite(files[1], change)
        if role == "train_data":
            read_all(config, data)  # Nothing looks for their images.
            continue
        with pytest.raises(RecordError) as error:
            read_all(config, data)
        assert str(error.value) == (
            f"{files[1]}: record {number}: image/source_id is no number; convert the "
            "data again with --overwrite."
        )


@pytest.mark.slow
def test_what_records_of_others_leave_out_or_round_is_read(records):
    """The Garden's own converter writes neither areas nor crowds where none are."""

    def change(feature):
        feature["image/object/bbox/xmax"].float_list.value[0] = 1.004
        feature["image/object/bbox/xmin"].float_list.value[0] = -0.004
        for key in ("object/area", "object/is_crowd", "height", "width"):
            feature.pop(f"image/{key}")

    config, data, files = records("detection", "train_data")
    damage.rewrite(files[1], edited(change))
    read_all(config, data)
