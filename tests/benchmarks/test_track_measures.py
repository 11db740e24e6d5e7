"""IDF1, switches, jitter and lag of made-up tracks, by hand."""

import numpy as np
import pytest
import track_measures
from tracked_people import body

RATE = 10


def counted(numbers, shift=0.0, visible=1.0, drift=0.0):
    """Somebody who walks 10 pixels a frame, found with a number in each frame."""
    count = track_measures.Counted()
    for place, number in enumerate(numbers):
        true, _ = body(100 + 10 * place * bool(shift or drift))
        true[:, 2] = 2
        person = {"track_id": 7, "visible": visible, "keypoints": true.ravel()}
        keypoints = true.copy()
        keypoints[:, 0] -= shift
        found = [] if number is None else [keypoints]
        kept = [] if number is None else [number]
        told = np.reshape(found, (-1, 17, 3))
        count.add(place / RATE, [person], track_measures.Found(np.array(kept), told))
    return count


def test_idf1_and_switches():
    assert counted([1] * 10).idf1 == 1
    half = counted([1] * 5 + [2] * 5)
    assert half.idf1 == pytest.approx(0.5) and half.switches == 1
    missed = counted([1] * 5 + [None] * 5)
    assert missed.idf1 == pytest.approx(2 * 5 / 15) and missed.switches == 0
    assert counted([1, 2, 1, 2]).switches == 3


def test_nobody_is_blamed_for_whom_one_hardly_sees():
    hidden = counted([1] * 10, visible=0.1)
    assert (hidden.truth, hidden.found, hidden.switches) == (0, 0, 0)


def test_people_elsewhere_are_not_found():
    far = counted([1] * 10)
    person = {"track_id": 7, "visible": 1.0, "keypoints": body(100)[0].ravel()}
    person["keypoints"][2::3] = 2
    stranger = track_measures.Found(np.array([3]), body(300)[0][np.newaxis])
    far.add(1.0, [person], stranger)
    assert (far.truth, far.found) == (11, 11) and far.idf1 == pytest.approx(20 / 22)


def test_lag_is_in_frames():
    assert track_measures.lag(counted([1] * 10, shift=5), RATE) == pytest.approx(0.5)


def test_jitter_is_the_acceleration_of_what_rests():
    count = track_measures.Counted()
    for place in range(9):
        true, _ = body(100)
        true[:, 2] = 2
        keypoints = true.copy()
        keypoints[:, 0] += place % 2
        person = {"track_id": 1, "visible": 1.0, "keypoints": true.ravel()}
        found = track_measures.Found(np.array([1]), keypoints[np.newaxis])
        count.add(place / RATE, [person], found)
    assert track_measures.jitter(count) == pytest.approx(2)
