"""AP of a part of the people is pycocotools' AP where nobody else is there."""

import dataclasses

import numpy as np
import pytest
from posed_people import AWAY, drop, make_scene, near_truth, repeat

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.evaluation.explanation.matching import with_counted
from hrnet_tf.evaluation.matched import AnnotatedPeople

COCO = load_skeleton("coco17")


def spoiled_scene():
    """People with errors of all sizes, two of them crowds, and false positives."""
    scene = make_scene(COCO, num_images=20, labelled=0.8)
    random = np.random.default_rng(3)
    far = random.exponential(8, len(scene.truth))[:, np.newaxis, np.newaxis]
    scene.predicted.keypoints[..., :2] += far * random.normal(size=scene.truth.shape)
    for number in (3, 7):
        someone = scene.people.people[number]
        someone[0] = dataclasses.replace(someone[0], iscrowd=True)
    scene.annotated.counts[[6, 14]] = False
    repeat(scene, np.arange(0, 40, 7), AWAY, score=0.8)
    return scene


def test_ap_is_that_of_the_evaluator():
    scene = spoiled_scene()
    evaluator = COCOKeypointEvaluator(Truth("x.json", scene.people, ""), COCO.sigmas)
    people = scene.predicted
    evaluator.update(
        {
            "image_id": people.image_id,
            "person_id": np.arange(len(people.score)),
            "keypoints": people.keypoints,
            "box_score": people.score,
            "area": np.full(len(people.score), 20000.0),
        }
    )
    expected = evaluator.evaluate()["keypoint_AP"]
    assert 0.2 < expected < 0.9
    scored = evaluator.scored_people
    np.testing.assert_array_equal(scored.keypoints, people.keypoints[scored.person_id])
    scene.predicted = scored
    matches, measure = scene.matched()
    found = measure(matches)
    assert found == pytest.approx(expected, abs=1e-12)


def place_of(person):
    """The row of a person of a scene with two people in each image."""
    image_id, number = divmod(person.id, 1000)
    return 2 * image_id + number


def test_others_are_there_but_not_expected():
    scene = make_scene(COCO, num_images=20)
    members = np.zeros(40, bool)
    members[::3] = True
    share = np.where(members, np.linspace(0.4, 1, 40), 1)[:, np.newaxis]
    scene.spoil(np.ones((40, 17), bool), near_truth(scene, share))
    matches, measure = scene.matched()
    found = measure(with_counted(matches, members))
    assert measure(matches) > found + 0.1
    for some in scene.people.people.values():
        some[:] = [person for person in some if members[place_of(person)]]
    scene.annotated = AnnotatedPeople.of_people(scene.people, 17)
    drop(scene, np.flatnonzero(~members))
    matches, measure = scene.matched()
    assert found == pytest.approx(measure(matches), abs=1e-12)


def test_ap_of_nobody_is_undefined():
    scene = make_scene(COCO, num_images=2)
    matches, measure = scene.matched()
    assert np.isnan(measure(with_counted(matches, np.zeros(4, bool))))
