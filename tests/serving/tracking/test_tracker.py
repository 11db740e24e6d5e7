"""People keep their numbers, through crossings and absences."""

import numpy as np
import pytest
from tracked_people import body, prediction

from hrnet_tf.ops.box_overlaps import box_overlaps
from hrnet_tf.serving.tracking.assignment import best_pairs
from hrnet_tf.serving.tracking.similarity import nearness, pose_similarities
from hrnet_tf.serving.tracking.tracker import Tracker, TrackingError


def ids(tracker, seconds, *people, **more):
    return tracker.update(prediction(*people, **more), seconds).track_ids.tolist()


def test_people_keep_their_numbers_whatever_their_order():
    tracker = Tracker()
    assert ids(tracker, 0, body(50), body(200), body(350)) == [1, 2, 3]
    assert ids(tracker, 0.1, body(352), body(52), body(202)) == [3, 1, 2]
    assert ids(tracker, 0.2, body(54), body(120)) == [1, 4]


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_people_who_cross_keep_their_numbers(rate):
    tracker = Tracker()
    for number in range(2 * rate):
        seconds = number / rate
        places = 100 + 90 * seconds, 280 - 90 * seconds
        people = [body(places[0]), body(places[1], 52, 44, 108)]
        # One hides the other while they meet.
        is_hidden = abs(places[0] - places[1]) < 25
        found = ids(tracker, seconds, *(people[1:] if is_hidden else people))
        assert found == ([2] if is_hidden else [1, 2])


def test_somebody_who_was_lost_keeps_the_number_for_a_while():
    for gap, expected in ((1.5, [1]), (2.5, [2])):
        tracker = Tracker(patience=2.0)
        assert ids(tracker, 0, body(100)) == [1]
        assert ids(tracker, 0.1) == []
        assert ids(tracker, gap, body(105)) == expected


def test_somebody_who_is_hidden_is_found_where_the_motion_leads():
    tracker = Tracker()
    for number in range(10):
        assert ids(tracker, number / 10, body(60 + 8 * number)) == [1]
    # After 0.6 seconds, two people: one where the first was lost.
    assert ids(tracker, 1.5, body(60 + 8 * 14), body(75)) == [1, 2]


def test_a_stranger_elsewhere_gets_another_number():
    tracker = Tracker()
    assert ids(tracker, 0, body(50)) == [1]
    assert ids(tracker, 0.1, body(300)) == [2]


def test_who_scores_little_gets_no_number_but_keeps_one():
    tracker = Tracker(least_score=0.3)
    assert ids(tracker, 0, body(50), body(300), scores=[0.9, 0.2]) == [1]
    assert ids(tracker, 0.1, body(50), body(300), scores=[0.2, 0.2]) == [1]


def test_times_must_advance():
    tracker = Tracker()
    ids(tracker, 5.0, body(50))
    for seconds in (5.0, 4.0, float("nan"), float("inf")):
        with pytest.raises(TrackingError, match="not after that of the last one, 5.0"):
            ids(tracker, seconds, body(50))
    with pytest.raises(TrackingError, match="patience=-1 must be"):
        Tracker(patience=-1)


def test_results_have_numbers_and_keypoints_are_smoothed_or_not():
    rng = np.random.default_rng(0)
    shaken = []
    for smoothing in ({}, {"smoothing": None}):
        tracker, found = Tracker(**smoothing), []
        for number in range(30):
            keypoints, box = body(100)
            keypoints[:, :2] += rng.normal(0, 2, (17, 2))
            told = tracker.update(prediction((keypoints, box)), number / 30)
            found.append(told.keypoints[0])
            if "smoothing" in smoothing:
                np.testing.assert_array_equal(told.keypoints[0], np.float32(keypoints))
        shaken.append(np.abs(np.diff(np.stack(found), axis=0)).mean())
    assert shaken[0] < 0.5 * shaken[1]
    (row,) = told.rows()
    assert row["track_id"] == 1
    assert "track_id" not in prediction(body(1)).rows()[0]


def test_next_crops_are_around_where_people_will_be():
    tracker = Tracker()
    for number in range(5):
        ids(tracker, number / 10, body(100 + 10 * number))
    boxes, numbers = tracker.crops(0.5)
    (box,), (score,) = boxes.boxes, boxes.scores
    assert box[0] + box[2] / 2 == pytest.approx(150, abs=3)
    assert 80 < box[3] < 130 and score == 1  # The box alone.
    assert numbers.tolist() == [1]


def test_one_person_in_two_crops_is_one_person():
    tracker = Tracker()
    ids(tracker, 0, body(100), body(130))
    twice = prediction(body(130), body(131), scores=[0.8, 0.9])
    (kept,) = tracker.different_people(twice, 0.1)
    assert kept == 0  # Where somebody is expected.
    assert tracker.misses_somebody(twice.chosen([kept]), 0.1)
    assert tracker.different_people(prediction(body(100), body(130)), 0.1) == [0, 1]


def test_nobody_is_followed_from_nothing():
    tracker = Tracker()
    assert ids(tracker, 0) == []
    boxes, numbers = tracker.crops(0.1)
    assert boxes.boxes.shape == (0, 4) and numbers.shape == (0,)
    assert tracker.recognized(prediction(), numbers, 0.1).shape == (0,)
    assert not tracker.misses_somebody(prediction(), 0.1)


def test_best_pairs_are_the_best_together():
    table = np.array([[0.9, 0.8], [0.85, 0.1]])
    assert best_pairs(table, 0.15) == [(0, 1), (1, 0)]
    assert best_pairs(table, 0.82) == [(0, 0)]
    assert best_pairs(np.zeros((0, 3)), 0.1) == []


def test_similarities_by_hand():
    boxes = np.array([[0.0, 0, 10, 10]])
    others = np.array([[5.0, 0, 10, 10], [50, 0, 10, 10]])
    np.testing.assert_allclose(box_overlaps(boxes, others), [[1 / 3, 0]])
    near = nearness(boxes, others, np.array([0.4]))
    np.testing.assert_allclose(near[0, 0], np.exp(-((5 / (10 * 0.5)) ** 2) / 2))
    assert near[0, 1] < 1e-6
    one, two = np.zeros((1, 2, 3)), np.zeros((1, 2, 3))
    one[..., 2], two[0, :, 2] = 1, [1, 0.1]
    two[0, 0, 0] = 2
    likeness = pose_similarities(one, boxes, two, boxes, np.array([0.1, 0.1]), 0.2)
    np.testing.assert_allclose(likeness, [[np.exp(-4 / (2 * 0.04 * 100))]])
