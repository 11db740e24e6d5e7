"""Suppression without loops keeps what greedy suppression keeps."""

import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops import suppression
from hrnet_tf.ops.suppression import Candidates

CANVAS = (200, 160)


def greedy(boxes, classes, iou_threshold):
    """The definition: boxes [k, 4] in falling order of scores, one by one."""
    kept = []
    for place, box in enumerate(boxes):
        rivals = [k for k in kept if classes[k] == classes[place]]
        if all(overlap(box, boxes[k]) < iou_threshold for k in rivals):
            kept.append(place)
    return kept


def overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = np.prod(np.maximum(sides, 0))
    union = sum(np.prod(box[2:] - box[:2]) for box in (one, other)) - both
    return both / union if union else 0.0


def kept(boxes, classes=None, iou_threshold=0.5, steps=8):
    classes = np.zeros(len(boxes), int) if classes is None else classes
    candidates = Candidates(
        tf.constant(boxes, tf.float32)[tf.newaxis],
        tf.linspace([1.0], [0.1], len(boxes), axis=1),
        tf.constant(classes, tf.int32)[tf.newaxis],
    )
    keep = suppression.suppress(candidates, CANVAS, iou_threshold, steps)
    assert keep.shape == (1, len(boxes))
    assert set(np.unique(keep)) <= {0.0, 1.0}
    return np.flatnonzero(keep[0]).tolist()


def random_boxes(generator, count):
    corner = generator.uniform(0, 60, (count, 2))
    return np.concatenate(
        [corner, corner + generator.uniform(10, 70, (count, 2))], axis=1
    )


@pytest.mark.parametrize("iou_threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_greedy_suppression(seed, iou_threshold):
    generator = np.random.default_rng(seed)
    boxes = random_boxes(generator, 80)
    classes = generator.integers(0, 3, 80)
    expected = greedy(boxes, classes, iou_threshold)
    assert 3 < len(expected) < 80
    assert kept(boxes, classes, iou_threshold, steps=12) == expected
    one_class = np.zeros(80, int)
    assert kept(boxes, iou_threshold=iou_threshold, steps=12) == greedy(
        boxes, one_class, iou_threshold
    )


@pytest.mark.parametrize("tile", [80, 40, 33, 7, 1])
def test_tiles_change_nothing(tile, monkeypatch):
    monkeypatch.setattr(suppression, "_TILE", tile)
    generator = np.random.default_rng(7)
    boxes, classes = random_boxes(generator, 80), generator.integers(0, 3, 80)
    assert kept(boxes, classes, steps=12) == greedy(boxes, classes, 0.5)


def test_chains_are_counted_within_a_tile(monkeypatch):
    monkeypatch.setattr(suppression, "_TILE", 3)
    boxes = [[0, 10 * n, 30, 10 * n + 28] for n in range(20)]
    assert kept(boxes, iou_threshold=0.4, steps=2) == [*range(0, 20, 2)]


@pytest.mark.parametrize("length", [2, 3, 4, 7, 8])
def test_a_chain_takes_a_step_for_each_box_but_the_first(length):
    """Each box overlaps its neighbours alone: every other one is kept."""
    boxes = [[0, 10 * n, 30, 10 * n + 28] for n in range(length)]
    assert overlap(*np.array(boxes[:2])) < 0.5  # 18 of 38.
    assert kept(boxes, iou_threshold=0.4, steps=length - 1) == [*range(0, length, 2)]
    too_few = kept(boxes, iou_threshold=0.4, steps=length - 2)
    assert too_few != [*range(0, length, 2)]


def test_boxes_of_other_classes_are_no_rivals():
    boxes = [[0, 0, 50, 50]] * 4
    assert kept(boxes, [0, 1, 0, 1]) == [0, 1]
    assert kept(boxes) == [0]


def test_boxes_without_an_area_suppress_nothing():
    boxes = [[0, 0, 0, 0], [0, 0, 0, 0], [5, 5, 5, 30], [0, 0, 30, 30], [1, 1, 30, 30]]
    assert kept(boxes) == [0, 1, 2, 3]


def test_without_any_overlap_allowed_boxes_apart_are_kept():
    boxes = [[0, 0, 30, 30], [0, 31, 30, 60], [0, 25, 30, 40], [28, 0, 60, 30]]
    assert kept(boxes, iou_threshold=0.0) == [0, 1]
    assert kept(boxes, [0, 0, 1, 1], iou_threshold=0.0) == [0, 1, 2]


def test_an_overlap_of_just_the_threshold_is_too_much():
    """As in the Garden's suppression, version v2."""
    boxes = [[0, 0, 25, 75], [0, 25, 25, 100]]
    assert overlap(*np.array(boxes)) == 0.5
    assert kept(boxes, iou_threshold=0.5) == [0]
    assert kept(boxes, iou_threshold=0.501) == [0, 1]


def test_areas_fit_into_float16():
    """As GPU delegates may compute: boxes that fill a large canvas, and small ones."""
    side = 1280
    boxes = np.array(
        [[0, 0, side, side], [0, 0, side, side - 40], [0, 0, 24, 24], [0, 4, 24, 28]]
    )
    candidates = Candidates(
        tf.constant(boxes, tf.float16)[tf.newaxis],
        tf.zeros([1, 4], tf.float16),
        tf.zeros([1, 4], tf.int32),
    )
    rows = tf.split(candidates.boxes * (suppression._UNITS / side), 4, axis=-1)
    area = (rows[2] - rows[0]) * (rows[3] - rows[1])
    assert np.isfinite(2 * area.numpy()).all()
    assert area.numpy()[0, 2, 0] > 1


def test_the_best_pairs_are_those_of_all_pairs():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(1, 50, 4)).astype(np.float32)
    boxes = generator.uniform(size=(1, 50, 4)).astype(np.float32)
    places = suppression.best_places(tf.constant(logits), 12)
    found = suppression.best_pairs(
        tf.gather(boxes, places, axis=1), tf.gather(logits, places, axis=1), 12
    )
    best = np.argsort(-logits.ravel())[:12]
    np.testing.assert_array_equal(found.scores[0], logits.ravel()[best])
    np.testing.assert_array_equal(found.classes[0], best % 4)
    np.testing.assert_array_equal(found.boxes[0], boxes[0, best // 4])


def test_equal_scores_keep_their_order():
    boxes = tf.reshape(tf.range(24, dtype=tf.float32), [1, 6, 4])
    places = suppression.best_places(tf.zeros([1, 6, 1]), 4)
    assert places.numpy().tolist() == [0, 1, 2, 3]
    found = suppression.best_pairs(boxes, tf.ones([1, 6, 2]), 5)
    assert found.classes.numpy().tolist() == [[0, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.boxes[0], boxes.numpy()[0, [0, 0, 1, 1, 2]])
