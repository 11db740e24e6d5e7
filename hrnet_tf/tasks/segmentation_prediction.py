"""How a segmentation network predicts an image, in evaluation and when exported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.configs.variants import STRIDE
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.losses.segmentation import cross_entropy_sum
from hrnet_tf.ops import dense_prediction


def predict_image(
    network: dense_prediction.Network,
    image: tf.Tensor,
    resizing: segmentation_config.Resizing,
    evaluation: segmentation_config.Evaluation,
    flip_permutation: list[int],
    resize_logits: dense_prediction.Resize,
) -> tf.Tensor:
    """Scores every pixel of one image uint8 [H, W, 3], as configured.

    `network` maps normalised images [N, h, w, 3] to logits [N, h', w', C]. For the
    other arguments and the scores see `dense_prediction.predict_log_scores`.
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
    sizes: list[Sequence[Any]] = []
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
        # Branches stay aligned on sizes that can be halved without a remainder, like
        # those of training crops.
        multiple=1 if resizing.method == "fixed" else STRIDE,
    )


def predict_and_count(
    predict: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    masks: tf.Tensor,
    sizes: tf.Tensor,
    num_classes: int,
    ignore_label: int,
) -> dict[str, tf.Tensor]:
    """Predicts a batch of images of different sizes, and counts right and wrong pixels.

    Args:
        predict: Scores [H, W, C] of an image uint8 [H, W, 3].
        images: uint8 [B, H, W, 3], padded below and at the right.
        masks: The true classes, uint8 [B, H, W].
        sizes: int32 [B, 2], without padding; 0 for images that only fill the batch.
        num_classes: C.
        ignore_label: The number of pixels without a class.

    Returns:
        predicted uint8 [B, H, W], confusion int64 [C, C], and loss_sum, the sum of all
        pixels' cross-entropies.
    """

    def predict_one(arguments: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        image, mask, size = arguments
        # An image without size counts as one pixel, whose label is ignored.
        height, width = tf.unstack(tf.maximum(size, 1))
        mask = mask[:height, :width]
        log_scores = predict(image[:height, :width])
        predicted = tf.argmax(log_scores, axis=-1, output_type=tf.int32)
        padding = [[0, tf.shape(image)[0] - height], [0, tf.shape(image)[1] - width]]
        return (
            tf.pad(tf.cast(predicted, tf.uint8), padding),
            dense_prediction.confusion_matrix(
                mask, predicted, num_classes, ignore_label
            ),
            cross_entropy_sum(log_scores, mask, ignore_label),
        )

    # One by one: images differ in size, and their scores take much memory.
    predicted, confusion, loss_sums = tf.map_fn(
        predict_one,
        (images, masks, sizes),
        fn_output_signature=(
            tf.TensorSpec([None, None], tf.uint8),
            tf.TensorSpec([num_classes, num_classes], tf.int64),
            tf.TensorSpec([], tf.float32),
        ),
        parallel_iterations=1,
    )
    return {
        "predicted": predicted,
        "confusion": tf.reduce_sum(confusion, axis=0),
        "loss_sum": tf.reduce_sum(loss_sums),
    }


def unpadded(
    outputs: Mapping[str, tuple[tf.Tensor, ...]],
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields image, predicted and true classes of every real image of a step."""
    names = ("images", "predicted", "masks", "sizes")
    for parts in zip(*(outputs[name] for name in names), strict=True):
        for *arrays, (height, width) in zip(
            *(part.numpy() for part in parts), strict=True
        ):
            if height:
                yield tuple(array[:height, :width] for array in arrays)


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
