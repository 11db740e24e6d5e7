"""Runs exported models of any task.

predictor = load_predictor("exported/1")
keypoints, scores = predictor.predict(image, boxes)  # pose
label_map = predictor.predict(image)  # segmentation
detections = predictor.predict(image)  # detection
people = predictor.predict(image)  # a detector and a pose model in one
"""

from hrnet_tf.serving.detection.predictor import (
    DetectionPredictor,
    SavedModelDetectionPredictor,
    TFLiteDetectionPredictor,
)
from hrnet_tf.serving.loading import LoadedTFLite, load_model
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.people.predictor import PipelinePredictor
from hrnet_tf.serving.pose.predictor import (
    PosePredictor,
    SavedModelPosePredictor,
    TFLitePosePredictor,
)
from hrnet_tf.serving.segmentation.predictor import (
    SavedModelSegmentationPredictor,
    SegmentationPredictor,
    TFLiteSegmentationPredictor,
)

__all__ = [
    "DetectionPredictor",
    "ModelError",
    "PipelinePredictor",
    "PosePredictor",
    "Predictor",
    "SegmentationPredictor",
    "load_predictor",
]

Predictor = (
    PosePredictor | SegmentationPredictor | DetectionPredictor | PipelinePredictor
)

# For SavedModels and for .tflite files, by task.
_KINDS = {
    "pose": (SavedModelPosePredictor, TFLitePosePredictor),
    "segmentation": (SavedModelSegmentationPredictor, TFLiteSegmentationPredictor),
    "detection": (SavedModelDetectionPredictor, TFLiteDetectionPredictor),
    "people": (PipelinePredictor, None),
}


def load_predictor(path: str, num_threads: int | None = None) -> Predictor:
    """Loads a model that `python -m hrnet_tf.export` wrote; see `loading.load_model`.

    Raises:
        ModelError: If there is no such model.
    """
    model = load_model(path, num_threads)
    return _KINDS[model.metadata.task][isinstance(model, LoadedTFLite)](model)
