"""Values that no task can mean, in records that are whole."""

import re
import types

import numpy as np
import pytest
import tensorflow as tf
from official.core import config_definitions as cfg
from official.vision.data import tfrecord_lib

from hrnet_tf.data.records import checks, culprits
from hrnet_tf.data.records.checks import checked, checked_beside, class_labels
from hrnet_tf.data.records.instances import consistency
from hrnet_tf.data.records.pose import encode_image_record, parse_image_record


def told(tmp_path, serialized, read):
    """What is said of the one record of a file."""
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(serialized)
    error = culprits.find([path], read, tf.data.TFRecordDataset)
    return error.message.removeprefix(f"{path}: record 1") if error else ""


def example(features):
    feature = {key: tfrecord_lib.convert_to_feature(v) for key, v in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature))


AGAIN = "; convert the data again with --overwrite."

# ---- objects ----

BOX, LABEL = "image/object/bbox/", "image/object/class/label"
MASK, AREA, CROWD = (f"image/object/{name}" for name in ("mask", "area", "is_crowd"))


def png(height, width):
    mask = np.zeros((height, width), np.uint8)
    return tfrecord_lib.encode_mask_as_png(mask)


OBJECTS = {
    "image/source_id": b"7",
    "image/height": 100,
    "image/width": 200,
    f"{BOX}xmin": [0.1, 0.0],
    f"{BOX}xmax": [0.5, 1.0],
    f"{BOX}ymin": [0.1, 0.0],
    f"{BOX}ymax": [0.1, 1.0],
    LABEL: [1, 4],
    AREA: [0.0, 50.5],
    CROWD: [0, 1],
    MASK: [png(100, 200), png(33, 67)],
}


def told_of_objects(tmp_path, changes, *, classes=5, masks=True, numbers=True):
    features = {k: v for k, v in (OBJECTS | changes).items() if v is not None}
    check = consistency(classes, masks, numbers)
    return told(
        tmp_path,
        example(features).SerializeToString(),
        lambda serialized: checked(serialized, check),
    )


NO_BOXES = dict.fromkeys(f"{BOX}{name}" for name in ("xmin", "xmax", "ymin", "ymax"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {AREA: None, CROWD: None},
        {"image/height": None, "image/width": None},
        {f"{BOX}xmax": [0.5, 1.004], f"{BOX}ymin": [-0.004, 0.0]},
        {MASK: [png(100, 200)] * 2},
        NO_BOXES | {LABEL: None, AREA: None, CROWD: None, MASK: None},
    ],
)
def test_objects_of_any_converter_are_read(tmp_path, changes):
    assert told_of_objects(tmp_path, changes) == ""


@pytest.mark.parametrize(
    ("changes", "told_"),
    [
        (NO_BOXES, ".* is not of as many objects as .*"),
        ({LABEL: None}, f"{LABEL} is not of as many objects as {BOX}xmin"),
        ({LABEL: [1]}, f"{LABEL} is not of as many objects as {BOX}xmin"),
        ({f"{BOX}ymax": [0.5]}, f"{BOX}ymax is not of as many objects as .*"),
        ({MASK: None}, f"{MASK} is not of as many objects as {BOX}xmin"),
        ({MASK: [png(100, 200)]}, f"{MASK} is not of as many objects as {BOX}xmin"),
        ({AREA: [1.5]}, f"{AREA} is not of as many objects as {BOX}xmin"),
        ({CROWD: [1]}, f"{CROWD} is not of as many objects as {BOX}xmin"),
        ({LABEL: [0, 1]}, f"{LABEL} is not from 1 to 4, as task.*num_classes says"),
        ({LABEL: [1, 5]}, f"{LABEL} is not from 1 to 4, as task.*num_classes says"),
        ({LABEL: [1, -1]}, f"{LABEL} is not from 1 to 4, as .*"),
        ({LABEL: [1, 2**62]}, f"{LABEL} is not from 1 to 4, as .*"),
        (
            {f"{BOX}xmin": [float("nan"), 0.0]},
            f"{BOX}xmin is not from 0 to 1|.*below.*",
        ),
        ({f"{BOX}xmin": [float("-inf"), 0.0]}, f"{BOX}xmin is not from 0 to 1"),
        ({f"{BOX}xmin": [-3.0, 0.0]}, f"{BOX}xmin is not from 0 to 1"),
        ({f"{BOX}ymax": [40.0, 1.0]}, f"{BOX}ymax is not from 0 to 1"),
        ({f"{BOX}xmax": [0.0, 1.0]}, f"{BOX}xmax is below {BOX}xmin"),
        ({f"{BOX}ymax": [0.0, 1.0]}, f"{BOX}ymax is below {BOX}ymin"),
        ({AREA: [float("nan"), 1.0]}, f"{AREA} is negative or no number"),
        ({AREA: [-1.0, 1.0]}, f"{AREA} is negative or no number"),
        ({CROWD: [0, 9]}, f"{CROWD} is neither 0 nor 1"),
        ({"image/height": 0}, "image/height is below 1"),
        ({"image/width": -7}, "image/width is below 1"),
        (
            {MASK: [png(100, 200), png(67, 33)]},
            f"{MASK} has another shape than the image",
        ),
    ],
)
def test_objects_that_no_detector_can_learn_are_told(tmp_path, changes, told_):
    said = told_of_objects(tmp_path, changes)
    assert re.fullmatch(f": ({told_}){AGAIN}", said), said


@pytest.mark.parametrize("number", [b"", b"abc", b"1" * 30, b"1e400", b"-3"])
def test_ids_are_numbers_where_an_evaluation_needs_them(tmp_path, number):
    changes = {"image/source_id": number}
    said = told_of_objects(tmp_path, changes)
    assert said == f": image/source_id is no number{AGAIN}"
    assert told_of_objects(tmp_path, changes, numbers=False) == ""


def test_only_what_a_model_reads_is_looked_at(tmp_path):
    assert told_of_objects(tmp_path, {MASK: None}, masks=False) == ""
    assert told_of_objects(tmp_path, {LABEL: [9]}, classes=None) == ""


# ---- classes ----


@pytest.mark.parametrize(
    ("labels", "several", "told_"),
    [
        ([0], False, ""),
        ([2], False, ""),
        ([0, 2], True, ""),
        ([], True, ""),
        ([3], False, "is not from 0 to 2, as task.model.num_classes says"),
        ([-1], False, "is not from 0 to 2, as task.model.num_classes says"),
        ([2**40], False, "is not from 0 to 2, as task.model.num_classes says"),
        ([0, 3], True, "is not from 0 to 2, as task.model.num_classes says"),
        ([0, 2], False, "does not hold one number"),
        ([], False, "does not hold one number"),
    ],
)
def test_classes_are_those_of_the_model(tmp_path, labels, several, told_):
    said = told(
        tmp_path,
        example({"label": labels} if labels else {}).SerializeToString(),
        lambda serialized: checked(serialized, class_labels("label", 3, several)),
    )
    assert said == (f": label {told_}{AGAIN}" if told_ else "")


# ---- people ----


@pytest.mark.parametrize(
    ("changes", "told_"),
    [
        ({}, ""),
        ({"bbox": (-5.0, 3.0, 0.0, 9.0)}, ""),
        ({"keypoints": [1.0, 2.0, 7.0]}, "a visibility in person/keypoints .* 0 to 2"),
        ({"keypoints": [1e30, 2.0, 2.0]}, "person/keypoints is not from .*"),
        ({"bbox": (1.0, 1.0, 3e38, 1.0)}, ".*person/bbox is not from .*"),
        ({"bbox": (1.0, 1.0, -5.0, 1.0)}, "a width in person/bbox is not from 0 .*"),
        ({"bbox": (1.0, 1.0, 5.0, -1.0)}, "a height in person/bbox is not from 0 .*"),
        ({"area": -1.0}, "person/area is not from 0 to .*"),
        ({"iscrowd": 9}, "person/iscrowd is not from 0 to 1"),
    ],
)
def test_people_that_nobody_can_be_are_told(tmp_path, changes, told_):
    person = {
        "id": 1,
        "bbox": (1.0, 1.0, 5.0, 5.0),
        "area": 3.0,
        "iscrowd": 0,
        "num_keypoints": 1,
        "keypoints": [1.0, 2.0, 2.0],
        "region": None,
        "normalizer": 0.0,
    }
    serialized = encode_image_record(
        encoded=b"",
        image_id=1,
        filename="a",
        height=9,
        width=9,
        people=[types.SimpleNamespace(**(person | changes))],
        keypoints_per_person=1,
    )
    said = told(tmp_path, serialized, lambda one: parse_image_record(one, 1)["bbox"])
    assert re.fullmatch(f": {told_}{AGAIN}" if told_ else "", said), said


# ---- beside a task of the Garden ----


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Four batches, beside records with these labels, of which two are read each."""
    monkeypatch.setattr(checks, "_AT_ONCE", 2)

    def make(labels, input_context=None, file_type="tfrecord"):
        options = "GZIP" if file_type == "tfrecord_compressed" else ""
        path = str(tmp_path / "a.tfrecord")
        with tf.io.TFRecordWriter(path, options) as writer:
            for label in labels:
                writer.write(example({"label": [label]}).SerializeToString())
        data = cfg.DataConfig(input_path=path, global_batch_size=1)
        data.file_type = file_type
        batches = tf.data.Dataset.range(4).map(lambda n: (n, {"label": n}))
        check = class_labels("label", 3)
        return checked_beside(batches, data, check, input_context)

    return make


def read_until_it_fails(dataset):
    read = []
    try:
        for image, labels in dataset:
            assert image == labels["label"]
            read.append(int(image))
    except tf.errors.InvalidArgumentError as error:
        assert "label is not from 0 to 2" in error.message
        return read, True
    return read, False


@pytest.mark.parametrize("file_type", ["tfrecord", "tfrecord_compressed"])
def test_batches_of_right_records_stay_as_they_are(beside, file_type):
    dataset = beside([0, 1, 2], file_type=file_type)
    for _ in range(2):
        assert read_until_it_fails(dataset) == ([0, 1, 2, 3], False)


@pytest.mark.parametrize(("place", "batches"), [(0, 0), (1, 0), (2, 1), (7, 3)])
def test_records_are_looked_at_ahead_of_the_batches(beside, place, batches):
    labels = [0] * 8
    labels[place] = 3
    expected = ([*range(batches)], True)
    assert read_until_it_fails(beside(labels)) == expected
    assert read_until_it_fails(beside(labels, file_type="tfrecord_compressed")) == (
        expected
    )


@pytest.mark.parametrize("pipeline", [0, 1])
def test_several_pipelines_share_the_records(beside, pipeline):
    context = tf.distribute.InputContext(2, pipeline, 2)
    labels = [0, 0, 0, 3]
    expected = ([], True) if pipeline else ([0, 1, 2, 3], False)
    assert read_until_it_fails(beside(labels, context)) == expected


def test_what_no_file_holds_is_not_looked_at():
    batches = tf.data.Dataset.range(4)
    data = cfg.DataConfig(tfds_name="imagenet2012", input_path="")
    assert checked_beside(batches, data, class_labels("label", 3)) is batches
