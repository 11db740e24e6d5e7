"""Groups of people, and their AP."""

import dataclasses

import numpy as np
import pytest
from posed_people import AWAY, drop, make_scene, near_truth, repeat

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.explanation.breakdown import groups
from hrnet_tf.evaluation.matched import AnnotatedPeople

COCO = load_skeleton("coco17")


def members(people, visibilities=None):
    """Names of the groups of people who are given as changes of a Person."""
    scene = make_scene(COCO, num_images=1, people_per_image=len(people))
    some = scene.people.people[0]
    for number, changes in enumerate(people):
        some[number] = dataclasses.replace(some[number], **changes)
        if visibilities:
            some[number].keypoints[2::3] = visibilities[number]
    annotated = AnnotatedPeople.of_people(scene.people, 17)
    found = dict(groups(annotated))
    return [
        [name for name, is_in in found.items() if is_in[number]]
        for number in range(len(people))
    ]


@pytest.mark.parametrize(
    ("area", "name"),
    [(1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")],
)
def test_sizes_are_those_of_coco(area, name):
    ((size, *_),) = members([{"area": area}])
    assert size == f"size: {name}"


def test_crowding_counts_boxes_that_overlap():
    boxes = [[0, 0, 100, 100], [50, 0, 100, 100], [95, 0, 100, 100], [500, 0, 9, 9]]
    boxes += [[60, 0, 100, 100], [0, 300, 100, 100], [0, 320, 100, 100]]
    found = [names[1] for names in members([{"bbox": box} for box in boxes])]
    few, several = "overlaps: 1 or 2", "overlaps: 3 or more"
    expected = [few, several, few, "overlaps: none", several, few, few]
    # The first and the third overlap by 2.5 %.
    assert found == expected


def test_crowds_are_in_no_group():
    assert members([{"iscrowd": True}]) == [[]]


def test_labelled_and_hidden_keypoints():
    visibilities = [
        [2] * 17,
        [2] * 5 + [0] * 12,
        [1] * 4 + [2] * 6 + [0] * 7,
        [1] * 3 + [2] * 14,
    ]
    found = [names[2:] for names in members([{}] * 4, visibilities)]
    assert found == [
        ["labelled: more", "hidden: none"],
        ["labelled: up to 1/3", "hidden: none"],
        ["labelled: up to 2/3", "hidden: more"],
        ["labelled: more", "hidden: up to 1/3"],
    ]


def sized_scene(num_images=20):
    """Every second person is of medium size."""
    scene = make_scene(COCO, num_images)
    for some in scene.people.people.values():
        some[1] = dataclasses.replace(some[1], area=9000.0)
    scene.annotated = AnnotatedPeople.of_people(scene.people, 17)
    return scene


def test_ap_of_a_group_is_that_of_its_people_alone():
    scene = sized_scene()
    share = np.random.default_rng(0).uniform(0.4, 1, (40, 1))
    scene.spoil(np.ones((40, 17), bool), near_truth(scene, share))
    rows = scene.explain().people.rows
    for place, name in enumerate(("size: large", "size: medium")):
        alone = {i: some[place : place + 1] for i, some in scene.people.people.items()}
        people = CocoPeople(scene.people.images, alone, [1], 0, 0, [])
        of_group = dataclasses.replace(
            scene, people=people, annotated=AnnotatedPeople.of_people(people, 17)
        )
        others = np.arange(1 - place, 40, 2)
        drop(of_group, others)
        kinds = of_group.explain().kinds
        expected = kinds.rows["miss"][2] - kinds.rows["miss"][3]
        assert rows[name][:2] == (20, pytest.approx(expected, abs=1e-12))
        assert 0.1 < expected < 0.9


def test_errors_stay_in_their_group():
    scene = sized_scene()
    wrong = np.zeros((40, 17), bool)
    wrong[1::2, :5] = True  # Of people of medium size.
    scene.spoil(wrong, scene.truth + [AWAY, 0.0])
    drop(scene, np.array([3, 5]))
    rows = scene.explain().people.rows
    assert rows["size: large"] == (20, pytest.approx(1), 1, 0)
    number, precision, good, missed = rows["size: medium"]
    assert precision < 0.8
    assert (good, missed) == (pytest.approx(18 * 12 / (20 * 17)), 0.1)


def test_predictions_of_nobody_count_in_their_images():
    scene = sized_scene()
    repeat(scene, np.arange(4), AWAY, score=2.0)
    rows = scene.explain().people.rows
    assert rows["size: medium"][1] < 0.99


def test_predictions_of_nobody_elsewhere_do_not_count():
    scene = sized_scene()
    for image_id, some in scene.people.people.items():
        some[:] = [some[image_id % 2]]  # Only one size in each image.
    scene.annotated = AnnotatedPeople.of_people(scene.people, 17)
    drop(scene, np.array([2 * i + 1 - i % 2 for i in range(20)]))
    repeat(scene, np.arange(0, 20, 2), AWAY, score=2.0)
    rows = scene.explain().people.rows
    assert rows["size: medium"][1] == pytest.approx(1)
    assert rows["size: large"][1] < 0.9


def test_a_group_of_all_or_nobody_is_left_out():
    scene = make_scene(COCO, num_images=3)
    assert not scene.explain().people.rows
