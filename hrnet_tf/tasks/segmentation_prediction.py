"""How a segmentation network is used on an image, in evaluation and when exported."""

import tensorflow as tf

from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.ops import dense_prediction

# Of HRNet's branch with the lowest resolution.
STRIDE = 32


def predict_image(
    network: dense_prediction.Network,
    image: tf.Tensor,
    resizing: segmentation_config.Resizing,
    evaluation: segmentation_config.Evaluation,
    flip_permutation: list[int],
    resize_logits: dense_prediction.Resize,
) -> tf.Tensor:
    """Scores every pixel of one image, as configured.

    Args:
        network: Maps normalised images [N, h, w, 3] to logits [N, h', w', C].
        image: uint8 [H, W, 3].
        resizing: The size at scale 1.
        evaluation: Scales, windows, flip test.
        flip_permutation: The class that each class becomes in a mirrored image.
        resize_logits: See `dense_prediction.predict_log_scores`.

    Returns:
        float32 [H, W, C], see `dense_prediction.predict_log_scores`.
    """

    # A function of its own is traced once, however many scales and windows use it.
    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)],
    )
    def normalized(images: tf.Tensor) -> tf.Tensor:
        return network(normalize_image(images))

    if evaluation.flip_test:
        normalized = dense_prediction.with_mirrored(normalized, flip_permutation)
    height, width = tf.unstack(tf.shape(image)[:2])
    sizes = []
    for scale in evaluation.scales:
        if resizing.method == "fixed":
            sizes.append([int(side * scale + 0.5) for side in resizing.size])
        else:
            long_side = resizing.long_side * scale
            sizes.append(dense_prediction.resized_size(height, width, long_side))
    return dense_prediction.predict_log_scores(
        normalized,
        tf.cast(image, tf.float32),
        sizes,
        resize_logits,
        len(flip_permutation),
        evaluation.window,
        evaluation.window_overlap,
        evaluation.combine,
        # Images of any aspect ratio: on sizes that branches halve without a remainder,
        # as training crops are, they stay aligned.
        multiple=1 if resizing.method == "fixed" else STRIDE,
    )


def describe_protocol(evaluation: segmentation_config.Evaluation) -> str:
    """How images are predicted, in words."""
    scales = ", ".join(f"{scale:g}" for scale in evaluation.scales)
    parts = [
        "single scale" if len(evaluation.scales) == 1 else f"scales {scales}",
        f"flip test: {'on' if evaluation.flip_test else 'off'}",
        "windows of {}x{}".format(*evaluation.window)
        if evaluation.window
        else "whole images",
    ]
    if len(evaluation.scales) > 1 or evaluation.window:
        parts.append(f"sum of {evaluation.combine.replace('_', ' ')}")
    return ", ".join(parts)
