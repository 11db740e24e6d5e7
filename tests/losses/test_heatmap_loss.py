import numpy as np
import pytest
import tensorflow as tf

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
