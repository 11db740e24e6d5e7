"""RetinaNet for phones: objects of its heads' maps without a loop.

The Garden's detector, which servers get, decodes all boxes and suppresses them class by
class in loops, which GPU delegates do not run and CPUs take long for. Here, as in
detectors that are made for phones, a fixed number of candidates is chosen first, over
all levels and classes; they alone are decoded, compared and suppressed. That finds what
the Garden's finds, unless an image has more candidates above the score threshold.
"""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.ops import anchor, box_ops

from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.ops import suppression
from hrnet_tf.serving.formats import CANDIDATES

# docs/speed.md has what fewer lose.
STEPS = 8


def is_covered(config: MaskRCNNTask | RetinaNetTask) -> bool:
    """Whether `detect` finds what the detector of a configuration does.

    Soft and class-agnostic suppression are not covered, nor are regions of R-CNNs.
    """
    if not isinstance(config, RetinaNetTask):
        return False
    generator = config.model.detection_generator
    return not (generator.soft_nms_sigma or generator.use_class_agnostic_nms)


def detect(
    model: tf_keras.Model,
    config: RetinaNetTask,
    canvas: tf.Tensor,
    candidates: int = CANDIDATES,
    steps: int = STEPS,
) -> dict[str, tf.Tensor]:
    """Detects objects in a normalised canvas [1, H, W, 3] of the model's size.

    Args:
        model: The Garden's RetinaNet.
        config: The task's configuration, whose `detection_generator` the Garden uses.
        canvas: float32.
        candidates: How many pairs of box and class are compared.
        steps: See `ops.suppression`.

    Returns:
        As `DetectionTask.detect`, without masks.
    """
    generator, classes = config.model.detection_generator, config.model.num_classes
    height, width = canvas.shape[1:3]
    with tf.name_scope("retinanet"):  # What has 8 bits goes by names within a model.
        features = model.backbone(canvas, training=False)
        features = model.decoder(features, training=False)
        scores, boxes, _ = model.head(features)
    # All boxes are decoded, which takes less than a millisecond: GPU delegates do not
    # look up constants that a float16 file rounds, such as anchors of candidates.
    boxes = box_ops.decode_boxes(
        _over_levels(boxes, 4),
        _over_levels(_anchors(model, (height, width)), 4),
        weights=generator.box_coder_weights,
    )
    # The first class is the background.
    logits = _over_levels(scores, classes)[..., 1:]
    # A small canvas has fewer places than there may be candidates, but several of each.
    places = suppression.best_places(logits, min(candidates, logits.shape[1]))
    boxes = tf.gather(boxes, places, axis=1)
    boxes = box_ops.clip_boxes(boxes, [height, width])
    scores = tf.sigmoid(tf.gather(logits, places, axis=1))
    pairs = min(candidates, scores.shape[1] * scores.shape[2])
    found = suppression.best_pairs(boxes, scores, pairs)
    keep = suppression.suppress(
        found, (height, width), generator.nms_iou_threshold, steps
    )
    return _best(found, keep, generator)


def _over_levels(maps: Mapping[str, tf.Tensor], channels: int) -> tf.Tensor:
    """All places of all levels, float32 [1, N, channels], of [1, h, w, A channels]."""
    flat = [
        tf.reshape(tf.cast(maps[level], tf.float32), [1, -1, channels])
        for level in sorted(maps, key=int)
    ]
    return tf.concat(flat, axis=1)


def _anchors(model: tf_keras.Model, canvas: tuple[int, int]) -> Mapping[str, tf.Tensor]:
    """The boxes [h, w, A 4] that those of the heads are relative to, by level."""
    settings = model.get_config()
    names = ("min_level", "max_level", "num_scales", "aspect_ratios", "anchor_size")
    return anchor.Anchor(
        **{name: settings[name] for name in names}, image_size=canvas
    ).multilevel_boxes


def _best(
    candidates: suppression.Candidates,
    keep: tf.Tensor,
    generator: hyperparams.Config,
) -> dict[str, tf.Tensor]:
    """The best of those that are kept and score enough, as many as there may be."""
    is_found = candidates.scores > generator.pre_nms_score_threshold
    scores = candidates.scores * keep * tf.cast(is_found, tf.float32)
    most = generator.max_num_detections
    count = min(most, scores.shape[1])
    scores, places = tf.math.top_k(scores, count)
    places = tf.reshape(places, [count])
    corners = tf.gather(candidates.boxes, places, axis=1)
    top, left, bottom, right = tf.split(corners, 4, axis=-1)
    found = {
        "boxes": tf.concat([left, top, right - left, bottom - top], axis=-1),
        "classes": tf.gather(candidates.classes, places, axis=1) + 1,
        "scores": scores,
    }
    if count < most:
        missing = [[0, 0], [0, most - count], [0, 0]]
        found = {
            name: tf.pad(values, missing[: values.shape.rank])
            for name, values in found.items()
        }
    is_there = tf.cast(scores > 0.0, tf.float32)
    return {
        **found,
        "num_detections": tf.cast(tf.reduce_sum(is_there, axis=1), tf.int32),
    }
