"""Segmentation losses against their definitions, written out in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from official.vision.losses.segmentation_losses import SegmentationLoss

from hrnet_tf.losses.segmentation import class_weight_scale, ohem_cross_entropy

IGNORE = 255
WEIGHTS = [0.5, 2.0, 1.0]


@pytest.fixture
def batch():
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (2, 6, 8, 3)).astype(np.float32)
    labels = generator.choice([0, 1, 2, IGNORE], (2, 6, 8))
    return logits, labels


def own_log_probabilities(logits, labels):
    """Of every labelled pixel's own class, and the classes."""
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    labelled = labels != IGNORE
    classes = labels[labelled]
    return logs[labelled][np.arange(len(classes)), classes], classes


def test_weighted_loss_is_torchs_weighted_mean(batch):
    logits, labels = batch
    logs, classes = own_log_probabilities(logits, labels)
    weights = np.array(WEIGHTS)[classes]
    garden = SegmentationLoss(0.0, WEIGHTS, IGNORE, True)
    loss = garden(tf.constant(logits), tf.constant(labels[..., None]))
    scale = class_weight_scale(tf.constant(labels), WEIGHTS, IGNORE)
    expected = -(weights * logs).sum() / weights.sum()
    np.testing.assert_allclose(loss * scale, expected, rtol=1e-5)


def official_ohem(logits, labels, weights, threshold, min_kept):
    logs, classes = own_log_probabilities(logits, labels)
    order = np.argsort(logs)
    probabilities = np.exp(logs[order])
    limit = max(probabilities[min(min_kept, len(order) - 1)], threshold)
    losses = (-np.array(weights)[classes] * logs)[order]
    return losses[probabilities < limit].mean()


@pytest.mark.parametrize(
    ("threshold", "min_kept"),
    [(0.9, 3), (0.2, 3), (0.0, 20), (0.05, 1000), (0.05, 2**31 - 1)],
)
@pytest.mark.parametrize("weights", [[], WEIGHTS])
def test_ohem_keeps_the_officially_hard_pixels(batch, threshold, min_kept, weights):
    logits, labels = batch
    found = ohem_cross_entropy(
        tf.constant(logits),
        tf.constant(labels[..., None]),
        weights,
        IGNORE,
        threshold,
        min_kept,
    )
    expected = official_ohem(logits, labels, weights or [1, 1, 1], threshold, min_kept)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_ohem_differs_from_the_mean_and_has_a_gradient(batch):
    logits, labels = batch
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = ohem_cross_entropy(variable, labels, [], IGNORE, 0.3, 5)
    gradient = tape.gradient(loss, variable).numpy()
    logs, _ = own_log_probabilities(logits, labels)
    assert float(loss) > 1.2 * -logs.mean()
    moved = np.abs(gradient).max(axis=-1) > 0
    assert not moved[labels == IGNORE].any()
    own = np.exp(logs)
    limit = max(np.sort(own)[5], 0.3)
    assert moved[labels != IGNORE].sum() == (own < limit).sum()


def test_without_labels_there_is_no_loss(batch):
    logits, labels = batch
    nothing = np.full_like(labels, IGNORE)
    loss = ohem_cross_entropy(tf.constant(logits), nothing, [], IGNORE, 0.9, 10)
    assert float(loss) == 0
    assert float(class_weight_scale(tf.constant(nothing), WEIGHTS, IGNORE)) == 0
