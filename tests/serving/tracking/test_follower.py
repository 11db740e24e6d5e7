"""The detector looks now and then; crops follow people between."""

import numpy as np
import pytest
from tracked_people import IMAGE, SIZE, body, prediction

from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.tracking import crops
from hrnet_tf.serving.tracking.follower import Follower
from hrnet_tf.serving.tracking.sequence import SequencePredictor
from hrnet_tf.serving.tracking.tracker import Tracker, TrackingError


class Pose:
    """Finds whoever is nearest to the middle of a box, if inside.

    Attributes:
        people: Who is there, as `body` makes them.
        boxes: The boxes of each call.
    """

    unit = "people"
    needs_boxes = True
    finds_people_apart = False
    metadata, style, sources = None, None, ("pose",)

    def __init__(self, *people):
        self.people, self.boxes = list(people), []

    def predict_image(self, image, boxes):
        assert image is IMAGE
        boxes = Boxes.of_whole(image) if boxes is None else boxes
        self.boxes.append(boxes.boxes)
        found = [self._look(box) for box in boxes.boxes]
        scores = [keypoints[:, 2].mean() for keypoints, _ in found]
        return prediction(*found, scores=scores)

    def _look(self, box):
        middle = box[0] + box[2] / 2
        inside = [
            one for one in self.people if abs(one[1][0] + 20 - middle) < box[2] / 2 + 9
        ]
        if not inside:
            return body(middle, score=0.05)[0], box
        best = min(inside, key=lambda one: abs(one[1][0] + 20 - middle))
        return best[0], box


class Detector:
    """Finds everybody."""

    def __init__(self, pose):
        self.pose, self.calls = pose, 0

    def find_people(self, image):
        self.calls += 1
        return Boxes.of([box for _, box in self.pose.people])


@pytest.fixture
def pose():
    return Pose(body(100), body(300))


def test_the_detector_sees_one_of_so_many_frames(pose):
    detector = Detector(pose)
    follower = Follower(pose, detector, detect_every=5)
    for number in range(20):
        pose.people = [body(100 + 3 * number), body(300 - 2 * number)]
        found = follower.look(IMAGE, number / 30)
        assert found.track_ids.tolist() == [1, 2]
        middles = found.boxes[:, 0] + found.boxes[:, 2] / 2
        np.testing.assert_allclose(
            middles, [100 + 3 * number, 300 - 2 * number], atol=3
        )
    assert detector.calls == follower.detector_calls == 4


def test_the_detector_looks_at_once_when_somebody_is_lost(pose):
    detector = Detector(pose)
    follower = Follower(pose, detector, detect_every=100)
    follower.look(IMAGE, 0.0)
    pose.people = [body(100)]
    assert follower.look(IMAGE, 0.1).track_ids.tolist() == [1]
    assert detector.calls == 2
    for number in range(2, 6):
        assert follower.look(IMAGE, number / 10).track_ids.tolist() == [1]
    assert detector.calls == 2  # Once for each loss.
    pose.people = [body(100), body(298)]
    # Found again where the person was lost, without the detector.
    assert follower.look(IMAGE, 0.6).track_ids.tolist() == [1, 2]
    assert detector.calls == 2


def test_somebody_who_jumps_is_found_by_the_detector_at_once(pose):
    follower = Follower(pose, Detector(pose), detect_every=100)
    follower.look(IMAGE, 0.0)
    pose.people = [body(100), body(200)]
    assert follower.look(IMAGE, 0.1).track_ids.tolist() == [1, 3]


def test_who_is_in_front_gets_no_number_of_somebody_behind():
    # Where the crop of the one behind shows the other, the pose is too far off.
    pose = Pose(body(200), body(222))
    follower = Follower(pose, Detector(pose), detect_every=100)
    assert follower.look(IMAGE, 0.0).track_ids.tolist() == [1, 2]
    pose.people = [body(200)]
    for number in range(1, 4):
        assert follower.look(IMAGE, number / 30).track_ids.tolist() == [1]
    pose.people = [body(200), body(222)]
    assert follower.look(IMAGE, 0.2).track_ids.tolist() == [1, 2]


def test_whom_the_detector_does_not_see_is_looked_for_beside_whom_it_sees(pose):
    pose.people = [body(200), body(212)]
    detector = Detector(pose)
    follower = Follower(pose, detector, detect_every=1)
    follower.look(IMAGE, 0.0)
    detector.find_people = lambda image: Boxes.of([pose.people[0][1]])
    assert follower.look(IMAGE, 0.1).track_ids.tolist() == [1, 2]


def test_a_crop_that_has_slipped_and_a_detected_box_are_one_person():
    pose = Pose(body(200))
    follower = Follower(pose, Detector(pose), detect_every=2)
    follower.look(IMAGE, 0.0)
    pose.people = [body(216)]
    for number in (1, 2, 3):
        assert follower.look(IMAGE, number / 10).track_ids.tolist() == [1]


def test_newcomers_are_found_when_the_detector_looks(pose):
    follower = Follower(pose, Detector(pose), detect_every=3)
    follower.look(IMAGE, 0.0)
    pose.people.append(body(200))
    counts = [len(follower.look(IMAGE, n / 30).track_ids) for n in range(1, 5)]
    assert counts == [2, 2, 3, 3]


def test_whom_the_detector_misses_is_followed_all_the_same(pose):
    detector = Detector(pose)
    follower = Follower(pose, detector, detect_every=1)
    follower.look(IMAGE, 0.0)
    detector.find_people = lambda image: Boxes.of([pose.people[0][1]])
    assert follower.look(IMAGE, 0.1).track_ids.tolist() == [1, 2]


def test_without_a_detector_one_person_is_followed_from_the_whole_image():
    pose = Pose(body(200))
    follower = Follower(pose)
    for number in range(6):
        assert follower.look(IMAGE, number / 30).track_ids.tolist() == [1]
    widths = [boxes[:, 2].max() for boxes in pose.boxes]
    assert widths[0] == SIZE[1] and max(widths[1:]) < 60
    pose.people = [body(350)]
    assert follower.look(IMAGE, 0.3).track_ids.tolist() == [2]
    assert pose.boxes[-1][:, 2].max() == SIZE[1]


def test_boxes_that_are_given_are_taken(pose):
    follower = Follower(pose)
    given = Boxes.of([pose.people[1][1]])
    for number in range(3):
        found = follower.look(IMAGE, number / 30, given)
        assert found.track_ids.tolist() == [1]
        np.testing.assert_array_equal(pose.boxes[-1], given.boxes)


def test_a_joint_model_sees_every_frame_whole():
    class Joint(Pose):
        needs_boxes = False

        def predict_image(self, image, boxes):
            assert boxes is None
            return prediction(*self.people)

    follower = Follower(Joint(body(100), body(300)))
    for number in range(3):
        assert follower.look(IMAGE, number / 30).track_ids.tolist() == [1, 2]


def test_what_cannot_be_followed_is_refused(pose):
    class Other:
        unit = "objects"
        needs_boxes = False

    class Joint(Pose):
        needs_boxes = False

    with pytest.raises(TrackingError, match="finds no people's keypoints"):
        Follower(Other())
    with pytest.raises(TrackingError, match="takes no detector"):
        Follower(Joint(), Detector(pose))
    with pytest.raises(TrackingError, match="detect_every=0 must be"):
        Follower(pose, detect_every=0)


def test_who_leaves_the_image_is_gone():
    keypoints = np.stack([body(0)[0], body(200)[0], body(200, score=0.25)[0]])
    boxes = np.array([[-38.0, 50, 40, 100], [180, 50, 40, 100], [180, 50, 40, 100]])
    there = crops.is_there(keypoints, boxes, SIZE, 0.2, 0.3)
    assert there.tolist() == [False, True, False]


def test_a_crop_shrinks_slowly_when_somebody_is_half_hidden():
    keypoints, box = body(100)
    keypoints[5:, 2] = 0
    smaller = crops.box_around(keypoints, box, 0.2)
    np.testing.assert_allclose(smaller[2:], 0.8 * box[2:])
    keypoints[:, 2] = 0
    np.testing.assert_array_equal(crops.box_around(keypoints, box, 0.2), box)


def test_images_of_a_folder_are_frames_at_a_rate(pose):
    times = []

    class Noting(Tracker):
        def update(self, people, seconds):
            times.append(seconds)
            return super().update(people, seconds)

    follower = Follower(pose, Detector(pose), tracker=Noting())
    sequence = SequencePredictor(pose, follower, 25)
    found = sequence.predict_batch([IMAGE] * 3, [None] * 3)
    assert [people.track_ids.tolist() for people in found] == [[1, 2]] * 3
    assert times == [0, 0.04, 0.08]
    assert sequence.sources == ("pose",) and not sequence.batches_any_sizes
