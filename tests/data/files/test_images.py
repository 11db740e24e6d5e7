import os

import cv2
import numpy as np
import pytest

from hrnet_tf.data.files import images
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.images import (
    ImageRules,
    path_below,
    read_file,
    read_image_file,
)
from hrnet_tf.data.files.pictures import look_at


@pytest.mark.parametrize("path", ["a\ud800.jpg", "a\udcff.jpg", "a\0.jpg", ""])
def test_a_text_that_names_no_file_is_a_missing_image(path):
    """TensorFlow raises other errors at these than for files that are not there."""
    assert look_at(path) is None
    with pytest.raises(Unusable, match="cannot be the name of a file") as fault:
        read_image_file(path)
    assert fault.value.kind == "missing image"
    fault.value.sentence.encode()


def test_pipes_are_not_waited_for(tmp_path):
    path = str(tmp_path / "p.jpg")
    os.mkfifo(path)
    assert look_at(path) is None
    for read in (read_image_file, lambda path: read_file(path, "image")):
        with pytest.raises(Unusable, match=r"p\.jpg is a pipe, not a file") as fault:
            read(path)
        assert fault.value.kind == "unreadable image"
    with pytest.raises(Unusable, match="is a folder, not a file"):
        read_file(str(tmp_path), "image")


def test_names_lead_nowhere_outside_a_folder(tmp_path):
    for folder in ("images/cam1", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "images/link").symlink_to(tmp_path / "other")
    (tmp_path / "images/within").symlink_to("cam1")
    folder = str(tmp_path / "images")
    for name in ("a.jpg", "cam1/a.jpg", "./a..jpg", "within/a.jpg"):
        assert path_below(folder, name) == os.path.join(folder, name)
    for name in ("../a.jpg", "cam1/../../a.jpg", "/etc/a.jpg", "link/a.jpg", ".."):
        with pytest.raises(Unusable, match="leads out of .*images: .*--allow_outside"):
            path_below(folder, name)
        assert path_below(folder, name, True) == os.path.join(folder, name)
    # The folder itself may be a link.
    (tmp_path / "alias").symlink_to("images")
    assert path_below(str(tmp_path / "alias"), "a.jpg").endswith("alias/a.jpg")


@pytest.mark.parametrize("limit", [{"max_pixels": 11}, {}])
def test_images_of_records_have_a_limit(tmp_path, limit, monkeypatch):
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, np.zeros((3, 4, 3), np.uint8))
    monkeypatch.setattr(images, "_MOST_IN_RECORDS", 12 if limit else 11)
    assert read_image_file(path, rules=ImageRules(max_pixels=12)) if limit else True
    with pytest.raises(Unusable, match=r"has 12 pixels, and .* at most 11"):
        read_image_file(path, rules=ImageRules(**limit))
