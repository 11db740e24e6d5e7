"""A detector and a pose model, one after the other, look at several images."""

from types import SimpleNamespace

import numpy as np
import pytest

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.detection.predictor import DetectionPredictor
from hrnet_tf.serving.people.predictor import TwoStagePredictor
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.serving.predictor import DEFAULT_STYLE


class Detector(DetectionPredictor):
    """Finds as many people as an image's first pixel says."""

    metadata = SimpleNamespace(max_detections=9, categories={1: "person"})

    def __init__(self):
        self.asked = []

    def predict_image(self, image, boxes=None):
        raise AssertionError("not asked for")

    def find_people(self, image, category_id=None, least_score=None):
        self.asked.append((category_id, least_score))
        count = image[0, 0, 0]
        boxes = [[10 * count, place, 4, 4] for place in range(count)]
        return Boxes(boxes, [0.5] * count)


class Pose(PosePredictor):
    """Puts all keypoints on the corner of the box."""

    metadata = SimpleNamespace(task="pose", skeleton=load_skeleton("coco17"))
    has_heatmaps = False
    style = DEFAULT_STYLE

    def __init__(self, batches_any_sizes):
        self.batches_any_sizes = batches_any_sizes

    def predict_crop(self, crop):
        raise AssertionError("not asked for")

    def predict_people(self, image, boxes):
        keypoints = np.ones((len(boxes), 17, 3), np.float32)
        keypoints[..., :2] = boxes[:, np.newaxis, :2]
        return keypoints, np.full(len(boxes), 0.8, np.float32)


@pytest.mark.parametrize("batches_any_sizes", [False, True])
def test_people_are_those_of_their_image(batches_any_sizes):
    detector = Detector()
    predictor = TwoStagePredictor(detector, Pose(batches_any_sizes), 1, 0.3)
    assert predictor.batches_any_sizes == batches_any_sizes
    counts = [2, 0, 3, 1]
    images = [np.full((20, 30 + n, 3), n, np.uint8) for n in counts]
    found = predictor.predict_batch(images, [None] * 4)
    assert detector.asked == [(1, 0.3)] * 4
    for count, image, prediction in zip(counts, images, found, strict=True):
        assert prediction.image is image
        assert len(prediction.boxes) == len(prediction.keypoints) == count
        assert (prediction.boxes[:, 0] == 10 * count).all()
        np.testing.assert_array_equal(
            prediction.keypoints[:, 3, :2], prediction.boxes[:, :2]
        )
        np.testing.assert_allclose(prediction.scores, 0.4)
