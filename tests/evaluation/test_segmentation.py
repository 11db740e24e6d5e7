"""mIoU against an independent computation from sets of pixels."""

import numpy as np
import pytest

from hrnet_tf.evaluation.segmentation import SegmentationEvaluator, format_table

CLASSES = ("sky", "road", "car", "train")


def confusion(labels, predicted):
    matrix = np.zeros((4, 4), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


@pytest.fixture
def images():
    """Pairs of labels and predictions."""
    generator = np.random.default_rng(0)
    pairs = []
    for _ in range(5):
        labels = generator.integers(0, 3, (17, 23))
        noise = generator.random(labels.shape) < 0.3
        wrong = generator.integers(0, 3, labels.shape)
        pairs.append((labels, np.where(noise, wrong, labels)))
    return pairs


def test_scores_are_those_of_sets_of_pixels(images):
    evaluator = SegmentationEvaluator(CLASSES)
    evaluator.update(np.ones((4, 4), np.int64))
    evaluator.reset()
    for labels, predicted in images:
        evaluator.update(confusion(labels.ravel(), predicted.ravel()))
    metrics = evaluator.evaluate()

    labels = np.concatenate([labels.ravel() for labels, _ in images])
    predicted = np.concatenate([found.ravel() for _, found in images])
    ious = {}
    for index, name in enumerate(CLASSES[:3]):
        truth, found = labels == index, predicted == index
        ious[name] = (truth & found).sum() / (truth | found).sum()
        assert metrics[f"iou/{name}"] == pytest.approx(ious[name], abs=1e-12)
        accuracy = (truth & found).sum() / truth.sum()
        assert metrics[f"accuracy/{name}"] == pytest.approx(accuracy, abs=1e-12)
    # The class that is nowhere has no IoU, and does not lower the mean.
    assert "iou/train" not in metrics
    assert metrics["mean_iou"] == pytest.approx(np.mean(list(ious.values())))
    assert metrics["pixel_accuracy"] == pytest.approx((labels == predicted).mean())


def test_a_class_that_is_only_predicted_counts_as_zero():
    evaluator = SegmentationEvaluator(CLASSES)
    evaluator.update(confusion(np.array([0, 0, 1]), np.array([0, 3, 1])))
    metrics = evaluator.evaluate()
    assert metrics["iou/train"] == 0
    assert metrics["mean_iou"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert "accuracy/train" not in metrics


def test_counts_stay_exact_where_float32_does_not():
    evaluator = SegmentationEvaluator(CLASSES)
    for _ in range(2):
        matrix = np.zeros((4, 4), np.int64)
        matrix[0, 0] = 2**30 + 1
        evaluator.update(matrix)
    assert evaluator.confusion[0, 0] == 2**31 + 2


def test_nothing_labelled_scores_zero():
    metrics = SegmentationEvaluator(CLASSES).evaluate()
    assert metrics == {
        "mean_iou": 0.0,
        "pixel_accuracy": 0.0,
        "mean_class_accuracy": 0.0,
    }


def test_the_table_names_every_class_and_the_protocol():
    metrics = {"mean_iou": 0.5, "mean_class_accuracy": 0.25, "pixel_accuracy": 0.125}
    metrics |= {"iou/sky": 1.0, "accuracy/sky": 0.9}
    lines = format_table(metrics, CLASSES, "single scale").splitlines()
    assert lines[0] == "Segmentation, single scale"
    assert lines[2].split() == ["sky", "100.00", "90.00"]
    assert lines[3].split() == ["road", "–", "–"]
    assert lines[-2].split() == ["mean", "50.00", "25.00"]
    assert lines[-1].endswith(" 12.50")


def test_the_picture_is_darkest_on_a_perfect_diagonal():
    evaluator = SegmentationEvaluator(CLASSES)
    evaluator.update(np.diag([5, 6, 7, 8]))
    picture = evaluator.picture()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    dark_blue = (picture.astype(int)[..., 2] - picture[..., 0]) > 60
    assert 0.03 < dark_blue.mean() < 0.3


def test_classes_that_never_occur_are_named():
    evaluator = SegmentationEvaluator(["sky", "road", "car", "tree"])
    evaluator.update(np.diag([3, 0, 2, 0]) + np.eye(4, k=1, dtype=int))
    evaluator.confusion[1] = evaluator.confusion[3] = 0
    metrics = evaluator.evaluate()
    never = {name for name in metrics if name.startswith("never_labelled/")}
    assert never == {"never_labelled/road", "never_labelled/tree"}
    table = format_table(metrics, ["sky", "road", "car", "tree"], "single scale")
    assert "No pixel is labelled road, tree. The mean IoU leaves" in table
    full = {f"accuracy/{name}": 1.0 for name in ("sky", "road", "car", "tree")}
    table = format_table({**metrics, **full}, ["sky", "road", "car", "tree"], "once")
    assert "No pixel is labelled" not in table
