"""Bilinear resizes, also for XLA.

XLA resizes rightly, and trains, between some sizes only, and compiles no resize from or
to a size that is a number in the data. A matrix that holds what each pixel takes of the
pixels before has no such limits: its gradient is its transpose, and pixels that do not
count get the weight 0. Outside XLA, TensorFlow's resize is faster.
"""

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

Side: TypeAlias = int | tf.Tensor


def is_traced_for_xla() -> bool:
    """Whether the current graph is compiled by XLA: with `jit_compile`, or for TPUs."""
    return control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def resize_bilinear(
    images: tf.Tensor, size: Sequence[Side] | tf.Tensor, align_corners: bool = False
) -> tf.Tensor:
    """Resizes [B, h, w, C] to [B, *size, C], keeping the dtype.

    With `align_corners`, pixels are points, and those at the corners stay there (as
    torch's align_corners=True); otherwise they are squares, and the borders stay.
    """
    if is_traced_for_xla() and _is_static(images.shape[1:3]) and _is_static(size):
        return resize_part(images, images.shape[1:3], size, size, align_corners)
    if align_corners:
        resized = tf.raw_ops.ResizeBilinear(
            images=images, size=size, align_corners=True
        )
    else:
        resized = tf.image.resize(images, size, "bilinear")
    return tf.cast(resized, images.dtype)


def resize_part(
    images: tf.Tensor,
    part: Sequence[Side],
    size: Sequence[Side],
    canvas: Sequence[int],
    align_corners: bool = False,
) -> tf.Tensor:
    """Resizes the top left `part` of [B, h, w, C] to `size`, on a canvas for it.

    `part` and `size`, (height, width), may be tensors; h, w and `canvas`, the size of
    the result, are static. What is on the canvas beyond `size` means nothing. Otherwise
    as `resize_bilinear`.
    """
    rows, columns = (
        _weights(before, after, int(whole), int(full), align_corners)
        for before, after, whole, full in zip(
            part, size, images.shape[1:3], canvas, strict=True
        )
    )
    resized = tf.einsum("yh,bhwc->bywc", rows, tf.cast(images, tf.float32))
    return tf.cast(tf.einsum("xw,bywc->byxc", columns, resized), images.dtype)


def _is_static(size: Sequence[Side | None] | tf.Tensor) -> bool:
    return not tf.is_tensor(size) and all(isinstance(side, int) for side in size)


def _weights(
    before: Side, after: Side, whole: int, full: int, align_corners: bool
) -> tf.Tensor:
    """What each pixel of a side takes of each one before it, float32 [full, whole].

    `before` pixels of `whole` are resized to `after` of `full`.
    """
    before, after = tf.cast(before, tf.float32), tf.cast(after, tf.float32)
    places = tf.range(full, dtype=tf.float32)
    if align_corners:
        places *= tf.math.divide_no_nan(before - 1, after - 1)
    else:
        places = (places + 0.5) * (before / after) - 0.5
    places = tf.clip_by_value(places, 0.0, before - 1)
    distances = tf.abs(places[:, tf.newaxis] - tf.range(whole, dtype=tf.float32))
    return tf.maximum(1 - distances, 0)
