import copy
from typing import Any

import numpy as np
import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.serving import verification
from hrnet_tf.serving.pose import verification as pose_verification
from hrnet_tf.serving.verification import Score, VerificationError
from hrnet_tf.tasks.pose import PoseTask
from hrnet_tf.training.experiment import parse_config


@pytest.fixture(scope="module")
def task(toy_data) -> PoseTask:
    params = parse_config(
        "hrnet_pose_coco",
        [str(toy_data / "toy.yaml")],
        "task.evaluation.flip_test=false,task.allow_image_summary=false",
    )
    return PoseTask(params.task)


@pytest.fixture(scope="module")
def records(task) -> list[dict[str, Any]]:
    config = task.task_config
    people = pose_input.PoseInput(
        config.validation_data, config.codec, config.model.input_size, task.skeleton
    )
    return list(people.images())


class Oracle:
    """Stands for an exported model that knows every person, or nearly."""

    def __init__(self, records: list[dict[str, Any]], shift: float = 0.0):
        self._records = records
        self._shift = shift

    def predict_people(self, image, boxes):
        for record in self._records:
            if np.array_equal(record["boxes"], boxes):
                keypoints = record["keypoints"].numpy() + [self._shift, 0, 0]
                return keypoints.astype(np.float32), np.ones(len(boxes), np.float32)
        raise AssertionError("asked for people who are not in the records")


@pytest.mark.parametrize(
    # Another evaluation to trace.
    "max_images",
    [2, pytest.param(0, marks=pytest.mark.slow)],
)
def test_checkpoint_and_export_see_the_same_people(task, records, max_images):
    expected = pose_verification.score_checkpoint(task, task.build_model(), max_images)
    assert len(expected.image_ids) == (max_images or 4)
    exported = pose_verification.score_exported(
        task, Oracle(records), expected, max_images
    )
    assert exported.image_ids == expected.image_ids
    assert exported.count == expected.count > 0
    assert exported.value > 0.99
    verification.check_loss(expected, exported, 0.002)


def test_a_loss_is_found(task, records):
    image_ids = [int(record["image_id"]) for record in records]
    everyone = Score("AP", 1.0, 0, "", tuple(image_ids[:2]))
    perfect, shifted = (
        pose_verification.score_exported(task, Oracle(records, shift), everyone, 2)
        for shift in (0.0, 30.0)
    )
    assert perfect.value > 0.99 > 0.5 > shifted.value
    with pytest.raises(VerificationError, match="loses .* AP .* nothing was written"):
        verification.check_loss(perfect, shifted, 0.002)


def test_errors_are_lost_the_other_way_round(task, records):
    """NME beside NME: the exported model loses if it has more."""
    of_faces = copy.deepcopy(task.task_config)
    of_faces.evaluation.metric = "nme"
    of_faces.evaluation.normalizer = "bbox_size"
    faces = PoseTask(of_faces)
    image_ids = [int(record["image_id"]) for record in records]
    everyone = Score("NME", 0.0, 0, "", tuple(image_ids[:2]), lower_is_better=True)
    perfect, shifted = (
        pose_verification.score_exported(faces, Oracle(records, shift), everyone, 2)
        for shift in (0.0, 3.0)
    )
    assert perfect.metric == "NME" and perfect.lower_is_better
    assert perfect.value < 1e-6 < shifted.value
    verification.check_loss(shifted, perfect, 0.0)
    with pytest.raises(VerificationError, match="loses .* NME .* nothing was written"):
        verification.check_loss(perfect, shifted, 0.002)


def test_people_must_be_the_same():
    with pytest.raises(VerificationError, match="3 people and the exported model 2"):
        verification.check_loss(
            Score("AP", 0.5, 3, "3 people", (1,)),
            Score("AP", 0.5, 2, "2 people", (1,)),
            1,
        )


@pytest.mark.parametrize("error", [2e-3, np.nan])
def test_heatmaps_must_agree(error):
    maps = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    assert verification.check_maps(maps, maps + 1e-6, "heatmaps") < 1e-5
    assert verification.check_maps(maps, maps + 5e-4, "heatmaps") < 1e-3
    with pytest.raises(VerificationError, match="differ"):
        verification.check_maps(maps, maps + error, "heatmaps")
