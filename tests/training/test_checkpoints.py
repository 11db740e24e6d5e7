"""What --checkpoint may name."""

import os

import pytest
import tensorflow as tf

from hrnet_tf.training.checkpoints import check_exists
from hrnet_tf.training.experiment import ConfigError


@pytest.fixture
def saved(tmp_path):
    checkpoint = tf.train.Checkpoint(kernel=tf.Variable([1.0]))
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
