"""`hrnet_tf.track`: people of a video, or of frames with their times."""

import numpy as np
import pytest
from fake_pose import FakePredictor
from films import write_film

import hrnet_tf
from hrnet_tf.serving.predictor import DEFAULT_STYLE

IMAGE = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture
def pose():
    return FakePredictor(DEFAULT_STYLE)


def test_frames_of_a_video_come_with_their_times(pose, tmp_path):
    pytest.importorskip("av", reason="needs the extra `video`")
    film = tmp_path / "v.mp4"
    write_film(film, [90] * 3, [0, 0.1, 0.4])
    found = list(hrnet_tf.track(pose, film))
    np.testing.assert_allclose([seconds for seconds, _ in found], [0, 0.1, 0.4])
    assert [people.track_ids.tolist() for _, people in found] == [[1]] * 3


def test_frames_come_with_the_times_they_are_given(pose):
    frames = ((seconds, IMAGE) for seconds in (7.0, 7.5))
    found = hrnet_tf.track(pose, frames, smooth=False)
    assert next(found)[0] == 7.0 and next(found)[1].track_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "got null"),
        (2.5, "got 2.5"),
        ([IMAGE], "its time in seconds and its image"),
        ([("soon", IMAGE)], "its time in seconds and its image"),
        ([(1.0, IMAGE), (1.0, IMAGE)], "not after that of the last one, 1.0"),
        ("there/is/none.mp4", "does not exist"),
    ],
)
def test_what_is_no_video_gets_a_sentence(pose, source, sentence):
    with pytest.raises(hrnet_tf.UserError, match=sentence):
        list(hrnet_tf.track(pose, source))
