"""Two ways to find peaks of heatmaps and to read values around them.

`Gathers` reads only what is wanted: the way for CPUs and server GPUs. `Masks` reads
whole maps under one-hot masks, which is slower there; it needs nothing that mobile GPU
delegates do not run, and no tensor of more than four dimensions. Both give the same
answers to the bit.

Quantities of a keypoint (x, y, scores) are float32 [N, 1, 1, K], so that they broadcast
against maps float32 [N, h, w, K], whose height and width are static.
"""

from typing import Protocol

import tensorflow as tf


class MapReader(Protocol):
    """What decoding asks of maps."""

    @staticmethod
    def maximum(maps: tf.Tensor) -> tf.Tensor:
        """The largest value of each map."""

    @staticmethod
    def peak(maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """x, y and value of the first maximum in row-major order."""

    @staticmethod
    def neighbourhood(
        maps: tf.Tensor, x: tf.Tensor, y: tf.Tensor, radius: int
    ) -> tf.Tensor:
        """[N, 2 radius + 1, 2 radius + 1, K] values around (x, y).

        Outside a map its border is repeated.
        """


class Gathers(MapReader):
    """Reads maps by index."""

    @staticmethod
    def maximum(maps: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(_row_maximum(maps), axis=1, keepdims=True)

    @staticmethod
    def peak(maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        y = _first_maximum(_row_maximum(maps), axis=1)
        row = _read(maps, tf.range(maps.shape[2])[:, tf.newaxis], y)
        return (
            tf.cast(_first_maximum(row, axis=2), tf.float32),
            tf.cast(y, tf.float32),
            tf.reduce_max(row, axis=2, keepdims=True),
        )

    @staticmethod
    def neighbourhood(
        maps: tf.Tensor, x: tf.Tensor, y: tf.Tensor, radius: int
    ) -> tf.Tensor:
        height, width = maps.shape[1:3]
        offsets = tf.range(-radius, radius + 1)
        columns = tf.cast(x, tf.int32) + offsets[:, tf.newaxis]
        rows = tf.cast(y, tf.int32) + offsets[:, tf.newaxis, tf.newaxis]
        return _read(
            maps,
            tf.clip_by_value(columns, 0, width - 1),
            tf.clip_by_value(rows, 0, height - 1),
        )


def _row_maximum(maps: tf.Tensor) -> tf.Tensor:
    """[N, h, 1, K]: the largest value of each row."""
    # Of all formulations pooling alone is as fast as memory.
    width = maps.shape[2]
    return tf.nn.max_pool2d(maps, [1, width], [1, width], "VALID")


def _read(maps: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Values at whole x and y, which broadcast to [N, rows, columns, K]."""
    height, width, keypoints = maps.shape[1:]
    # Numbered within an image's maps: counted over a batch, int32 might not suffice.
    flat = tf.reshape(maps, [-1, height * width * keypoints])
    return tf.gather(
        flat, (y * width + x) * keypoints + tf.range(keypoints), batch_dims=1
    )


class Masks(MapReader):
    """Reads maps under one-hot masks."""

    @staticmethod
    def maximum(maps: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(maps, axis=[1, 2], keepdims=True)

    @staticmethod
    def peak(maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row_maximum = tf.reduce_max(maps, axis=2, keepdims=True)
        y = tf.cast(_first_maximum(row_maximum, axis=1), tf.float32)
        row = _masked_rows(maps, y)
        x = tf.cast(_first_maximum(row, axis=2), tf.float32)
        return x, y, tf.reduce_max(row, axis=2, keepdims=True)

    @staticmethod
    def neighbourhood(
        maps: tf.Tensor, x: tf.Tensor, y: tf.Tensor, radius: int
    ) -> tf.Tensor:
        height, width = maps.shape[1:3]
        offsets = range(-radius, radius + 1)
        rows = tf.concat(
            [
                _masked_rows(maps, tf.clip_by_value(y + d, 0.0, height - 1.0))
                for d in offsets
            ],
            axis=1,
        )
        return tf.concat(
            [
                _masked_columns(rows, tf.clip_by_value(x + d, 0.0, width - 1.0))
                for d in offsets
            ],
            axis=2,
        )


def _masked_rows(maps: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """[N, 1, w, K]: each keypoint's row y of its map."""
    mask = _one_hot(y, maps.shape[1], axis=1)
    return tf.reduce_sum(maps * mask, axis=1, keepdims=True)


def _masked_columns(maps: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """[N, h, 1, K]: each keypoint's column x of its map."""
    mask = _one_hot(x, maps.shape[2], axis=2)
    return tf.reduce_sum(maps * mask, axis=2, keepdims=True)


def _one_hot(index: tf.Tensor, length: int, axis: int) -> tf.Tensor:
    """One-hot along `axis` of whole float indices; all zeros for one out of range."""
    shape = [1, 1, 1, 1]
    shape[axis] = length
    position = tf.reshape(tf.range(length, dtype=tf.float32), shape)
    return tf.nn.relu(1.0 - tf.abs(position - index))


def _first_maximum(maps: tf.Tensor, axis: int) -> tf.Tensor:
    """int32 index along an axis, which stays with a length of 1."""
    return tf.expand_dims(tf.argmax(maps, axis, output_type=tf.int32), axis)
