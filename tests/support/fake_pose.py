"""A pose model for tests of what is around it."""

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.pose.predictor import PosePredictor


class FakePredictor(PosePredictor):
    """Puts all keypoints on the middle of the box."""

    has_heatmaps = False

    class metadata:
        task = "pose"
        skeleton = load_skeleton("coco17")

    def __init__(self, style):
        self.style = style

    def predict_crop(self, crop):
        raise AssertionError("not asked for")

    def predict_people(self, image, boxes):
        assert image.dtype == np.uint8 and image.ndim == 3
        middles = boxes[:, np.newaxis, :2] + boxes[:, np.newaxis, 2:] / 2
        keypoints = np.ones((len(boxes), 17, 3), np.float32)
        keypoints[..., :2] = middles
        return keypoints, np.full(len(boxes), 0.8, np.float32)
