"""The heatmap regression losses (official lib/core/loss.py)."""

import tensorflow as tf

from hrnet_tf.configs import pose as pose_config

LOSSES = ("mse", "ohkm")


def heatmap_loss(
    predictions: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    config: pose_config.Loss,
) -> tf.Tensor:
    """The configured loss of each example, float32 [B]; see `heatmap_mse`."""
    if config.keypoint_weights:
        weights = tf.cast(weights, tf.float32) * tf.constant(config.keypoint_weights)
    if config.name == "ohkm":
        return heatmap_ohkm(predictions, targets, weights, config.top_k)
    return heatmap_mse(predictions, targets, weights)


def heatmap_mse(
    predictions: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Half the mean squared error of each example, float32 [B], in the official form.

    The weight stands inside the square, and unlabelled keypoints count in the
    denominator: the mean is over all pixels and all K keypoints.

    Args:
        predictions: [B, h, w, K] heatmaps.
        targets: [B, h, w, K] heatmaps.
        weights: [B, K], 0 for keypoints to leave out.
    """
    return tf.reduce_mean(_keypoint_errors(predictions, targets, weights), axis=1)


def heatmap_ohkm(
    predictions: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, top_k: int
) -> tf.Tensor:
    """As `heatmap_mse`, but the mean of the `top_k` keypoints with the largest errors.

    Online hard keypoint mining (official `JointsOHKMMSELoss`). If fewer are labelled,
    unlabelled ones count among them, with no error.
    """
    errors = _keypoint_errors(predictions, targets, weights)
    hardest, _ = tf.math.top_k(errors, top_k, sorted=False)
    return tf.reduce_mean(hardest, axis=1)


def _keypoint_errors(
    predictions: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Half the mean squared error of each heatmap, float32 [B, K]."""
    error = tf.cast(predictions, tf.float32) - tf.cast(targets, tf.float32)
    error *= tf.cast(weights, tf.float32)[:, tf.newaxis, tf.newaxis, :]
    return 0.5 * tf.reduce_mean(tf.square(error), axis=[1, 2])
