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
from hrnet_tf.ops.interpolation import is_traced_for_xla


def predict_image(
    network: dense_prediction.Network,
    image: tf.Tensor,
    resizing: segmentation_config.Resizing,
    evaluation: segmentation_config.Evaluation,
    flip_permutation: list[int],
    resize_logits: dense_prediction.Resize,
    part: Sequence[tf.Tensor] | None = None,
) -> tf.Tensor:
    """Scores every pixel of one image uint8 [H, W, 3], as configured.

    `network` maps normalised images [N, h, w, 3] to logits [N, h', w', C]. For the
    other arguments and the scores see `dense_prediction.predict_log_scores`; a `part`
    goes with resizing to a fixed size.
    """

    def normalize_and_predict(images: tf.Tensor) -> tf.Tensor:
        return network(normalize_image(images))

    normalized: dense_prediction.Network = normalize_and_predict
    # A function of its own is traced once, however many scales and windows use it. It
    # knows no sizes: under XLA, resizes within it would be XLA's own, and wrong.
    if part is None:
        normalized = tf.function(
            normalize_and_predict,
            autograph=False,
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)],
        )
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
        part=part,
    )


def predict_and_count(
    predict: Callable[..., tf.Tensor],
    images: tf.Tensor,
    masks: tf.Tensor,
    sizes: tf.Tensor,
    num_classes: int,
    ignore_label: int,
) -> dict[str, tf.Tensor]:
    """Predicts a batch of images of different sizes, and counts right and wrong pixels.

    For XLA, all shapes are static: then images are predicted as parts of a canvas.

    Args:
        predict: Scores [H, W, C] of an image uint8 [H, W, 3], or of the part of it that
            is given as (height, width).
        images: uint8 [B, H, W, 3], padded below and at the right.
        masks: The true classes, uint8 [B, H, W].
        sizes: int32 [B, 2], without padding; 0 for images that only fill the batch.
        num_classes: C.
        ignore_label: The number of pixels without a class.

    Returns:
        predicted uint8 [B, H, W], confusion int64 [C, C], and loss_sum, the sum of all
        pixels' cross-entropies.
    """
    is_static = is_traced_for_xla()

    def predict_one(arguments: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        image, mask, size = arguments
        # An image without size counts as one pixel, whose label is ignored.
        height, width = tf.unstack(tf.maximum(size, 1))
        if is_static:
            log_scores = predict(image, (height, width))
            mask = tf.where(
                _is_inside(mask, height, width), mask, tf.cast(ignore_label, mask.dtype)
            )
        else:
            log_scores = predict(image[:height, :width])
            mask = mask[:height, :width]
        predicted = tf.argmax(log_scores, axis=-1, output_type=tf.int32)
        missing = tf.shape(image)[:2] - tf.shape(predicted)
        return (
            tf.pad(tf.cast(predicted, tf.uint8), [[0, missing[0]], [0, missing[1]]]),
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
            tf.TensorSpec(images.shape[1:3], tf.uint8),
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


def _is_inside(mask: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Which pixels of [H, W] are in its top left part, bool [H, W]."""
    rows, columns = (tf.range(side) for side in mask.shape)
    return (rows < height)[:, tf.newaxis] & (columns < width)[tf.newaxis]


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
