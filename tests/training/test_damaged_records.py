"""Trainings whose records are damaged, before them or under them."""

import json
import re
import shutil

import pytest
import record_damage as damage
import tensorflow as tf

from hrnet_tf import train
from hrnet_tf.data.records import sets
from hrnet_tf.training import record_watch


@pytest.fixture
def copied(toy_data, tmp_path):
    """A copy of the records of people."""
    return shutil.copytree(toy_data / "records", tmp_path / "records")


@pytest.fixture
def run(traced_command, copied, tmp_path, capsys):
    """Trains on the copy; returns the exit code and what was told."""

    def run(*changes, role="train_data"):
        split = {"train_data": "train", "validation_data": "val"}[role]
        pattern = f"task.{role}.input_path={copied}/{split}-*"
        overrides = f"--params_override={','.join([pattern, *changes])}"
        capsys.readouterr()
        arguments = traced_command(tmp_path / "model", overrides)
        return train.main(["train", *arguments]), capsys.readouterr().err

    return run


BEFORE = [change.__name__ for change in damage.DAMAGES]


@pytest.mark.parametrize("role", ["train_data", "validation_data"])
@pytest.mark.parametrize("name", BEFORE)
def test_damage_is_told_before_the_first_step(run, copied, tmp_path, role, name):
    path = (
        copied / f"{'train' if role == 'train_data' else 'val'}-00001-of-00002.tfrecord"
    )
    getattr(damage, name)(path)
    code, error = run(role=role)
    (line,) = [line for line in error.splitlines() if str(path) in line]
    assert code == 1 and f"task.{role}.input_path: " in line
    assert "Traceback" not in error and not (tmp_path / "model").exists()


def test_what_a_killed_converter_left_is_refused(run, copied):
    (copied / "train.conversion.json").write_text(json.dumps({"unfinished": "x"}))
    code, error = run()
    assert code == 1 and "are unfinished, as" in error


def late(monkeypatch, change):
    """Does something when the checks are over, and nothing has been read."""
    begin = record_watch.RecordWatch.__init__

    def begin_and_change(self, *sources):
        begin(self, *sources)
        change()

    monkeypatch.setattr(record_watch.RecordWatch, "__init__", begin_and_change)


@pytest.mark.heavy
def test_damage_that_shows_during_training_names_the_record(
    run, copied, tmp_path, monkeypatch
):
    path = copied / "train-00001-of-00002.tfrecord"
    late(monkeypatch, lambda: damage.flip_in_the_record(path))
    code, error = run()
    assert code == 1
    assert re.fullmatch(
        rf"{path}: record 3 is damaged \(corrupted record at \d+\); convert the data "
        "again with --overwrite.",
        error.splitlines()[-1],
    )


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", ["delete", "cut_at_a_border", "empty"])
def test_files_that_change_during_training_end_it(
    run, copied, tmp_path, monkeypatch, name
):
    path = copied / "train-00001-of-00002.tfrecord"
    monkeypatch.setattr(record_watch, "_INTERVAL", 0)
    assert run("trainer.train_steps=2", "trainer.validation_interval=2")[0] == 0
    steps = []

    def look(self, output=None, _look=record_watch.RecordWatch.__call__):
        steps.append(0)
        if len(steps) == 2:
            getattr(damage, name)(path)
        _look(self, output)

    monkeypatch.setattr(record_watch.RecordWatch, "__call__", look)
    code, error = run("trainer.train_steps=12")
    assert code == 1 and "Traceback" not in error
    assert str(path) in error.splitlines()[-1]
    latest = tf.train.latest_checkpoint(str(tmp_path / "model"))
    assert latest and tf.train.load_checkpoint(latest)


@pytest.mark.slow
@pytest.mark.faults
def test_damage_of_large_validation_records_names_the_record(run, copied, monkeypatch):
    monkeypatch.setattr(sets, "_READ_WHOLE", 0)
    path = copied / "val-00000-of-00002.tfrecord"
    late(monkeypatch, lambda: damage.flip_in_the_checksum(path))
    code, error = run(role="validation_data")
    assert code == 1
    assert f"{path}: record 2 is damaged" in error.splitlines()[-1]
