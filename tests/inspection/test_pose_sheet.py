"""The sheet shows what training sees, and the seed decides what that is."""

import numpy as np
import pytest
import tensorflow as tf
from people_folder import PeopleFolder

from hrnet_tf.configs.pose import PoseTask
from hrnet_tf.data.inputs.pose import PoseInput, render_targets
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.inspection import pose_sheet
from hrnet_tf.inspection.findings import Findings
from hrnet_tf.inspection.pose_sources import RecordedPeople

SKELETON = load_skeleton("coco17")


@pytest.fixture(scope="module")
def task() -> PoseTask:
    task = PoseTask()
    task.model.input_size = [96, 64]
    return task


@pytest.fixture(scope="module")
def pattern(tmp_path_factory) -> str:
    return PeopleFolder(tmp_path_factory.mktemp("people"), 3).convert()


@pytest.fixture(scope="module")
def chosen(pattern) -> list[pose_sheet.Chosen]:
    samples = RecordedPeople(pattern, SKELETON).samples(Findings(0))
    return [
        pose_sheet.Chosen(sample, sample.content.people[0])
        for sample in samples
        if sample.content
    ]


def crops(chosen, task, is_training, times, seed=0):
    records = [one.record(17) for one in chosen]
    read = pose_sheet._read_crops
    of_each = read(records, task, SKELETON, is_training, times, seed)
    assert all(len(of_one) == times for of_one in of_each)
    return [crop for of_one in of_each for crop in of_one]


def test_plain_crops_are_those_of_an_evaluation(pattern, chosen, task):
    data = task.validation_data.replace(input_path=pattern, global_batch_size=3)
    pose_input = PoseInput(data, task.codec, task.model.input_size, SKELETON)
    (images, labels), *_ = pose_input.dataset()
    by_id = dict(zip(labels["image_id"].numpy(), images.numpy(), strict=True))
    labels = render_targets(labels, task.codec, task.model.input_size)
    heatmaps = dict(zip(labels["image_id"].numpy(), labels["heatmaps"], strict=True))
    for one, (image, _, targets) in zip(
        chosen, crops(chosen, task, False, 1), strict=True
    ):
        number = one.sample.place.image_id
        np.testing.assert_array_equal(image, by_id[number])
        np.testing.assert_array_equal(targets, heatmaps[number])


def test_targets_peak_where_the_keypoints_are_drawn(chosen, task):
    for _, keypoints, targets in crops(chosen, task, True, 4):
        for keypoint in range(17):
            target = targets[..., keypoint]
            if target.max() < 0.9:
                continue
            y, x = np.unravel_index(target.argmax(), target.shape)
            np.testing.assert_allclose([4 * x, 4 * y], keypoints[keypoint, :2], atol=3)


def test_a_seed_decides_all_crops_and_each_row_shows_one_person(chosen, task):
    first, again, other = (crops(chosen, task, True, 4, seed) for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], same[0])
    assert any((a[0] != b[0]).any() for a, b in zip(first, other, strict=True))
    assert len(first) == 4 * len(chosen)
    assert (first[0][0] != first[1][0]).any()


def test_mirrored_crops_have_left_and_right_exchanged(chosen, task):
    task = task.replace(train_data={"augmentation": {"flip_probability": 1.0}})
    augmentation = task.train_data.augmentation
    augmentation.rotation_probability = augmentation.scale = 0.0
    augmentation.half_body_probability = 0.0
    plain = crops(chosen[:1], task, False, 1)[0][1]
    mirrored = crops(chosen[:1], task, True, 1)[0][1]
    # The person faces the camera: the left hip stays at the viewer's right.
    for keypoints in (plain, mirrored):
        assert keypoints[11, 0] > keypoints[12, 0] + 5


def test_the_sheet_has_two_rows_for_each_person(chosen, task):
    sheet = pose_sheet.draw_training(chosen, task, SKELETON, 2, seed=0)
    one = pose_sheet.draw_training(chosen[:1], task, SKELETON, 2, seed=0)
    assert sheet.shape[1] == one.shape[1]
    assert sheet.shape[0] > 2.9 * one.shape[0] - 50
    assert sheet.dtype == np.uint8
    # Something is drawn: left limbs are green.
    assert (np.abs(sheet.astype(int) - (0, 200, 83)).sum(axis=-1) < 30).any()


def test_records_of_a_person_hold_nobody_else(chosen):
    example = tf.train.Example.FromString(chosen[0].record(17))
    ids = example.features.feature["person/id"].int64_list.value
    assert list(ids) == [chosen[0].person.id]
