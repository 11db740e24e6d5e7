"""A run records which experiment it is of, and the categories that it names."""

import json

import pytest
import tensorflow as tf
from official.core import exp_factory

from hrnet_tf import (
    __version__,
    registry_imports,  # noqa: F401
)
from hrnet_tf.training import actions, run, run_file, run_lock
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.weights import whole_checkpoints

CATEGORIES = {1: "person", 7: "Fußball"}


def test_the_record_names_the_experiment_and_the_version(tmp_path):
    run._record_run(str(tmp_path), "hrnet_seg_lip", {}, trains=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "experiment": "hrnet_seg_lip",
        "hrnet_tf_version": __version__,
    }
    assert run_file.read(str(tmp_path)) == run_file.RunFile("hrnet_seg_lip")


def test_the_record_names_a_detectors_categories(tmp_path):
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", CATEGORIES, trains=True)
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["categories"] == {"1": "person", "7": "Fußball"}
    assert run_file.read(str(tmp_path)).categories == CATEGORIES


def test_an_evaluation_adds_categories_to_a_run_of_before(tmp_path):
    run._record_run(str(tmp_path), "any", CATEGORIES, trains=False)
    assert not list(tmp_path.iterdir())  # It is no run.
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", {}, trains=True)
    run._record_run(str(tmp_path), "other", CATEGORIES, trains=False)
    expected = run_file.RunFile("hrnet_retinanet_coco", CATEGORIES)
    assert run_file.read(str(tmp_path)) == expected
    run._record_run(str(tmp_path), "other", {1: "x"}, trains=False)
    assert run_file.read(str(tmp_path)) == expected


def test_training_writes_a_damaged_record_again(tmp_path):
    (tmp_path / "run.json").write_text("{")
    run._record_run(str(tmp_path), "hrnet_seg_lip", {}, trains=True)
    assert run_file.read(str(tmp_path)) == run_file.RunFile("hrnet_seg_lip")


def test_the_record_is_found_from_a_checkpoint(tmp_path):
    run._record_run(str(tmp_path), "hrnet_retinanet_coco", CATEGORIES, trains=True)
    expected = run_file.RunFile("hrnet_retinanet_coco", CATEGORIES)
    for checkpoint in ("ckpt-4", "best_checkpoint/best_ckpt-4"):
        assert run_file.read_of_model(None, f"{tmp_path}/{checkpoint}") == expected
    assert run_file.read_of_model(str(tmp_path), None) == expected
    assert run_file.read_of_model(None, "ckpt-4") is None


def test_a_run_of_before_has_no_record(tmp_path):
    assert run_file.read(str(tmp_path)) is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", '{"experiment": 3}', '{"experiment": null}'),
        "\xff",
        '{"experiment": "a", "categories": ["person"]}',
        '{"experiment": "a", "categories": {"person": 1}}',
        '{"experiment": "a", "categories": {"1": 1}}',
    ],
)
def test_a_malformed_record_is_named(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        run_file.read(str(tmp_path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def save(folder, *steps):
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(global_step=step)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=None)
    for number in steps:
        manager.save(checkpoint_number=number)


def test_training_keeps_its_directory_or_ends(tmp_path):
    folder = tmp_path / "run"
    with (
        pytest.raises(run_lock.LostError, match=str(folder)),
        run._writing(str(folder)) as check_kept,
    ):
        check_kept()
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        check_kept()
    assert not list(folder.iterdir())


def test_an_evaluation_keeps_to_its_directory_too(tmp_path, monkeypatch):
    class GuardedError(Exception):
        pass

    def guard(folder):
        raise GuardedError(folder)

    params = exp_factory.get_exp_config("hrnet_pose_coco")
    params.override({"runtime": {"distribution_strategy": "off", "num_gpus": 0}})
    monkeypatch.setattr(run_lock, "unmoved", guard)
    with pytest.raises(GuardedError, match=str(tmp_path)):
        run.run(params, "continuous_eval", str(tmp_path), "hrnet_pose_coco", None)


def test_training_does_not_begin_beside_damaged_checkpoints(tmp_path):
    save(tmp_path, 2)
    (tmp_path / "ckpt-2.index").write_text("")
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(whole_checkpoints.DamagedCheckpointError),
        run._writing(str(tmp_path)),
    ):
        pytest.fail("it would start over")
    assert sorted(tmp_path.iterdir()) == before


def test_training_begins_by_cleaning_up(tmp_path):
    save(tmp_path, 2)
    averages = tmp_path / "ema_checkpoints"
    save(averages, 2, 4)
    for folder in (tmp_path, averages):
        (folder / "ckpt-6_temp").mkdir()
        (folder / "checkpoint").unlink()
    (tmp_path / f".hrnet_tf.{2**30}.params.yaml").write_text("")
    (tmp_path / ".2024.notes.txt").write_text("mine")
    with run._writing(str(tmp_path)):
        for folder, newest in ((tmp_path, 2), (averages, 4)):
            assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-{newest}"
            assert not (folder / "ckpt-6_temp").exists()
    assert [path.name for path in tmp_path.glob(".*")] == [".2024.notes.txt"]


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_full_disk_is_told_in_a_sentence(has_checkpoint, tmp_path):
    if has_checkpoint:
        save(tmp_path, 2)
    with pytest.raises(actions.TrainingError) as error, run._writing(str(tmp_path)):
        path = f"{tmp_path}/ckpt-4_temp/part-00000-of-00001.data-00000-of-00001"
        raise tf.errors.ResourceExhaustedError(
            None, None, f"{path}; No space left on device"
        )
    begin = f"Training had to stop: {tmp_path}/ckpt-4: No space left on device. "
    assert str(error.value) == begin + (
        "Once that is mended, the same command goes on from "
        f"{tmp_path}/ckpt-2, which is whole."
        if has_checkpoint
        else f"{tmp_path} has no checkpoint."
    )


def test_other_failures_pass_through(tmp_path):
    with pytest.raises(ZeroDivisionError), run._writing(str(tmp_path)):
        raise ZeroDivisionError


@pytest.mark.parametrize("mode", ["eval", "train_and_eval", "continuous_eval"])
def test_evaluations_are_explained_where_nothing_else_is_done(mode, tmp_path):
    config = exp_factory.get_exp_config("hrnet_pose_coco").task
    task = run._make_task(config, str(tmp_path), mode)
    assert task.explains_by_default == (mode == "eval")
