"""Losses of semantic segmentation: the Garden's, and the official ones it lacks."""

from collections.abc import Sequence

import tensorflow as tf
from official.vision.losses import segmentation_losses

from hrnet_tf.configs import segmentation as segmentation_config


def segmentation_loss(
    logits: tf.Tensor,
    auxiliary_logits: tf.Tensor | None,
    labels: tf.Tensor,
    config: segmentation_config.Losses,
) -> tf.Tensor:
    """Mean cross-entropy, with OHEM of hard pixels alone, plus OCR's auxiliary loss.

    The auxiliary loss counts all pixels even with OHEM, as in the official code. Logits
    are float32 [B, H, W, C], labels class numbers [B, H, W, 1]. The factor
    `loss_weight` of `config` is left to the caller.
    """
    weights, ignore_label = config.class_weights, config.ignore_label

    def cross_entropy(logits: tf.Tensor) -> tf.Tensor:
        loss = segmentation_losses.SegmentationLoss(
            config.label_smoothing,
            weights,
            ignore_label,
            use_groundtruth_dimension=config.use_groundtruth_dimension,
            top_k_percent_pixels=config.top_k_percent_pixels,
        )(logits, labels)
        if weights:
            loss *= class_weight_scale(labels, weights, ignore_label)
        return loss

    if config.ohem:
        hardness = config.ohem_threshold, config.ohem_min_kept
        loss = ohem_cross_entropy(logits, labels, weights, ignore_label, *hardness)
    else:
        loss = cross_entropy(logits)
    if auxiliary_logits is not None:
        loss += config.auxiliary_weight * cross_entropy(auxiliary_logits)
    return loss


def cross_entropy_sum(
    logits: tf.Tensor, labels: tf.Tensor, ignore_label: int
) -> tf.Tensor:
    """Sum over all labelled pixels, from logits [..., C] and class numbers [...]."""
    labels = tf.cast(labels, tf.int32)
    labelled = labels != ignore_label
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.where(labelled, labels, 0), logits
    )
    return tf.reduce_sum(tf.where(labelled, losses, 0.0))


def class_weight_scale(
    labels: tf.Tensor, class_weights: Sequence[float], ignore_label: int
) -> tf.Tensor:
    """The factor that turns the Garden's weighted loss into a weighted mean.

    The Garden divides by the number of labelled pixels; torch's CrossEntropyLoss, and
    so the official code, divides by the sum of their weights. The factor is the one
    over the other.
    """
    labelled = labels != tf.cast(ignore_label, labels.dtype)
    weights = tf.gather(
        tf.constant(class_weights, tf.float32),
        tf.where(labelled, tf.cast(labels, tf.int32), 0),
    )
    labelled = tf.cast(labelled, tf.float32)
    total = tf.reduce_sum(labelled)
    return tf.math.divide_no_nan(total, tf.reduce_sum(weights * labelled))


def ohem_cross_entropy(
    logits: tf.Tensor,
    labels: tf.Tensor,
    class_weights: Sequence[float],
    ignore_label: int,
    threshold: float,
    min_kept: int,
) -> tf.Tensor:
    """Mean cross-entropy of the hard pixels; 0 if no pixel is labelled.

    Official lib/core/criterion.py, `OhemCrossEntropy`: a pixel counts if the
    probability of its own class is below a bound. The bound is `threshold`, or the
    probability of the pixel `min_kept` places after the hardest one if that is greater.

    Args and weights as in `segmentation_loss`; no weights if `class_weights` is empty.
    """
    num_classes = logits.shape[-1]
    logits = tf.reshape(logits, [-1, num_classes])
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    labelled = labels != ignore_label
    labels = tf.where(labelled, labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    # The probability of a pixel's own class; above 1 for pixels without a class.
    own = tf.where(labelled, tf.exp(-tf.stop_gradient(losses)), 2.0)

    count = tf.reduce_sum(tf.cast(labelled, tf.int32))
    place = tf.maximum(tf.minimum(min_kept, count - 1), 0)
    hardest = -tf.math.top_k(-own, tf.minimum(min_kept, tf.size(own) - 1) + 1).values
    is_hard = own < tf.maximum(hardest[place], threshold)
    is_hard = tf.cast(is_hard & labelled, tf.float32)
    if class_weights:
        losses *= tf.gather(tf.constant(class_weights, tf.float32), labels)
    return tf.math.divide_no_nan(
        tf.reduce_sum(losses * is_hard), tf.reduce_sum(is_hard)
    )
