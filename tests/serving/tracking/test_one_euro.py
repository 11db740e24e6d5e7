"""The One Euro filter, frame by frame."""

import dataclasses

import numpy as np
import pytest

from hrnet_tf.serving.tracking.one_euro import OneEuroFilter, Smoothing

SMOOTHING = Smoothing()


def smoothed(points, times, scores=None, smoothing=SMOOTHING, size=100.0):
    """Points [T, K, 2] of a person, smoothed, [T, K, 3]."""
    points = np.asarray(points, np.float64)
    scores = np.ones(points.shape[:2]) if scores is None else np.asarray(scores)
    filter = OneEuroFilter(points.shape[1], smoothing)
    keypoints = np.concatenate([points, scores[..., np.newaxis]], axis=-1)
    pairs = zip(keypoints, times, strict=True)
    return np.stack([filter.update(one, when, size) for one, when in pairs])


def acceleration(points):
    return np.linalg.norm(np.diff(points[..., :2], n=2, axis=0), axis=-1).mean()


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_a_point_at_rest_shakes_less_than_half_as_much(rate):
    noise = np.random.default_rng(0).normal(50, 2, (8 * rate, 17, 2))
    found = smoothed(noise, np.arange(8 * rate) / rate)
    assert acceleration(found) < 0.5 * acceleration(noise)
    np.testing.assert_allclose(found[rate:].mean(axis=0)[:, :2], 50, atol=1)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_a_point_that_moves_is_two_frames_late_at_most(rate):
    times = np.arange(2 * rate) / rate
    way = np.stack([120 * times, 0 * times], axis=-1)[:, np.newaxis]
    found = smoothed(way, times)
    late = (way[-1, 0, 0] - found[-1, 0, 0]) / 120 * rate
    assert 0 < late < 2


def test_true_times_count_not_frames():
    # A frame that comes late is followed further: the point had time to move.
    soon, late = (
        smoothed([[[0, 0]], [[0, 0]], [[10, 0]]], [0, 0.1, 0.1 + gap])[-1, 0, 0]
        for gap in (0.02, 0.3)
    )
    assert 0 < soon < late < 10


def test_algorithm_1_of_the_paper():
    settings = Smoothing(min_cutoff=1.5, beta=0.7, speed_cutoff=2.0, sure_score=0.5)
    values, times = [0.0, 3.0, 4.0, 9.0], [0.0, 0.1, 0.15, 0.35]
    found = smoothed([[[v, 0]] for v in values], times, smoothing=settings, size=10.0)

    def share(cutoff, elapsed):
        return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))

    position = speed = 0.0
    for place in (1, 2, 3):
        elapsed = times[place] - times[place - 1]
        raw = (values[place] - position) / elapsed
        speed += share(2.0, elapsed) * (raw - speed)
        cutoff = 1.5 + 0.7 * abs(speed) / 10
        position += share(cutoff, elapsed) * (values[place] - position)
        assert found[place, 0, 0] == pytest.approx(position, rel=1e-5)


def test_what_scores_little_counts_less():
    steps = [[[0, 0], [0, 0]], [[10, 0], [10, 0]]]
    found = smoothed(steps, [0, 0.1], [[0.9, 0.9], [0.9, 0.25]])
    assert found[1, 1, 0] == pytest.approx(found[1, 0, 0] / 2)
    np.testing.assert_allclose(found[1, :, 2], [0.9, 0.25])


def test_a_missing_point_moves_with_the_others_until_it_is_forgotten():
    count = 12
    points = np.zeros((count, 4, 2))
    points[:, :3, 0] = 10 * np.arange(count)[:, np.newaxis]
    points[1:, 3] = 999  # Where the network guesses.
    scores = np.ones((count, 4))
    scores[1:, 3] = 0.1
    found = smoothed(points, np.arange(count) / 10, scores)
    for place in range(1, 6):
        np.testing.assert_allclose(found[place, 3], [found[place, 0, 0], 0, 0.1])
    np.testing.assert_allclose(found[-1, 3], [999, 999, 0.1])


def test_a_point_that_comes_back_after_long_is_where_it_is():
    scores = [[1.0], [0.0], [1.0]]
    points = [[[0, 0]], [[0, 0]], [[80, 0]]]
    memory = dataclasses.replace(SMOOTHING, memory=0.5)
    near, far = (
        smoothed(points, [0, 0.1, when], scores, memory)[-1, 0, 0]
        for when in (0.4, 0.7)
    )
    assert near < 80 and far == 80


def test_what_is_not_finite_is_missing():
    points = np.zeros((3, 2, 2))
    points[1, 1] = np.nan
    found = smoothed(points, [0, 0.1, 0.2])
    np.testing.assert_array_equal(found[..., :2], 0)
