"""Sigmas are found again that two annotations were simulated with."""

import numpy as np

from hrnet_tf.ops.sigmas import estimate

SIGMAS = np.array([0.025, 0.035, 0.062, 0.107])


def simulate(count, seed=0, missing=0.2):
    """Two annotators, each off by SIGMAS times the root of the area."""
    rng = np.random.default_rng(seed)
    areas = rng.uniform(2e3, 5e4, count)
    places = rng.uniform(0, 500, (count, 4, 2))
    # E[d^2 / s^2] = sigma^2: half of it along each axis.
    spread = (np.sqrt(areas)[:, np.newaxis] * SIGMAS / np.sqrt(2))[..., np.newaxis]
    annotations = []
    for _ in range(2):
        points = places + spread * rng.standard_normal(places.shape)
        seen = 2 * (rng.uniform(size=(count, 4)) > missing)
        annotations.append(np.dstack([points, seen]))
    return *annotations, areas


def test_simulated_sigmas_are_found_within_ten_percent():
    for seed in range(5):
        found = estimate(*simulate(800, seed))
        np.testing.assert_allclose(found.sigmas, SIGMAS, rtol=0.1)
        assert (abs(found.counts - 512) < 80).all()
        assert not len(found.far)


def test_the_standard_error_is_as_the_documentation_says():
    count = 30
    sigmas = [estimate(*simulate(count, seed, 0)).sigmas for seed in range(400)]
    relative = np.std(sigmas, axis=0) / SIGMAS
    np.testing.assert_allclose(relative, 1 / (2 * np.sqrt(count)), rtol=0.2)


def test_keypoints_that_one_annotator_left_out_do_not_count():
    first, second, areas = simulate(50, missing=0)
    second[:10, 1] = 0
    second[:, 3] = 0
    found = estimate(first, second, areas)
    assert found.counts.tolist() == [50, 40, 50, 0]
    assert np.isnan(found.sigmas[3]) and not np.isnan(found.sigmas[:3]).any()


def test_pairs_that_lie_far_apart_are_named():
    first, second, areas = simulate(200, missing=0)
    second[17, 2, :2] += 2 * np.sqrt(areas[17])
    assert estimate(first, second, areas).far.tolist() == [[17, 2]]
