"""People for tests of tracking: predictions of a pose model without a model."""

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.pose.predictor import PosePrediction

SKELETON = load_skeleton("coco17")
SIZE = 200, 400
IMAGE = np.zeros([*SIZE, 3], np.uint8)
# Keypoints of somebody who stands, as shares of a box.
_BODY = np.array(
    [
        *((0.5, 0.08), (0.54, 0.06), (0.46, 0.06), (0.59, 0.08), (0.41, 0.08)),
        *((0.68, 0.22), (0.32, 0.22), (0.78, 0.38), (0.22, 0.38), (0.82, 0.52)),
        *((0.18, 0.52), (0.62, 0.54), (0.38, 0.54), (0.63, 0.75), (0.37, 0.75)),
        *((0.64, 0.96), (0.36, 0.96)),
    ]
)


def body(x, y=50.0, width=40.0, height=100.0, score=0.9):
    """The keypoints [17, 3] and the box [4] of somebody whose middle is at x."""
    box = np.array([x - width / 2, y, width, height])
    keypoints = np.column_stack([box[:2] + _BODY * box[2:], np.full(17, score)])
    return keypoints, box


def prediction(*people, scores=None):
    """The people, each as `body` makes them."""
    keypoints = np.float32([one for one, _ in people]).reshape(-1, 17, 3)
    boxes = np.float32([box for _, box in people]).reshape(-1, 4)
    scores = np.float32([0.9] * len(people) if scores is None else scores)
    ones = np.ones(len(people), np.float32)
    return PosePrediction(boxes, ones, keypoints, scores, SKELETON, image=IMAGE)
