"""NME, failure rate and AUC against an independent computation."""

import dataclasses

import numpy as np
import pytest
from random_people import everyone, predict, random_truth, rows, truth_arrays

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.distances import NormalizerError, find_normalizer
from hrnet_tf.evaluation.nme import NMEEvaluator

WFLW = load_skeleton("wflw98")


def official_nme(predicted, truth, first, second) -> np.ndarray:
    """lib/core/evaluation.py `compute_nme` of faces without a missing landmark."""
    rmse = np.zeros(len(predicted))
    for i in range(len(predicted)):
        interocular = np.linalg.norm(truth[i, first] - truth[i, second])
        rmse[i] = np.sum(np.linalg.norm(predicted[i] - truth[i], axis=1)) / (
            interocular * truth.shape[1]
        )
    return rmse


def evaluate(truth, predictions, skeleton=WFLW, normalizer="", thresholds=()):
    chosen = find_normalizer(normalizer, skeleton)
    evaluator = NMEEvaluator(truth, skeleton, chosen, thresholds)
    evaluator.update(predictions)
    return evaluator.evaluate(), evaluator


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("wflw98", 60, 72), ("300w68", 36, 45), ("cofw29", 8, 9)],
)
def test_nme_is_the_official_arithmetic(name, first, second):
    skeleton = load_skeleton(name)
    truth = random_truth(skeleton, 30, share_missing=0)
    predictions = predict(truth, 4)
    metrics, _ = evaluate(truth, predictions, skeleton, thresholds=[0.08, 0.1])
    errors = official_nme(
        predictions["keypoints"][..., :2], truth_arrays(truth)[..., :2], first, second
    )
    assert metrics["NME"] == pytest.approx(errors.mean())
    for threshold in (0.08, 0.1):
        failures = (errors > threshold).sum() / len(errors)
        assert metrics[f"failure_rate@{threshold}"] == pytest.approx(failures)
        # The area under the curve of faces by error, in small steps.
        steps = np.linspace(0, threshold, 20001)
        curve = [(errors <= step).mean() for step in steps]
        area = np.trapezoid(curve, steps) / threshold
        assert metrics[f"AUC@{threshold}"] == pytest.approx(area, abs=1e-3)
    assert 0 < metrics["failure_rate@0.1"] < 1 and 0 < metrics["AUC@0.1"] < 1


def test_landmarks_that_are_not_labelled_do_not_count():
    aflw = load_skeleton("aflw19")
    truth = random_truth(aflw, 20, share_missing=0.3)
    predictions = predict(truth, 3)
    metrics, _ = evaluate(truth, predictions, aflw)
    errors = []
    for (_, face), found in zip(everyone(truth), predictions["keypoints"], strict=True):
        points = np.reshape(face.keypoints, (-1, 3))
        seen = points[:, 2] > 0
        offsets = found[seen, :2] - points[seen, :2]
        errors.append(np.hypot(*offsets.T).mean() / face.normalizer)
    assert metrics["NME"] == pytest.approx(np.mean(errors))


def test_faces_without_a_length_are_left_out_and_told_of():
    truth = random_truth(WFLW, 10, share_missing=0)
    faces = everyone(truth)
    faces[0][1].keypoints[3 * 60 + 2] = 0  # An outer corner of an eye.
    predictions = predict(truth, 0)
    predictions["keypoints"][0] += 1000
    metrics, evaluator = evaluate(truth, predictions)
    assert metrics["NME"] == pytest.approx(0, abs=1e-12)
    first, *_ = evaluator.format_table(metrics, False, "msra").splitlines()
    assert f"{len(faces) - 1} faces, 1 without a length left out" in first


def test_faces_that_were_not_predicted_are_failures(log):
    truth = random_truth(WFLW, 10, share_missing=0)
    predictions = rows(predict(truth, 0), slice(5))
    metrics, _ = evaluate(truth, predictions)
    count = len(everyone(truth))
    assert metrics["NME"] == pytest.approx(0, abs=1e-12)
    assert metrics["failure_rate@0.1"] == pytest.approx((count - 5) / count)
    assert metrics["AUC@0.1"] == pytest.approx(5 / count)
    assert f"{count - 5} of the {count} faces" in log() and "failures" in log()


def test_crowds_and_faces_without_landmarks_do_not_count():
    truth = random_truth(WFLW, 10, share_missing=0)
    for number, changes in enumerate(({"iscrowd": True}, {"keypoints": [0.0] * 294})):
        some = truth.content.people[number + 1]
        some[0] = dataclasses.replace(some[0], **changes)
    predictions = predict(truth, 0)
    wrong = np.isin(predictions["person_id"], [10, 20])
    predictions["keypoints"][wrong] += 1000
    metrics, evaluator = evaluate(truth, predictions, normalizer="annotations")
    assert wrong.sum() == 2 and metrics["NME"] == pytest.approx(0, abs=1e-12)
    assert metrics["failure_rate@0.1"] == 0


def test_nothing_is_undefined():
    truth = random_truth(WFLW, 2)
    metrics, evaluator = evaluate(truth, predict(truth))
    assert set(evaluator.evaluate([]).values()) == {-1.0}
    assert evaluator.format_table(evaluator.evaluate([]), False, "msra").count("-") > 2


@pytest.mark.parametrize(
    ("normalizer", "words"),
    [
        ("", "inter-ocular (right_eye_outer–left_eye_outer)"),
        (["right_pupil", "left_pupil"], "inter-pupil (right_pupil–left_pupil)"),
        (["chin", "nose_base"], "distance (chin–nose_base)"),
        ("bbox_size", "the box's size"),
    ],
)
def test_the_protocol_names_the_length(normalizer, words):
    truth = random_truth(WFLW, 900, share_missing=0)
    metrics, evaluator = evaluate(truth, predict(truth), normalizer=normalizer)
    first, heading, values = evaluator.format_table(
        metrics, False, "msra_floor"
    ).splitlines()
    assert first.startswith(f"NME, {words}")
    assert f"{len(everyone(truth)):,} faces, boxes: ground truth" in first
    assert heading.split() == [
        *("NME", "(%)", "failure_rate@0.1", "(%)", "AUC@0.1", "(%)")
    ]
    assert float(values.split()[0]) == pytest.approx(100 * metrics["NME"], abs=0.01)


@pytest.mark.parametrize(
    ("normalizer", "skeleton", "told"),
    [
        ("", "coco17", ["is empty", "coco17", "bbox_size"]),
        ("bbox", "wflw98", ["'bbox'", "did you mean 'bbox_"]),
        (["left_eye", "chin"], "wflw98", ["'left_eye'", "wflw98", "did you mean"]),
        (["chin"], "wflw98", ["two keypoints"]),
        (["chin", "chin"], "wflw98", ["two keypoints"]),
    ],
)
def test_lengths_that_are_none(normalizer, skeleton, told):
    with pytest.raises(NormalizerError) as caught:
        find_normalizer(normalizer, load_skeleton(skeleton))
    assert all(part in str(caught.value) for part in told)


def test_aflw_takes_what_the_annotations_have():
    truth = random_truth(load_skeleton("aflw19"), 3)
    assert find_normalizer("", load_skeleton("aflw19")).name == "annotations"
    for some in truth.content.people.values():
        some[:] = [dataclasses.replace(face, normalizer=50.0) for face in some]
    predictions = predict(truth, 0)
    predictions["keypoints"][..., 0] += 5
    metrics, _ = evaluate(truth, predictions, load_skeleton("aflw19"))
    assert metrics["NME"] == pytest.approx(0.1)
