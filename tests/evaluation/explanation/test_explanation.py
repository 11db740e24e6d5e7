"""The tables of an explanation, as text and as JSON."""

import dataclasses
import json

import numpy as np
import pytest
from posed_people import AWAY, MUG, drop, make_scene

from hrnet_tf.data.vocabularies.skeletons import DEFAULT_SIGMA, load_skeleton
from hrnet_tf.evaluation.explanation.tables import Table, as_count, as_percent
from hrnet_tf.evaluation.matched import AnnotatedPeople

COCO = load_skeleton("coco17")


def test_tables_are_aligned():
    table = Table(
        "kind",
        {"number": as_count, "share": as_percent},
        {"a": (1234, 0.5), "longer": (np.nan, 0.0712)},
    )
    assert table.lines() == [
        "kind    number   share",
        "a        1,234  50.0 %",
        "longer       -   7.1 %",
    ]
    assert table.as_json() == {
        "a": {"number": 1234, "share": 0.5},
        "longer": {"number": None, "share": 0.0712},
    }


def test_each_keypoint_has_its_numbers():
    scene = make_scene(COCO, num_images=5)
    noses = np.zeros((10, 17), bool)
    noses[:4, 0] = True
    # The size of everybody is 100 pixels: 15 are a miss of a nose, and 4 are good.
    scene.spoil(noses, scene.truth + [15.0, 0.0])
    ankles = np.zeros((10, 17), bool)
    ankles[:5, 16] = True
    scene.spoil(ankles, scene.truth + [0.0, 4.0])
    drop(scene, np.array([9]))
    rows = scene.explain().keypoints.rows
    shares = [0.5, 4 * 0.15 / 9, 0.5, 0, 0, 0, 0.4, 0.1]
    assert rows["nose"] == pytest.approx([10, *shares])
    assert rows["right_ankle"] == pytest.approx(
        [10, 0.9, 5 * 0.04 / 9, 0.9, 0, 0, 0, 0, 0.1]
    )
    for _, _, _, *kinds in rows.values():
        assert sum(kinds) == pytest.approx(1)


def test_a_keypoint_that_nobody_has_is_no_error():
    scene = make_scene(MUG, num_images=1, people_per_image=1, labelled=0.0)
    rows = scene.explain().keypoints.rows
    assert rows["rim_left"][0] == 1
    assert np.isnan(rows["handle"][1:]).all()


def test_text_is_short_and_names_the_worst():
    scene = make_scene(load_skeleton("coco_wholebody133"), num_images=2)
    scene.spoil(
        np.broadcast_to(np.arange(133) == 130, (4, 133)), scene.truth + [AWAY, 0.0]
    )
    explanation = scene.explain()
    text = explanation.text()
    lines = text.splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 120
    (place,) = (n for n, line in enumerate(lines) if line.startswith("keypoint "))
    worst = load_skeleton("coco_wholebody133").keypoints[130]
    assert lines[place + 1].startswith(worst)
    assert "and 128 that are found no worse" in lines


def test_of_equally_good_keypoints_the_farther_off_is_worse():
    scene = make_scene(COCO, num_images=2)
    scene.predicted.keypoints[:, 12, 0] += 5
    lines = scene.explain().text().splitlines()
    (place,) = (n for n, line in enumerate(lines) if line.startswith("keypoint "))
    assert lines[place + 1].startswith("right_hip")


def test_json_has_what_the_tables_have():
    scene = make_scene(COCO, num_images=2)
    drop(scene, np.arange(4))
    explanation = scene.explain()
    content = json.loads(json.dumps(explanation.as_json(), allow_nan=False))
    assert content["errors"]["false negative"]["number"] == 4
    assert list(content["keypoints"]) == list(COCO.keypoints)
    assert content["expected_calibration_error"] is None


def test_notes_say_what_similarity_rests_on():
    assert make_scene(COCO, 1).explain().notes == ()
    plain = dataclasses.replace(MUG, sigmas=(DEFAULT_SIGMA,) * 3, flip_pairs=())
    scene = make_scene(plain, 1)
    someone = scene.people.people[0]
    someone[0] = dataclasses.replace(someone[0], area_is_measured=True)
    crowd = dataclasses.replace(someone[1], id=9, iscrowd=True, area_is_measured=True)
    someone.append(crowd)
    scene.annotated = AnnotatedPeople.of_people(scene.people, 3)
    sigmas, areas, sides = scene.explain().notes
    assert "states no sigmas" in sigmas
    assert areas.startswith("The areas of 1 of 2 people")
    assert "no left and right" in sides


def test_areas_of_boxes_are_told_of():
    """As the converters of MPII and of faces write them."""
    scene = make_scene(COCO, 1)
    someone = scene.people.people[0]
    _, _, width, height = someone[0].bbox
    someone[0] = dataclasses.replace(someone[0], area=float(width * height))
    scene.annotated = AnnotatedPeople.of_people(scene.people, 17)
    (note,) = scene.explain().notes
    assert note.startswith("The areas of 1 of 2 people are those of their boxes")
