"""What --checkpoint may name."""

import os

import pytest
import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.training import checkpoints
from hrnet_tf.training.checkpoints import check_exists
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.weights.whole_checkpoints import DamagedCheckpointError


@pytest.fixture
def saved(tmp_path):
    step = tf.Variable(1, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(kernel=tf.Variable([1.0]), global_step=step)
    return checkpoint.save(str(tmp_path / "ckpt"))


def test_a_folder_is_told_from_the_checkpoint_in_it(saved):
    folder = os.path.dirname(saved)
    check_exists(saved)
    for state in ("whole", "pipe"):
        if state == "pipe":
            os.remove(f"{folder}/checkpoint")
            os.mkfifo(f"{folder}/checkpoint")
        with pytest.raises(ConfigError, match=f"names a folder: .* such as {saved}"):
            check_exists(folder)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_pipe_is_no_file_of_a_checkpoint(saved, suffix):
    os.remove(saved + suffix)
    os.mkfifo(saved + suffix)
    with pytest.raises(ConfigError, match=f"is damaged: {saved}{suffix} is a pipe"):
        check_exists(saved)


def test_a_damaged_best_checkpoint_is_passed_over_aloud(tmp_path, log):
    params = cfg.ExperimentConfig()
    params.trainer.best_checkpoint_export_subdir = "best"
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(kernel=tf.Variable([1.0])), str(tmp_path / "best"), 2
    )
    older, newer = manager.save(), manager.save()
    assert checkpoints._best(params, str(tmp_path)) == newer
    os.truncate(f"{newer}.index", 9)
    assert checkpoints._best(params, str(tmp_path)) == older
    assert "best is ckpt-1: ckpt-2 is damaged" in log()


def test_the_step_of_damaged_files_is_a_sentence(saved):
    os.remove(f"{saved}.data-00000-of-00001")
    with pytest.raises(DamagedCheckpointError, match=f"checkpoint {saved} are damaged"):
        checkpoints.saved_step(saved)
