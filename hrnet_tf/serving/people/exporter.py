"""Joins two exported models, a detector and a pose model, into one SavedModel."""

import numpy as np

from hrnet_tf.serving import saved_model
from hrnet_tf.serving.detection.predictor import SavedModelDetectionPredictor
from hrnet_tf.serving.loading import LoadedSavedModel, load_model
from hrnet_tf.serving.metadata import PipelineMetadata
from hrnet_tf.serving.output import written_whole
from hrnet_tf.serving.people.module import PipelineModule
from hrnet_tf.serving.people.predictor import (
    People,
    PipelinePredictor,
    TwoStagePredictor,
)
from hrnet_tf.serving.pose.predictor import SavedModelPosePredictor
from hrnet_tf.serving.verification import VerificationError
from hrnet_tf.training.experiment import ConfigError

# Pixels, and shares of a score, by which the joint model may differ from the two.
_TOLERANCE = 1e-2


def export_pipeline(
    detector_path: str,
    pose_path: str,
    path: str,
    category_id: int,
    box_score_threshold: float,
    max_people: int,
    warmup: bool,
) -> None:
    """Writes the SavedModel, after comparing it with the two models.

    Args:
        detector_path: The detector's SavedModel.
        pose_path: The pose model's SavedModel.
        path: Where to.
        category_id: The detector's class that are people.
        box_score_threshold: Boxes that score less are left out.
        max_people: At most so many people are found in an image.
        warmup: Whether to add requests for TensorFlow Serving to warm up with.

    Raises:
        ConfigError: If one of the two is no such SavedModel.
        ModelError: If one of the two is no model of this package.
        VerificationError: If the joint model's answers are not those of the two.
    """
    detector = _load(detector_path, "--detector", "detection", "a detector")
    pose = _load(pose_path, "--pose", "pose", "a pose model")
    known = detector.metadata.categories
    if category_id not in known:
        names = ", ".join(f"{number} ({name})" for number, name in known.items())
        raise ConfigError(
            f"--category_id={category_id} is no class of the detector; it has {names}."
        )
    metadata = PipelineMetadata(
        detector.metadata, pose.metadata, category_id, box_score_threshold, max_people
    )
    with written_whole(path) as partial:
        module = PipelineModule(detector, pose, metadata)
        saved_model.write_saved_model(module, metadata, partial, warmup)
        expected = TwoStagePredictor(
            SavedModelDetectionPredictor(detector),
            SavedModelPosePredictor(pose),
            category_id,
            box_score_threshold,
        )
        _compare(expected, PipelinePredictor(load_model(partial)), max_people)


def _load(path: str, flag: str, task: str, kind: str) -> LoadedSavedModel:
    model = load_model(path)
    if not isinstance(model, LoadedSavedModel) or model.metadata.task != task:
        is_file = not isinstance(model, LoadedSavedModel)
        raise ConfigError(
            f"{flag}={path} must be the SavedModel of {kind}; it is "
            + ("a .tflite file." if is_file else f"one of {model.metadata.task}.")
        )
    return model


def _compare(
    expected: TwoStagePredictor, received: PipelinePredictor, max_people: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    wanted, found = expected.predict(image), received.predict(image)
    for name in People.__dataclass_fields__:
        values = getattr(wanted, name)[:max_people]
        difference = np.abs(values - getattr(found, name)) if len(values) else 0.0
        if len(values) != len(getattr(found, name)) or np.max(difference) > _TOLERANCE:
            raise VerificationError(
                f"The joint model's {name} are not those of the two models; nothing "
                "was written."
            )
