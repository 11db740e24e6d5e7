"""Evaluations write nothing into a directory that is no longer theirs."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from hrnet_tf.messages import UserError
from hrnet_tf.progress import Progress
from hrnet_tf.tasks import evaluation


class LostError(UserError):
    """Stands for that of a run."""


class Task(evaluation.EvaluatedTask):
    """A task without data; its directory is lost at some moment."""

    def __init__(self, folder: str, moment: str):
        self._logging_dir = folder
        self._task_config = SimpleNamespace(
            evaluation=SimpleNamespace(num_pictures=0), allow_image_summary=False
        )
        self._moment = moment
        self._is_lost = False

    def _reach(self, moment: str) -> None:
        self._is_lost = self._is_lost or moment == self._moment

    def check_kept(self):
        if self._is_lost:
            raise LostError("gone")

    def score(self, evaluation):
        self._reach("scoring")
        return {"AP": 0.5}

    def write_results(self, path):
        with open(path, "w"):
            pass

    def draw(self):
        self._reach("drawing")
        return {"confusion": np.zeros([8, 8, 3], np.uint8)}

    def compare(self, evaluation, count):
        return []

    build_evaluator = report = add_step = read_record = build_inputs = None


@pytest.mark.parametrize(
    "moment, written", [("scoring", []), ("drawing", ["results.json"])]
)
def test_a_directory_that_is_lost_is_left_alone(moment, written, tmp_path):
    task = Task(str(tmp_path), moment)
    with pytest.raises(LostError):
        task.reduce_aggregated_logs(evaluation.Evaluation(Progress(1, "").__enter__()))
    assert os.listdir(tmp_path) == written
