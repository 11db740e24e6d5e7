"""Drawn videos: one course of events at every rate, and truth that can be read."""

import json

import numpy as np
import pytest
from films import read_film

from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.data.synthetic import __main__ as command
from hrnet_tf.data.synthetic import films
from hrnet_tf.data.synthetic.walking import walking_pose

SIZE = 90, 160


def truth(scene, rate, **more):
    return list(films.film_frames(scene, rate, SIZE, drawn=False, **more))


def ids(frame):
    return [person["track_id"] for person in frame.people]


@pytest.mark.parametrize("scene", films.SCENES)
def test_a_film_is_the_same_at_every_rate(scene):
    slow, fast = truth(scene, 2), truth(scene, 4)
    assert [frame.seconds for frame in slow] == [n / 2 for n in range(16)]
    for one, other in zip(slow, fast[::2], strict=True):
        assert one == other
    assert slow[0].image is None


def test_people_hide_each_other_and_leave():
    crossing = truth("crossing", 5)
    assert min(person["visible"] for f in crossing for person in f.people) < 0.5
    assert ids(crossing[0]) == [1, 2, 3]
    away = [2 not in ids(frame) for frame in truth("leaving", 5)]
    # Once, for a second and a bit.
    assert 5 <= sum(away) <= 9 and np.abs(np.diff(away)).sum() == 2
    hidden = [person["visible"] for f in truth("hiding", 5) for person in f.people]
    assert min(hidden) < 0.3


def test_who_stands_does_not_move():
    frames = truth("standing", 2)
    assert all(frame.people == frames[0].people for frame in frames)


def test_who_walks_keeps_the_length_of_limbs():
    for distance in np.linspace(0, 2, 9):
        joints, _ = walking_pose(distance, 1.0)
        for side in ("left", "right"):
            thigh = joints[f"{side}_knee"] - joints[f"{side}_hip"]
            assert np.linalg.norm(thigh) == pytest.approx(0.225)
            shin = joints[f"{side}_ankle"] - joints[f"{side}_knee"]
            assert np.linalg.norm(shin) == pytest.approx(0.215)


def test_keypoints_are_where_people_are_drawn():
    (frame, *_) = films.film_frames("standing", 1, (180, 320))
    still = films.film_frames("standing", 1, (180, 320), seed=1)
    assert frame.image.shape == (180, 320, 3)
    assert (next(still).image != frame.image).any()
    for person in frame.people:
        points = np.reshape(person["keypoints"], (17, 3))
        x, y, width, height = person["bbox"]
        seen = points[points[:, 2] == 2]
        assert len(seen) > 8
        assert (seen[:, 0] >= x).all() and (seen[:, 0] <= x + width).all()
        assert (seen[:, 1] >= y).all() and (seen[:, 1] <= y + height).all()


def test_the_command_writes_films_and_truth(tmp_path, capsys):
    pytest.importorskip("av", reason="needs the extra `video`")
    out = f"--output_dir={tmp_path}/films"
    flags = ["--video", "--frames_per_second=1,2", "--image_size=160", out]
    assert command.main(["synthetic", *flags]) == 0
    assert "Wrote 8 videos" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "films").glob("*.mp4"))
    assert names[:2] == ["crossing_1.mp4", "crossing_2.mp4"] and len(names) == 8
    info, times, _ = read_film(tmp_path / "films/leaving_2.mp4")
    assert (info.width, info.height) == (160, 90)
    np.testing.assert_allclose(times, np.arange(16) / 2, atol=1e-4)
    path = tmp_path / "films/leaving_2.json"
    content = json.loads(path.read_text())
    assert [image["seconds"] for image in content["images"]] == times
    assert {person["track_id"] for person in content["annotations"]} == {1, 2, 3}
    boxes = PersonBoxes(str(path))
    counts = [len(boxes.of_frame(number)[0]) for number in range(16)]
    assert counts[0] == 3 and min(counts) == 2
    assert command.main(["synthetic", *flags]) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--video", "--frames_per_second=0"], "--frames_per_second=0 must be whole"),
        (["--video", "--frames_per_second=x"], "--frames_per_second=x must be whole"),
        (["--video", "--num_train=3"], "--num_train does not go with --video"),
        (["--frames_per_second=30"], "--frames_per_second goes with --video"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, sentence, tmp_path, capsys):
    assert command.main(["synthetic", f"--output_dir={tmp_path}/f", *flags]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "f").exists()
