import os

import pytest

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.images import orientation_of, read_file, read_image_file


@pytest.mark.parametrize("path", ["a\ud800.jpg", "a\udcff.jpg", "a\0.jpg", ""])
def test_a_text_that_names_no_file_is_a_missing_image(path):
    """TensorFlow raises other errors at these than for files that are not there."""
    assert orientation_of(path) == 1
    with pytest.raises(Unusable, match="cannot be the name of a file") as fault:
        read_image_file(path)
    assert fault.value.kind == "missing image"
    fault.value.sentence.encode()


def test_pipes_are_not_waited_for(tmp_path):
    path = str(tmp_path / "p.jpg")
    os.mkfifo(path)
    assert orientation_of(path) == 1
    for read in (read_image_file, lambda path: read_file(path, "image")):
        with pytest.raises(Unusable, match=r"p\.jpg is a pipe, not a file") as fault:
            read(path)
        assert fault.value.kind == "unreadable image"
    with pytest.raises(Unusable, match="is a folder, not a file"):
        read_file(str(tmp_path), "image")
