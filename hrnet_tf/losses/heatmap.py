"""The heatmap regression loss (official lib/core/loss.py, `JointsMSELoss`)."""

import tensorflow as tf


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
    error = tf.cast(predictions, tf.float32) - tf.cast(targets, tf.float32)
    error *= tf.cast(weights, tf.float32)[:, tf.newaxis, tf.newaxis, :]
    return 0.5 * tf.reduce_mean(tf.square(error), axis=[1, 2, 3])
