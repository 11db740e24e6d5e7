"""Imports every module that registers something with the Model Garden.

Commands, `hrnet_tf.api` and tests import this one, and no other module does.
"""

# ruff: noqa: F401
from official.vision.modeling import backbones, decoders
from official.vision.tasks import image_classification as _classification_task

from hrnet_tf.configs import classification as _classification_config
from hrnet_tf.configs import detection as _detection_config
from hrnet_tf.configs import keypoint_data as _keypoint_data_config
from hrnet_tf.configs import pose as _pose_config
from hrnet_tf.configs import segmentation as _segmentation_config
from hrnet_tf.configs import stock as _stock_config
from hrnet_tf.modeling import (
    hrnet,
    iterative_decoder,
    litehrnet,
    ocr,
    representations,
)
from hrnet_tf.tasks import detection as _detection_task
from hrnet_tf.tasks import pose as _pose_task
from hrnet_tf.tasks import segmentation as _segmentation_task
