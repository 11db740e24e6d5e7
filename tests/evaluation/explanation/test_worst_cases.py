"""Which people are drawn."""

import dataclasses

import numpy as np
from posed_people import AWAY, drop, make_scene, of_the_other, repeat

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.explanation.worst_cases import worst_cases

COCO = load_skeleton("coco17")


def test_the_worst_come_first_and_not_more_than_asked():
    scene = make_scene(COCO, num_images=6)
    wrong = np.zeros((12, 17), bool)
    for row, count in ((2, 3), (5, 8), (7, 1), (9, 5)):
        wrong[row, :count] = True
    scene.spoil(wrong, scene.truth + [AWAY, 0.0])
    cases = worst_cases(scene.explain().errors, most=3)
    assert [case.kind for case in cases] == ["miss"] * 3
    assert [case.image_id for case in cases] == [2, 4, 1]
    assert [int(case.is_wrong.sum()) for case in cases] == [8, 5, 3]
    assert cases[0].facts == "annotation 2001, 8 keypoints, OKS 0.53"
    np.testing.assert_array_equal(cases[0].annotated, scene.annotated.keypoints[5])


def test_false_positives_by_score_and_false_negatives_by_size():
    scene = make_scene(COCO, num_images=4)
    scene.annotated.area[:] = 10000.0 + np.arange(8)
    repeat(scene, np.array([1]), AWAY, score=0.3)
    repeat(scene, np.array([2]), 2.0, score=0.4)
    drop(scene, np.array([4, 6]))
    cases = worst_cases(scene.explain().errors, most=4)
    found = [(case.kind, case.image_id, case.facts) for case in cases]
    assert found == [
        ("false positive", 1, "second prediction of someone, score 0.40"),
        ("false positive", 0, "score 0.30"),
        ("false negative", 3, "annotation 3000, 17 keypoints labelled"),
        ("false negative", 2, "annotation 2000, 17 keypoints labelled"),
    ]
    assert cases[0].annotated is None and cases[2].predicted is None
    # Whoever is annotated there says why it is nobody's.
    np.testing.assert_array_equal(cases[0].others, scene.annotated.keypoints[2:4])


def test_a_swap_is_shown_beside_the_other_person():
    scene = make_scene(COCO, num_images=3)
    wrong = np.zeros((6, 17), bool)
    wrong[2, 3] = True
    scene.spoil(wrong, of_the_other(scene))
    (case,) = worst_cases(scene.explain().errors, most=4)
    assert (case.kind, case.facts[:27]) == ("swap", "annotation 1000, 1 keypoint")
    np.testing.assert_array_equal(case.others, scene.annotated.keypoints[3:4])


def test_crowds_explain_nothing():
    scene = make_scene(COCO, num_images=1)
    some = scene.people.people[0]
    some[1] = dataclasses.replace(some[1], iscrowd=True)
    scene.annotated.counts[1] = False
    repeat(scene, np.array([0]), AWAY, 0.9)
    (case,) = worst_cases(scene.explain().errors, 4)
    assert case.kind == "false positive" and len(case.others) == 1
