"""The metric is chosen by a configuration; AP is told by crowding, too."""

import numpy as np
import pytest
from random_people import predict, random_truth, rows

from hrnet_tf.configs.pose import METRICS, Evaluation
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation import crowding, keypoint_metrics
from hrnet_tf.evaluation.coco_keypoints import LEVELS, COCOKeypointEvaluator

COCO = load_skeleton("coco17")


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_announced_is_computed(metric):
    config = Evaluation(metric=metric, normalizer="bbox_side")
    truth = random_truth(COCO, 5)
    evaluator = keypoint_metrics.build_evaluator(config, truth, COCO)
    evaluator.update(predict(truth, 3))
    metrics = evaluator.evaluate()
    announced = keypoint_metrics.names(config)
    assert evaluator.main_metric == announced[0]
    assert set(announced) <= set(metrics)
    assert evaluator.lower_is_better == keypoint_metrics.lower_is_better(announced[0])
    assert all(isinstance(value, float) for value in metrics.values())


def test_thresholds_are_in_the_names():
    config = Evaluation(metric="nme", thresholds=[0.08, 0.1])
    assert keypoint_metrics.names(config) == [
        *("NME", "failure_rate@0.08", "AUC@0.08", "failure_rate@0.1", "AUC@0.1")
    ]
    config = Evaluation(metric="pckh", thresholds=[0.3])
    assert keypoint_metrics.names(config) == ["PCKh@0.3"]
    assert keypoint_metrics.names(Evaluation(metric="pckh")) == ["PCKh@0.5", "PCKh@0.1"]
    errors = ["NME", "failure_rate@0.1"]
    others = ["AUC@0.1", "PCK@0.2", "PCKh@0.5/head", "keypoint_AP"]
    lower = filter(keypoint_metrics.lower_is_better, errors + others)
    assert list(lower) == errors


def test_pck_is_by_the_box_unless_it_is_told_otherwise():
    wflw = load_skeleton("wflw98")

    def name(skeleton, **chosen):
        config = Evaluation(metric="pck", **chosen)
        return keypoint_metrics.normalizer_of(config, skeleton)

    assert name(COCO).name == "bbox_side"
    assert name(COCO, normalizer="bbox_size").name == "bbox_size"
    assert name(wflw).pair == (60, 72)
    assert keypoint_metrics.normalizer_of(Evaluation(), wflw) is None


def test_ap_by_crowding_is_that_of_the_images_of_each_level():
    index = {1: 0.0, 2: 0.0999, 3: 0.1, 4: 0.5, 5: 0.79, 6: 0.8, 7: 1.0}
    levels = crowding.images_by_level(index)
    assert levels == {"easy": {1, 2}, "medium": {3, 4, 5}, "hard": {6, 7}}

    truth = random_truth(COCO, 8, crowd_index=index)  # One image tells nothing.
    predictions = predict(truth, 9)
    evaluator = COCOKeypointEvaluator(truth, COCO.sigmas)
    evaluator.update(predictions)
    metrics = evaluator.evaluate()
    for level, name in zip(levels, LEVELS, strict=True):
        alone = COCOKeypointEvaluator(random_truth(COCO, 8), COCO.sigmas)
        kept = np.isin(predictions["image_id"], list(levels[level]))
        alone.update(rows(predictions, kept))
        expected = alone.evaluate(levels[level])
        assert (
            metrics[name] == pytest.approx(expected["keypoint_AP"]) and name in LEVELS
        )
        assert not set(LEVELS) & set(expected)
    assert len({metrics[name] for name in LEVELS}) == 3
    table = evaluator.format_table(metrics, True, "msra")
    assert f"easy {metrics['keypoint_AP_easy']:.3f}, medium" in table.splitlines()[-1]
    # Of fewer images, some levels have none.
    assert evaluator.evaluate([1, 2])["keypoint_AP_hard"] == -1


def test_crowding_is_not_told_of_where_it_is_not_known():
    truth = random_truth(COCO, 3)
    evaluator = COCOKeypointEvaluator(truth, COCO.sigmas)
    evaluator.update(predict(truth))
    assert "crowding" not in evaluator.format_table(evaluator.evaluate(), True, "msra")
