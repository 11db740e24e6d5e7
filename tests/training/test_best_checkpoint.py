"""The best checkpoint and its info.json change together, or stay as they were."""

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.training import best_checkpoint, run_lock
from hrnet_tf.weights import whole_checkpoints


@pytest.fixture
def params() -> cfg.ExperimentConfig:
    return cfg.ExperimentConfig(
        trainer=cfg.TrainerConfig(
            best_checkpoint_export_subdir="best",
            best_checkpoint_eval_metric="AP",
            best_checkpoint_metric_comp="higher",
        )
    )


class Run:
    """Saves the best of some evaluations."""

    def __init__(self, params: cfg.ExperimentConfig, folder: Path):
        self.folder = folder / "best"
        self.step = tf.Variable(0, dtype=tf.int64)
        self.checkpoint = tf.train.Checkpoint(global_step=self.step)
        self.exporter = best_checkpoint.exporter(params, str(folder), str(folder))

    def evaluate(self, step: int, score: float) -> bool:
        self.step.assign(step)
        logs = {"AP": tf.constant(score), "image/a": tf.zeros([3, 3])}
        return self.exporter.maybe_export_checkpoint(self.checkpoint, logs, step)

    def best(self) -> tuple[int, dict]:
        prefix = whole_checkpoints.newest(str(self.folder))
        step = tf.train.load_variable(prefix, "global_step/.ATTRIBUTES/VARIABLE_VALUE")
        return step, json.loads((self.folder / "info.json").read_text())


def test_the_best_is_kept_with_its_score(params, tmp_path):
    run = Run(params, tmp_path)
    assert run.evaluate(2, 0.5) and run.evaluate(4, 0.75)
    assert not run.evaluate(6, 0.75)
    assert run.best() == (4, {"AP": 0.75, "best_ckpt_global_step": 4})
    # A run that goes on counts its saves anew.
    run = Run(params, tmp_path)
    assert not run.evaluate(8, 0.625)
    assert run.evaluate(8, 0.875)
    assert run.best() == (8, {"AP": 0.875, "best_ckpt_global_step": 8})
    assert sorted(os.listdir(run.folder)) == [
        *("best_ckpt-3.data-00000-of-00001", "best_ckpt-3.index"),
        *("checkpoint", "info.json"),
    ]


@pytest.mark.parametrize("killed", ["before the checkpoint", "after the checkpoint"])
def test_a_save_that_was_killed_is_finished_or_taken_back(
    killed, params, tmp_path, monkeypatch
):
    run = Run(params, tmp_path)
    run.evaluate(2, 0.5)

    def kill(*_, **__):
        raise KeyboardInterrupt

    if killed == "before the checkpoint":
        monkeypatch.setattr(tf.train.CheckpointManager, "save", kill)
    else:
        monkeypatch.setattr(tf.io.gfile, "rename", kill)
        monkeypatch.setattr(
            best_checkpoint,
            "write_json",
            lambda path, content: Path(path).write_text(json.dumps(content)),
        )
    with pytest.raises(KeyboardInterrupt):
        run.evaluate(4, 0.75)
    monkeypatch.undo()
    expected = 2 if killed == "before the checkpoint" else 4
    assert (
        best_checkpoint.read_info(str(run.folder), "AP")["AP"]
        == ({2: 0.5, 4: 0.75}[expected])
    )
    run = Run(params, tmp_path)
    step, info = run.best()
    assert step == info["best_ckpt_global_step"] == expected
    assert "info.next.json" not in os.listdir(run.folder)
    assert not run.evaluate(6, info["AP"])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", "7", "\xff", '{"AP": "0.5"}', '{"AP": true}'),
        *('{"AP": null}', '{"AP": [0.5]}', '{"AP": {}}', '{"AR": 0.5}', "[" * 9999),
    ],
)
def test_an_info_that_cannot_tell_is_refused(content, params, tmp_path):
    Run(params, tmp_path).evaluate(2, 0.5)
    path = tmp_path / "best/info.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(best_checkpoint.BestCheckpointError) as error:
        Run(params, tmp_path)
    text = str(error.value)
    assert str(path) in text and "delete it" in text and "\n" not in text


def test_any_score_is_better_than_none(params, tmp_path):
    Run(params, tmp_path).evaluate(2, float("nan"))
    run = Run(params, tmp_path)
    assert run.evaluate(4, 0.25)
    assert run.best()[1]["AP"] == 0.25


@pytest.mark.parametrize("lost", ["info.json", "best_ckpt-1.index", "best_ckpt-1.*"])
def test_what_is_lost_is_told_and_replaced(lost, params, tmp_path, log):
    Run(params, tmp_path).evaluate(2, 0.5)
    for path in (tmp_path / "best").glob(lost):
        path.unlink()
    run = Run(params, tmp_path)
    assert "the next evaluation's checkpoint becomes the best" in log()
    assert run.evaluate(4, 0.25)
    assert run.best() == (4, {"AP": 0.25, "best_ckpt_global_step": 4})


def test_a_run_may_keep_no_best_checkpoint(params, tmp_path):
    params.trainer.best_checkpoint_export_subdir = ""
    assert best_checkpoint.exporter(params, str(tmp_path), str(tmp_path)) is None


def test_other_workers_know_the_same_best(params, tmp_path):
    Run(params, tmp_path).evaluate(2, 0.5)
    before = sorted(os.listdir(tmp_path / "best"))
    worker_dir = str(tmp_path / "worker")
    other = best_checkpoint.exporter(params, str(tmp_path), worker_dir)
    assert other.best_ckpt_logs == {"AP": 0.5, "best_ckpt_global_step": 2}
    assert sorted(os.listdir(tmp_path / "best")) == before


def test_the_score_of_another_checkpoint_is_not_believed(params, tmp_path, log):
    Run(params, tmp_path).evaluate(2, 0.5)
    path = tmp_path / "best/info.json"
    path.write_text(json.dumps({"AP": 0.99, "best_ckpt_global_step": 777}))
    run = Run(params, tmp_path)
    assert "no info.json says how good best_ckpt-1 is" in log()
    assert run.evaluate(4, 0.25)
    assert run.best() == (4, {"AP": 0.25, "best_ckpt_global_step": 4})


def test_two_processes_keep_the_best_of_both(params, tmp_path):
    first, second = Run(params, tmp_path), Run(params, tmp_path)
    assert first.evaluate(2, 0.5)
    assert not second.evaluate(2, 0.5)
    assert second.evaluate(4, 0.75)
    assert not first.evaluate(6, 0.625)
    assert first.exporter.best_ckpt_logs["AP"] == 0.75
    assert first.evaluate(8, 0.875)
    assert first.best() == (8, {"AP": 0.875, "best_ckpt_global_step": 8})
    assert sorted(os.listdir(first.folder)) == [
        *("best_ckpt-3.data-00000-of-00001", "best_ckpt-3.index"),
        *("checkpoint", "info.json"),
    ]


def test_a_save_of_another_process_is_left_alone(params, tmp_path, monkeypatch, log):
    monkeypatch.setattr(best_checkpoint, "_PATIENCE", 0.2)
    run = Run(params, tmp_path)
    with run_lock.held(str(run.folder)):
        (run.folder / "best_ckpt-1_temp").mkdir()
        (run.folder / "info.next.json").write_text("{}")
        before = sorted(os.listdir(run.folder))
        with pytest.raises(run_lock.LockedError):
            Run(params, tmp_path)
        assert not run.evaluate(2, 0.5)
        assert run.exporter.best_ckpt_logs["AP"] == 0.5  # as the Garden reports it
        assert sorted(os.listdir(run.folder)) == before
    assert "The best checkpoint is left as it is" in log()
    assert run.evaluate(4, 0.25)
    assert run.best() == (4, {"AP": 0.25, "best_ckpt_global_step": 4})


def test_a_file_that_a_killed_process_was_writing_is_removed(params, tmp_path):
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / f".hrnet_tf.{2**30}.info.next.json").write_text("{")
    Run(params, tmp_path)
    assert not os.listdir(folder)


def test_a_run_that_was_moved_saves_nothing(params, tmp_path):
    def check_kept():
        raise run_lock.LostError("gone")

    folder = str(tmp_path)
    exporter = best_checkpoint.exporter(params, folder, folder, check_kept)
    before = os.listdir(tmp_path / "best")
    with pytest.raises(run_lock.LostError):
        exporter.maybe_export_checkpoint(tf.train.Checkpoint(), {"AP": 0.5}, 2)
    assert os.listdir(tmp_path / "best") == before


def test_workers_that_save_together_keep_to_what_all_know(
    params, tmp_path, monkeypatch
):
    monkeypatch.setattr(best_checkpoint.workers, "are_several", lambda _: True)
    monkeypatch.setattr(best_checkpoint, "_PATIENCE", 0.2)
    first, second = Run(params, tmp_path), Run(params, tmp_path)
    assert first.evaluate(2, 0.5)
    assert second.evaluate(4, 0.25)
    # One that saved nothing would keep the others waiting for ever.
    with run_lock.held(str(first.folder)), pytest.raises(run_lock.LockedError):
        first.evaluate(6, 0.75)
