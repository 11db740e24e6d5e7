"""PCKh and PCK against the official arithmetic, written down separately here."""

import dataclasses

import numpy as np
import pytest
from random_people import everyone, predict, random_truth, rows, truth_arrays

from hrnet_tf.data.vocabularies.skeletons import BBOX_SIDE, load_skeleton
from hrnet_tf.evaluation import pck
from hrnet_tf.evaluation.distances import find_normalizer
from hrnet_tf.evaluation.pck import PCKEvaluator, PCKhEvaluator

MPII = load_skeleton("mpii16")
# Of gt_valid.mat, in its order.
NAMES = (
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor"),
    *("neck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
)
JOINTS = {name: place for place, name in enumerate(NAMES)}


def official_pckh(predicted, truth, missing, head_sizes) -> dict[str, float]:
    """Official lib/dataset/mpii.py, `evaluate`, in its order of axes and percent.

    predicted, truth [16, 2, N], counted from 1; missing [16, N]; head_sizes [N] are 0.6
    of diagonals already.
    """
    visible = 1 - missing
    errors = np.linalg.norm(predicted - truth, axis=1)
    scaled = errors / np.multiply(head_sizes, np.ones((len(errors), 1))) * visible
    count = np.sum(visible, axis=1)

    def shares(threshold):
        hits = (scaled <= threshold) * visible
        return 100.0 * np.sum(hits, axis=1) / count

    steps = np.arange(0, 0.5 + 0.01, 0.01)
    at = shares(0.5)
    fine = shares(steps[11])
    masked = np.ma.array(at, mask=False)
    masked.mask[6:8] = True
    counted = np.ma.array(count, mask=False)
    counted.mask[6:8] = True
    ratio = counted / np.sum(counted).astype(np.float64)

    def both(part):
        return 0.5 * (at[JOINTS["l" + part]] + at[JOINTS["r" + part]])

    return {
        "head": at[JOINTS["head"]],
        "shoulder": both("sho"),
        "elbow": both("elb"),
        "wrist": both("wri"),
        "hip": both("hip"),
        "knee": both("kne"),
        "ankle": both("ank"),
        "mean": np.sum(masked * ratio),
        "mean@0.1": np.sum(fine * ratio),
    }


@pytest.mark.parametrize(("seed", "noise"), [(0, 8.0), (1, 2.0), (2, 25.0)])
def test_pckh_is_the_official_arithmetic(seed, noise):
    truth = random_truth(MPII, 30, seed)
    predictions = predict(truth, noise, seed)
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predictions)
    metrics = evaluator.evaluate()

    annotated = truth_arrays(truth)
    expected = official_pckh(
        predictions["keypoints"][..., :2].transpose(1, 2, 0) + 1,
        annotated[..., :2].transpose(1, 2, 0) + 1,
        (annotated[..., 2] == 0).T.astype(int),
        np.array([person.normalizer for _, person in everyone(truth)]),
    )
    for group in pck.MPII_GROUPS:
        assert 100 * metrics[f"PCKh@0.5/{group}"] == pytest.approx(expected[group])
    assert 100 * metrics["PCKh@0.5"] == pytest.approx(expected["mean"])
    assert 100 * metrics["PCKh@0.1"] == pytest.approx(expected["mean@0.1"])
    assert 0 < metrics["PCKh@0.1"] < metrics["PCKh@0.5"] < 1


def test_the_mean_is_without_pelvis_and_thorax():
    truth = random_truth(MPII, 5, share_missing=0)
    predictions = predict(truth, 0)
    predictions["keypoints"][:, [6, 7], :2] += 1000
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predictions)
    assert set(evaluator.evaluate().values()) == {1.0}


def test_official_01_is_at_011_and_thresholds_that_are_given_are_taken_as_they_are():
    """12 of 100 pixels are beyond both, 10.5 of 100 beyond 0.1 alone."""
    truth = random_truth(MPII, 2, share_missing=0)
    for some in truth.content.people.values():
        some[:] = [dataclasses.replace(person, normalizer=100.0) for person in some]
    predictions = predict(truth, 0)
    predictions["keypoints"][..., 0] += 10.5
    predictions["keypoints"][:, 0, 0] += 1.5
    official = PCKhEvaluator(truth, MPII)
    exact = PCKhEvaluator(truth, MPII, [0.1])
    for evaluator in (official, exact):
        evaluator.update(predictions)
    assert official.evaluate()["PCKh@0.1"] == pytest.approx(13 / 14)
    assert exact.evaluate()["PCKh@0.1"] == 0
    assert "0.11" in official.format_table(official.evaluate(), True, "msra")
    assert "0.11" not in exact.format_table(exact.evaluate(), True, "msra")


def mmpose_pck(predicted, truth, is_labelled, lengths, threshold) -> float:
    """MMPose's keypoint_pck_accuracy: the mean of what each keypoint has."""
    shares = []
    for keypoint in range(predicted.shape[1]):
        hits, count = 0, 0
        for person in range(len(predicted)):
            if not is_labelled[person, keypoint] or lengths[person] <= 0:
                continue
            offset = predicted[person, keypoint] - truth[person, keypoint]
            count += 1
            hits += np.hypot(*offset) / lengths[person] < threshold
        if count:
            shares.append(hits / count)
    return sum(shares) / len(shares)


@pytest.mark.parametrize(
    ("normalizer", "lengths"),
    [
        ("annotations", lambda person, points: person.normalizer),
        ("bbox_side", lambda person, points: max(person.bbox[2:])),
        ("bbox_size", lambda person, points: (person.bbox[2] * person.bbox[3]) ** 0.5),
        # tPCK; who lacks one of the two is left out.
        (
            ["left_shoulder", "right_hip"],
            lambda person, points: (
                np.hypot(*(points[13, :2] - points[2, :2]))
                * (points[[13, 2], 2] > 0).all()
            ),
        ),
    ],
)
def test_pck_is_mmposes_arithmetic(normalizer, lengths):
    truth = random_truth(MPII, 25, seed=3)
    predictions = predict(truth, 12)
    evaluator = PCKEvaluator(
        truth, MPII, find_normalizer(normalizer, MPII), thresholds=[0.05, 0.2]
    )
    for half in np.array_split(np.arange(len(predictions["image_id"])), 2):
        evaluator.update(rows(predictions, half))
    metrics = evaluator.evaluate()
    annotated = truth_arrays(truth)
    known = np.array(
        [
            lengths(person, points)
            for (_, person), points in zip(everyone(truth), annotated, strict=True)
        ]
    )
    for threshold in (0.05, 0.2):
        expected = mmpose_pck(
            predictions["keypoints"][..., :2],
            annotated[..., :2],
            annotated[..., 2] > 0,
            known,
            threshold,
        )
        assert metrics[f"PCK@{threshold}"] == pytest.approx(expected)
    assert 0 < metrics["PCK@0.05"] < metrics["PCK@0.2"] < 1
    left_out = int((known == 0).sum())
    assert (f"{left_out} without a length left out" in _table(evaluator)) == bool(
        left_out
    )


def _table(evaluator) -> str:
    return evaluator.format_table(evaluator.evaluate(), False, "dark")


def test_people_who_were_not_predicted_count_as_missed(log):
    truth = random_truth(MPII, 10, share_missing=0)
    predictions = predict(truth, 0)
    count = len(predictions["image_id"])
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(rows(predictions, slice(count // 2)))
    assert evaluator.evaluate()["PCKh@0.5"] == pytest.approx((count // 2) / count)
    assert f"{count - count // 2} of the {count} people" in log()
    assert "count as missed" in log()


def test_only_the_images_that_are_asked_for_count():
    truth = random_truth(MPII, 6, share_missing=0)
    predictions = predict(truth, 0)
    predictions["keypoints"][predictions["image_id"] > 3] += 500
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predictions)
    assert evaluator.evaluate([1, 2, 3])["PCKh@0.5"] == 1
    assert evaluator.evaluate([4, 5])["PCKh@0.5"] == 0
    assert evaluator.evaluate([])["PCKh@0.5"] == -1


def test_at_the_threshold_pckh_calls_right_what_pck_does_not():
    """Official lib/dataset/mpii.py has <=, MMPose's keypoint_pck_accuracy <."""
    truth = random_truth(MPII, 3)
    for some in truth.content.people.values():
        whole = [np.round(person.keypoints).tolist() for person in some]
        some[:] = [
            dataclasses.replace(person, normalizer=16.0, keypoints=keypoints)
            for person, keypoints in zip(some, whole, strict=True)
        ]
    predictions = predict(truth, 0)
    predictions["keypoints"][..., 0] += 8
    length = find_normalizer("annotations", MPII)
    for evaluator, share in (
        (PCKhEvaluator(truth, MPII, [0.5]), 1),
        (PCKEvaluator(truth, MPII, length, [0.5]), 0),
    ):
        evaluator.update(predictions)
        assert evaluator.evaluate()[evaluator.main_metric] == share


def test_a_second_prediction_of_one_person_changes_nothing():
    truth = random_truth(MPII, 4, share_missing=0)
    predictions = predict(truth, 0)
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predictions)
    evaluator.update({**predictions, "keypoints": predictions["keypoints"] + 500})
    assert evaluator.evaluate()["PCKh@0.5"] == 1


def test_joints_that_nobody_has_are_undefined():
    truth = random_truth(MPII, 4, share_missing=0)
    for some in truth.content.people.values():
        for person in some:
            person.keypoints[3 * 9 + 2] = 0  # head_top
            person.keypoints[3 * 13 + 2] = 0  # left_shoulder
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predict(truth, 0))
    metrics = evaluator.evaluate()
    assert metrics["PCKh@0.5/head"] == metrics["PCKh@0.5/shoulder"] == -1
    assert metrics["PCKh@0.5/elbow"] == metrics["PCKh@0.5"] == 1
    assert " - " in evaluator.format_table(metrics, True, "msra")


def test_pckh_of_another_skeleton_has_the_groups_that_it_has():
    coco = load_skeleton("coco17")
    truth = random_truth(coco, 3)
    evaluator = PCKhEvaluator(truth, coco)
    evaluator.update(predict(truth, 0))
    metrics = evaluator.evaluate()
    assert "PCKh@0.5/knee" in metrics and "PCKh@0.5/head" not in metrics
    table = evaluator.format_table(metrics, True, "msra")
    assert "Knee" in table and "Head" not in table and "without pelvis" not in table


def test_the_first_line_of_a_table_is_the_protocol():
    truth = random_truth(MPII, 7)
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(predict(truth))
    first, heading, half, tenth = evaluator.format_table(
        evaluator.evaluate(), True, "msra"
    ).splitlines()
    people = len(everyone(truth))
    for told in (
        *("PCKh", "head sizes", f"{people} people", "boxes: ground truth"),
        *("flip test: on", "codec: msra", "Mean without pelvis and thorax", "0.11"),
    ):
        assert told in first
    assert heading.split() == [
        *("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")
    ]
    assert half.startswith("PCKh@0.5 (%)") and tenth.startswith("PCKh@0.1 (%)")
    assert len({len(heading), len(half), len(tenth)}) == 1

    plain = PCKEvaluator(truth, MPII, find_normalizer(BBOX_SIDE, MPII))
    plain.update(predict(truth))
    first, heading, values = _table(plain).splitlines()
    assert "the longer side of the box" in first and "flip test: off" in first
    assert heading.strip() == "PCK@0.2 (%)" and 0 < float(values) < 100


def test_results_are_all_predictions_in_cocos_format():
    truth = random_truth(MPII, 3)
    predictions = predict(truth)
    evaluator = PCKhEvaluator(truth, MPII)
    evaluator.update(rows(predictions, slice(None, None, -1)))
    results = evaluator.results
    assert [r["image_id"] for r in results] == predictions["image_id"].tolist()
    np.testing.assert_allclose(
        results[0]["keypoints"], predictions["keypoints"][0].ravel()
    )
    scores = predictions["keypoints"][0, :, 2]
    assert results[0]["score"] == pytest.approx(scores.mean())
    assert results[0]["category_id"] == 1
