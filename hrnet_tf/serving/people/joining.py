"""Joins two exported models, a detector and a pose model, into one SavedModel."""

import logging

import numpy as np

from hrnet_tf.data.synthetic import scenes
from hrnet_tf.messages import UserError, numbered
from hrnet_tf.output_files import written_whole
from hrnet_tf.serving import loading, saved_model
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.predictor import SavedModelDetectionPredictor
from hrnet_tf.serving.loading import LoadedSavedModel
from hrnet_tf.serving.people.metadata import PeopleMetadata
from hrnet_tf.serving.people.module import PeopleModule
from hrnet_tf.serving.people.predictor import PeoplePredictor, TwoStagePredictor
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.pose.predictor import SavedModelPosePredictor
from hrnet_tf.serving.verification import VerificationError

_log = logging.getLogger(__name__)

# Pixels, and shares of a score, by which the joint model may differ from the two.
_TOLERANCE = 1e-2
# The shares of a person's longer side that count as such pixels, once they are more: a
# crop is scaled with its box, and finding a flat heatmap's peak multiplies rounding.
_PIXEL_OF_PERSON = 0.1


class JoiningError(UserError):
    """Two models that cannot be joined as asked."""


def join(
    detector_path: str,
    pose_path: str,
    path: str,
    category_id: int,
    box_score_threshold: float,
    max_people: int,
    warmup: bool,
    verify: bool = True,
) -> None:
    """Writes the SavedModel, after comparing it with the two models.

    Args:
        detector_path: The detector's SavedModel.
        pose_path: The pose model's SavedModel.
        path: Where to.
        category_id: The detector's class for people.
        box_score_threshold: Boxes that score less are left out.
        max_people: The most people that are found in an image.
        warmup: Whether to add requests for TensorFlow Serving to warm up with.
        verify: Whether the two must be as they were exported.

    Raises:
        JoiningError: If one of the two is no such SavedModel.
        ModelError: If one of the two is no model of this package.
        VerificationError: If the joint model's answers are not those of the two.
    """
    detector, pose = (
        _load(model, flag, task, kind, verify)
        for model, flag, task, kind in (
            (detector_path, "--detector", DetectionMetadata.task, "a detector"),
            (pose_path, "--pose", PoseMetadata.task, "a pose model"),
        )
    )
    find = SavedModelDetectionPredictor(detector)
    estimate = SavedModelPosePredictor(pose)
    known = find.metadata.categories
    if category_id not in known:
        raise JoiningError(
            f"--category_id={category_id} is no class of the detector; it has "
            f"{numbered(known)}."
        )
    metadata = PeopleMetadata(
        detector=find.metadata,
        pose=estimate.metadata,
        category_id=category_id,
        box_score_threshold=box_score_threshold,
        max_people=max_people,
    )
    with written_whole(path) as partial:
        module = PeopleModule(detector, pose, metadata)
        saved_model.write_saved_model(module, metadata, partial, warmup)
        apart = TwoStagePredictor(find, estimate, category_id, box_score_threshold)
        joint = PeoplePredictor(loading.load_saved_model(partial))
        _compare(apart, joint, max_people)


def _load(path: str, flag: str, task: str, kind: str, verify: bool) -> LoadedSavedModel:
    model = loading.load_model(path, verify=verify)
    received = model.description["task"]
    if not isinstance(model, LoadedSavedModel):
        raise JoiningError(
            f"{flag}={path} must be the SavedModel of {kind}; it is a .tflite file."
        )
    if received != task:
        raise JoiningError(
            f"{flag}={path} must be the SavedModel of {kind}; it is a {received} model."
        )
    return model


def _compare(
    expected: TwoStagePredictor, received: PeoplePredictor, max_people: int
) -> None:
    """Compares answers for noise, and for drawn people, in whom more may be found."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (240, 320, 3), np.uint8)
    num_people = 0
    for image in (noise, scenes.draw_scene(generator, 480, 640).image):
        wanted, found = expected.predict_image(image), received.predict_image(image)
        num_people += len(wanted.boxes)
        for name in ("boxes", "box_scores", "keypoints", "scores"):
            one, other = getattr(wanted, name)[:max_people], getattr(found, name)
            if not _agree(name, one, other, wanted.boxes[:max_people]):
                raise VerificationError(
                    f"The joint model's {name} are not those of the two models; "
                    "nothing was written."
                )
    if not num_people:
        _log.warning(
            "The detector found nobody in noise, nor in drawn people: boxes and "
            "keypoints of the joint model are compared with nothing. Compare them on "
            "an image of yours, with hrnet_tf.predict."
        )


def _agree(name: str, one: np.ndarray, other: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether they differ by few pixels, or a small share of the highest score.

    Heatmaps of networks that are hardly trained reach far above 1, and what changes in
    a crop's pixels by rounding changes all their values by a share of that.
    """
    if len(one) != len(other):
        return False
    units = np.ones_like(one)
    if name == "keypoints":
        sides = boxes[:, 2:].max(-1)[:, np.newaxis, np.newaxis]
        units[..., :2] = np.maximum(_PIXEL_OF_PERSON * sides, 1.0)
        units[..., 2] = np.abs(one[..., 2]).max(initial=1.0)
    elif name != "boxes":
        units[:] = np.abs(one).max(initial=1.0)
    return bool((np.abs(one - other) <= _TOLERANCE * units).all())
