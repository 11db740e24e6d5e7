"""Runs exported models of any task.

predictor = load_predictor("exported/1")
keypoints, scores = predictor.predict(image, boxes)  # pose
label_map = predictor.predict(image)  # segmentation
"""

from hrnet_tf.serving.loading import LoadedTFLite, load_model
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose_predictor import (
    PosePredictor,
    SavedModelPosePredictor,
    TFLitePosePredictor,
)
from hrnet_tf.serving.segmentation_predictor import (
    SavedModelSegmentationPredictor,
    SegmentationPredictor,
    TFLiteSegmentationPredictor,
)

__all__ = ["ModelError", "PosePredictor", "SegmentationPredictor", "load_predictor"]


def load_predictor(
    path: str, num_threads: int | None = None
) -> PosePredictor | SegmentationPredictor:
    """Loads a model that `python -m hrnet_tf.export` wrote; see `loading.load_model`.

    Raises:
        ModelError: If there is no such model.
    """
    model = load_model(path, num_threads)
    is_tflite = isinstance(model, LoadedTFLite)
    if model.metadata.task == "pose":
        return (TFLitePosePredictor if is_tflite else SavedModelPosePredictor)(model)
    kind = TFLiteSegmentationPredictor if is_tflite else SavedModelSegmentationPredictor
    return kind(model)
