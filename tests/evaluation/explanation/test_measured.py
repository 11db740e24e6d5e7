"""PCK and NME are explained as AP is; predictions say whose they are."""

import dataclasses

import numpy as np
import pytest
from posed_people import AWAY, SIZE, make_scene, near_truth, of_the_other

from hrnet_tf.data.vocabularies.skeletons import BBOX_SIZE, load_skeleton
from hrnet_tf.evaluation.coco_files import Truth
from hrnet_tf.evaluation.distances import Normalizer
from hrnet_tf.evaluation.explanation.explanation import explain_evaluation
from hrnet_tf.evaluation.nme import NMEEvaluator
from hrnet_tf.evaluation.pck import PCKEvaluator

FACE = load_skeleton("cofw29")
BOX = Normalizer("the box", BBOX_SIZE)


def explain(scene, evaluator_class, ids=None):
    """Explains predictions of everybody's box, and returns the metrics, too."""
    evaluator = evaluator_class(Truth("x.json", scene.people, ""), FACE, BOX)
    count = len(scene.predicted.score)
    evaluator.update(
        {
            "image_id": scene.predicted.image_id,
            "person_id": scene.annotated.person_id if ids is None else ids,
            "keypoints": scene.predicted.keypoints,
            "box_score": np.ones(count),
            "area": np.full(count, 20000.0),
        }
    )
    return explain_evaluation(evaluator, FACE), evaluator.evaluate()


@pytest.mark.parametrize(
    ("evaluator", "best"), [(NMEEvaluator, 0.0), (PCKEvaluator, 1.0)]
)
@pytest.mark.parametrize("kind", ["swap", "miss"])
def test_without_what_alone_was_wrong_the_metric_is_the_best(kind, evaluator, best):
    scene = make_scene(FACE, num_images=6)
    wrong = np.zeros(scene.truth.shape[:2], bool)
    wrong[::2, 3:7] = True
    places = {"swap": of_the_other(scene), "miss": scene.truth + [AWAY, 0.0]}
    scene.spoil(wrong, places[kind])
    explanation, metrics = explain(scene, evaluator)
    name = evaluator(Truth("x.json", scene.people, ""), FACE, BOX).main_metric
    assert f"{name} without" in explanation.kinds.columns
    number, share, without, change = explanation.kinds.rows[kind]
    assert (number, share) == (24, pytest.approx(24 / wrong.size))
    assert without == pytest.approx(best, abs=1e-12)
    assert without - change == pytest.approx(metrics[name])
    assert metrics[name] != pytest.approx(best, abs=0.01)
    assert "order of scores" not in explanation.kinds.rows


def test_a_whole_person_elsewhere_is_a_miss_and_no_false_positive():
    """By likeness, the same would be a prediction of nobody."""
    scene = make_scene(FACE, num_images=3)
    scene.predicted.keypoints[2, :, :2] += [AWAY, 0.0]
    explanation, _ = explain(scene, NMEEvaluator)
    rows = explanation.kinds.rows
    assert rows["miss"][0] == 29
    assert rows["false positive"][0] == rows["false negative"][0] == 0
    by_likeness = scene.explain().kinds.rows
    assert by_likeness["false positive"][0] == by_likeness["false negative"][0] == 1


def test_people_without_a_prediction_are_false_negatives():
    scene = make_scene(FACE, num_images=3)
    ids = scene.annotated.person_id.copy()
    ids[5] = ids[4]  # The second prediction of one person is nobody's.
    explanation, metrics = explain(scene, PCKEvaluator, ids)
    rows = explanation.kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 1
    assert rows["false negative"][2] == pytest.approx(1)
    assert next(iter(metrics.values())) < 0.9


def test_groups_have_the_metric_of_their_people():
    scene = make_scene(FACE, num_images=4)
    for some in scene.people.people.values():
        some[1] = dataclasses.replace(some[1], area=9000.0)
    wrong = np.zeros(scene.truth.shape[:2], bool)
    wrong[1::2] = True
    scene.spoil(wrong, near_truth(scene, 0.9))
    explanation, metrics = explain(scene, NMEEvaluator)
    rows = explanation.people.rows
    assert rows["size: large"][1] == pytest.approx(0, abs=1e-12)
    assert rows["size: medium"][1] == pytest.approx(2 * metrics["NME"])
    distance = SIZE * 2 * np.array(FACE.sigmas) * np.sqrt(-2 * np.log(0.9))
    box = np.sqrt(np.prod(scene.annotated.bbox[0, 2:]))
    assert rows["size: medium"][1] == pytest.approx(distance.mean() / box)


def test_people_without_a_length_have_no_metric():
    scene = make_scene(FACE, num_images=2)
    for some in scene.people.people.values():
        some[:] = [dataclasses.replace(person, bbox=[0, 0, 0, 9]) for person in some]
    explanation, _ = explain(scene, NMEEvaluator)
    assert np.isnan(explanation.kinds.rows["miss"][2])


def test_errors_have_a_digit_more():
    scene = make_scene(FACE, num_images=2)
    scene.spoil(np.ones(scene.truth.shape[:2], bool), near_truth(scene, 0.7))
    explanation, metrics = explain(scene, NMEEvaluator)
    (line,) = (
        line for line in explanation.text().splitlines() if line.startswith("jitter")
    )
    assert line.split()[-2:] == ["0.0000", f"-{metrics['NME']:.4f}"]


def test_predictions_of_those_who_do_not_count_are_no_errors():
    scene = make_scene(FACE, num_images=2)
    some = scene.people.people[0]
    some[0] = dataclasses.replace(some[0], iscrowd=True)
    scene.predicted.keypoints[0, :, :2] += [AWAY, 0.0]
    explanation, _ = explain(scene, NMEEvaluator)
    assert explanation.errors.matches.person.tolist() == [-1, 1, 2, 3]
    assert all(row[0] == 0 for row in explanation.kinds.rows.values())
