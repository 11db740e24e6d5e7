"""Non-maximum suppression without loops, of a fixed number of boxes, for phones.

Greedy suppression takes boxes from the best to the worst, and keeps one unless a box
that it kept already overlaps it too much. As a matrix S, whose element (i, j) is 1
where box j is better than box i and overlaps it too much, that is the one solution of

    keep = (S keep == 0)

Putting in what comes out, from keep = 1, which is right for the best box, every step is
right for all boxes whose rivals the step before was right for. So n steps are exact
unless n + 2 boxes, each better than the next, overlap one after the other. Such chains
are short, since boxes that overlap too much are mostly all of one object. And they
count within a tile of candidates alone, since one tile after the other is decided.

All operations are among those that the GPU delegates of phones run. There is one image,
and nothing has more than three dimensions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Overlaps are computed in units of which a canvas has so many at a side: areas, and
# sums of two, then fit into float16, which GPU delegates may compute with.
_UNITS = 128.0
# Where neither of two has an area, they do not overlap.
_LEAST_AREA = 1e-6
# Where boxes must not overlap at all, this much is an overlap: with a threshold of 0,
# boxes apart from each other would count, too.
_LEAST_IOU = 1e-3

# So many candidates are decided together: CPUs keep their matrices in caches.
_TILE = 256


class Candidates(NamedTuple):
    """Boxes of an image that may be objects, best first.

    Attributes:
        boxes: float32 [1, k, 4], y and x of the upper left and of the lower right
            corner, pixels.
        scores: float32 [1, k], falling.
        classes: int32 [1, k], from 0.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


def best_places(logits: tf.Tensor, count: int) -> tf.Tensor:
    """Where the candidates are that score most.

    A pair of place and class is among the best `count` pairs only if its place is among
    the best `count` places, by the place's best class.

    Args:
        logits: float32 [1, N, C], of N places and C classes.
        count: How many; at most N.

    Returns:
        int32 [count], best first.
    """
    _, places = tf.math.top_k(tf.reduce_max(logits, axis=-1), count)
    return tf.reshape(places, [count])


def best_pairs(boxes: tf.Tensor, scores: tf.Tensor, count: int) -> Candidates:
    """The best pairs of a box and a class.

    Args:
        boxes: float32 [1, k, 4], see `Candidates`.
        scores: float32 [1, k, C].
        count: How many pairs; at most k C.
    """
    places, classes = scores.shape[1:]
    flat = tf.reshape(scores, [1, places * classes])
    best, pairs = tf.math.top_k(flat, count)
    pairs = tf.reshape(pairs, [count])
    # Looked up, since GPU delegates do not divide whole numbers reliably.
    box_of_pair = np.repeat(np.arange(places, dtype=np.int32), classes)
    class_of_pair = np.tile(np.arange(classes, dtype=np.int32), places)
    return Candidates(
        tf.gather(boxes, tf.gather(box_of_pair, pairs), axis=1),
        best,
        tf.gather(class_of_pair[np.newaxis], pairs, axis=1),
    )


def suppress(
    candidates: Candidates,
    canvas: tuple[int, int],
    iou_threshold: float,
    steps: int,
) -> tf.Tensor:
    """Finds the candidates that greedy suppression within each class keeps.

    Args:
        candidates: The boxes.
        canvas: (height, width) that the boxes lie within, in pixels.
        iou_threshold: Boxes overlap too much from this intersection over union on; at
            0, where they overlap at all.
        steps: See above; so many for each tile of candidates.

    Returns:
        float32 [1, k], 1 where a candidate is kept and 0 elsewhere.
    """
    boxes = candidates.boxes * (_UNITS / max(canvas))
    classes = tf.cast(candidates.classes, tf.float32)[..., tf.newaxis]
    edges = tf.split(boxes, 4, axis=-1)
    area = (edges[2] - edges[0]) * (edges[3] - edges[1]) + _LEAST_AREA
    rows = [*edges, area, classes]
    columns = [tf.transpose(values, [0, 2, 1]) for values in rows]
    kept: list[tf.Tensor] = []
    for begin in range(0, boxes.shape[1], _TILE):
        end = min(begin + _TILE, boxes.shape[1])
        tile = [values[:, begin:end] for values in rows]
        own = _overlap(tile, [c[:, :, begin:end] for c in columns], iou_threshold)
        own = own & np.tri(end - begin, k=-1, dtype=bool)[np.newaxis]
        own = tf.cast(own, tf.float32)
        rivals = tf.zeros([1, end - begin, 1])
        if kept:
            better = _overlap(tile, [c[:, :, :begin] for c in columns], iou_threshold)
            better = tf.cast(better, tf.float32)
            rivals = tf.matmul(better, tf.concat(kept, axis=1))
        keep = tf.nn.relu(1.0 - rivals)
        for _ in range(steps):
            keep = tf.nn.relu(1.0 - rivals - tf.matmul(own, keep))
        kept.append(keep)
    return tf.squeeze(tf.concat(kept, axis=1), axis=-1)


def _overlap(
    rows: Sequence[tf.Tensor],
    columns: Sequence[tf.Tensor],
    iou_threshold: float,
) -> tf.Tensor:
    """Where boxes of one class overlap too much, bool [1, r, c].

    Both are edges in the order of `Candidates.boxes`, areas and classes: [1, r, 1] and
    [1, 1, c].
    """
    height, width = (
        tf.nn.relu(
            tf.minimum(rows[axis + 2], columns[axis + 2])
            - tf.maximum(rows[axis], columns[axis])
        )
        for axis in (0, 1)
    )
    both = height * width
    union = rows[4] + columns[4] - both
    is_same = tf.nn.relu(1.0 - tf.abs(rows[5] - columns[5]))
    return both * is_same >= max(iou_threshold, _LEAST_IOU) * union
