import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.configs import pose
from hrnet_tf.losses import heatmap


@pytest.fixture
def batch():
    """Predictions and targets [3, 4, 5, 6]; weights [3, 6], some of them 0."""
    generator = np.random.default_rng(0)
    predictions, targets = generator.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    weights = generator.choice([0.0, 1.0, 1.5], size=(3, 6)).astype(np.float32)
    weights[0, 0], weights[1, 0] = 0, 1
    return predictions, targets, weights


def official_loss(predictions, targets, weights):
    """The loss keypoint by keypoint, as the official code sums it up."""
    num_keypoints = predictions.shape[-1]
    total = 0.0
    for k in range(num_keypoints):
        weight = weights[:, k, None, None]
        error = predictions[..., k] * weight - targets[..., k] * weight
        total += 0.5 * np.mean(error**2)
    return total / num_keypoints


def test_batch_mean_is_the_official_loss(batch):
    losses = heatmap.heatmap_mse(*batch)
    assert losses.shape == (3,) and losses.dtype == tf.float32
    np.testing.assert_allclose(np.mean(losses), official_loss(*batch), rtol=1e-6)


def test_every_example_has_its_own_loss(batch):
    losses = heatmap.heatmap_mse(*batch)
    for index, loss in enumerate(losses):
        example = [array[index : index + 1] for array in batch]
        np.testing.assert_allclose(loss, official_loss(*example), rtol=1e-6)


def test_unlabelled_keypoints_have_no_gradient(batch):
    predictions, targets, weights = batch
    predictions = tf.constant(predictions)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        loss = tf.reduce_sum(heatmap.heatmap_mse(predictions, targets, weights))
    gradient = tape.gradient(loss, predictions).numpy()
    has_gradient = np.abs(gradient).sum(axis=(1, 2)) > 0
    np.testing.assert_array_equal(has_gradient, weights > 0)


def test_unlabelled_keypoints_stay_in_the_denominator():
    predictions, targets = tf.ones([1, 2, 2, 4]), tf.zeros([1, 2, 2, 4])
    loss = heatmap.heatmap_mse(predictions, targets, tf.constant([[1.0, 0, 0, 0]]))
    np.testing.assert_allclose(loss, [0.5 / 4])


def test_half_precision_predictions_are_squared_in_float32():
    predictions = tf.fill([1, 2, 2, 1], tf.constant(300, tf.float16))
    loss = heatmap.heatmap_mse(predictions, tf.zeros([1, 2, 2, 1]), tf.ones([1, 1]))
    np.testing.assert_allclose(loss, [0.5 * 300**2])


# ---- hard keypoints, and weights of keypoints ----


def official_ohkm(predictions, targets, weights, top_k):
    """As the official `JointsOHKMMSELoss` sums it up: over the batch, then divided."""
    total = 0.0
    for example in range(len(predictions)):
        errors = []
        for k in range(predictions.shape[-1]):
            weight = weights[example, k]
            error = (
                predictions[example, ..., k] * weight
                - targets[example, ..., k] * weight
            )
            errors.append(np.mean(0.5 * error**2))
        total += sum(sorted(errors)[-top_k:]) / top_k
    return total / len(predictions)


@pytest.mark.parametrize("top_k", [1, 2, 5, 6])
def test_hard_keypoints_are_the_official_ones(batch, top_k):
    config = pose.Loss(name="ohkm", top_k=top_k)
    losses = heatmap.heatmap_loss(*batch, config)
    assert losses.shape == (3,) and losses.dtype == tf.float32
    expected = official_ohkm(*batch, top_k)
    np.testing.assert_allclose(np.mean(losses), expected, rtol=1e-6)


def test_all_keypoints_are_hard_if_there_are_no_more(batch):
    mse = heatmap.heatmap_loss(*batch, pose.Loss())
    np.testing.assert_allclose(mse, heatmap.heatmap_mse(*batch))
    ohkm = heatmap.heatmap_loss(*batch, pose.Loss(name="ohkm", top_k=6))
    np.testing.assert_allclose(ohkm, mse, rtol=1e-6)


@pytest.mark.parametrize("name", ["mse", "ohkm"])
def test_weights_of_keypoints_stand_inside_the_square(batch, name):
    predictions, targets, weights = batch
    factors = [1.0, 1.2, 1.5, 0.0, 1.0, 0.5]
    config = pose.Loss(name=name, top_k=2, keypoint_weights=factors)
    losses = heatmap.heatmap_loss(predictions, targets, weights, config)
    weighted = predictions, targets, weights * np.array(factors, np.float32)
    expected = (
        official_loss(*weighted) if name == "mse" else official_ohkm(*weighted, 2)
    )
    np.testing.assert_allclose(np.mean(losses), expected, rtol=1e-6)


def test_easy_keypoints_have_no_gradient(batch):
    predictions, targets, weights = batch
    predictions = tf.constant(predictions)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        losses = heatmap.heatmap_ohkm(predictions, targets, weights, 2)
    gradient = tape.gradient(losses, predictions).numpy()
    has_gradient = np.abs(gradient).sum(axis=(1, 2)) > 0
    assert has_gradient.sum(axis=1).tolist() == [2, 2, 2]
