"""Confidence beside truth."""

import numpy as np
import pytest
from posed_people import AWAY, make_scene

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.explanation.calibration import calibrate


def simulate(offset, count=50_000):
    """Scores, and answers that are right with a probability of score + offset."""
    random = np.random.default_rng(0)
    scores = random.uniform(0.3, 0.9, count)
    return calibrate(scores, random.random(count) < scores + offset)


def test_scores_that_can_be_believed():
    found = simulate(0)
    assert found.expected_error < 0.01
    assert found.counts.sum() == 50_000
    np.testing.assert_array_equal(found.counts > 0, [0] * 3 + [1] * 6 + [0])
    np.testing.assert_allclose(found.right[3:9], found.confidence[3:9], atol=0.03)


@pytest.mark.parametrize("offset", [-0.2, 0.1])
def test_scores_that_cannot(offset):
    found = simulate(offset)
    assert found.expected_error == pytest.approx(abs(offset), abs=0.01)
    difference = found.right[3:9] - found.confidence[3:9]
    np.testing.assert_allclose(difference, offset, atol=0.03)


def test_bins_by_hand():
    found = calibrate(
        np.array([0.05, 0.8, 0.88, 0.82, 1.0, 1.3, -0.2]),
        np.array([False, True, True, False, True, False, False]),
    )
    assert found.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 3, 2]
    assert found.right[[0, 8, 9]].tolist() == [0, pytest.approx(2 / 3), 0.5]
    assert found.confidence[[0, 8, 9]].tolist() == pytest.approx([0.025, 2.5 / 3, 1])
    parts = [2 * 0.025, 3 * abs(2.5 / 3 - 2 / 3), 2 * 0.5]
    assert found.expected_error == pytest.approx(sum(parts) / 7)
    rows = found.table().rows
    assert list(rows) == ["0.9 to 1.0", "0.8 to 0.9", "0.0 to 0.1"]
    assert rows["0.8 to 0.9"] == (3, pytest.approx(2.5 / 3), pytest.approx(2 / 3))


def test_nothing_to_compare():
    found = calibrate(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(found.expected_error) and found.table().rows == {}


def test_keypoints_are_right_if_they_are_near():
    scene = make_scene(load_skeleton("coco17"), num_images=2, labelled=0.7)
    is_labelled = scene.annotated.keypoints[..., 2] > 0
    scene.predicted.keypoints[..., 2] = 0.95
    wrong = is_labelled & (np.arange(17) > 12)
    scene.predicted.keypoints[wrong, 2] = 0.45
    scene.spoil(wrong, scene.truth + [AWAY, 0.0])
    explanation = scene.explain()
    rows = explanation.calibration.table().rows
    total = is_labelled.sum()
    assert rows == {
        "0.9 to 1.0": (total - wrong.sum(), pytest.approx(0.95), 1),
        "0.4 to 0.5": (wrong.sum(), pytest.approx(0.45), 0),
    }
    printed = " ".join(explanation.text().split())
    assert explanation.calibration.sentence in printed


def test_the_sentence_tells_of_confidence_08_and_of_all():
    scores = np.array([0.82, 0.84, 0.86, 0.88, 0.95, 0.05])
    found = calibrate(scores, np.array([True, True, True, False, True, False]))
    assert found.sentence == (
        "Keypoints of a confidence of 0.8 to 0.9 are right in 75.0 %; all, at 73.3 % "
        "on average, in 66.7 %. Expected calibration error: "
        f"{found.expected_error:.3f}."
    )
    others = calibrate(np.array([0.2, 0.4]), np.array([True, False]))
    assert "of 0.4 to 0.5 are right in 0.0 %" in others.sentence
