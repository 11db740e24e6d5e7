"""What is no file is refused before anything reads, and waits, in it."""

import os

import pytest

from hrnet_tf.data.records import image_ids, pose, sets
from hrnet_tf.data.records.shards import RecordError, read_examples


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "train-00000-of-00001.tfrecord"
    os.mkfifo(path)
    return str(path)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: list(read_examples([path])),
        lambda path: list(read_examples([path], is_compressed=True)),
        lambda path: pose.check_records([path], 17),
        lambda path: image_ids.read_image_ids(path, "image/source_id"),
    ],
)
def test_readers_do_not_wait(pipe, read):
    with pytest.raises(RecordError, match=f"^{pipe} is a pipe, not a file.$"):
        read(pipe)


@pytest.mark.parametrize("reads", [True, False])
def test_a_pipe_is_not_said_to_be_empty(pipe, reads):
    assert list(sets.faults(pipe, reads)) == [f"{pipe} is a pipe, not a file."]
