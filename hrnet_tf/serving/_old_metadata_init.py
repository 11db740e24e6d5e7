"""What an exported model says of itself: hrnet_tf.json.

A SavedModel holds it among its assets, a .tflite file as a file attached to it. Apps in
any language can read it to label and draw what the model predicts.
"""

import json

from hrnet_tf.serving.detection.metadata import CANVAS_COLOR, DetectionMetadata
from hrnet_tf.serving.metadata import FILE_NAME, Labels, ModelError, reading
from hrnet_tf.serving.people.metadata import PipelineMetadata
from hrnet_tf.serving.pose.metadata import Metadata
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata

__all__ = [
    "CANVAS_COLOR",
    "FILE_NAME",
    "AnyMetadata",
    "DetectionMetadata",
    "Labels",
    "Metadata",
    "ModelError",
    "PipelineMetadata",
    "SegmentationMetadata",
    "metadata_from_json",
]

AnyMetadata = Metadata | SegmentationMetadata | DetectionMetadata | PipelineMetadata

_KINDS = {
    "pose": Metadata,
    "segmentation": SegmentationMetadata,
    "detection": DetectionMetadata,
    "people": PipelineMetadata,
}


def metadata_from_json(text: str | bytes, source: str) -> AnyMetadata:
    """Reads hrnet_tf.json of a model of any task.

    Raises:
        ModelError: If it is something else.
    """
    with reading(source):
        kind = _KINDS[json.loads(text)["task"]]
    return kind.from_json(text, source)
