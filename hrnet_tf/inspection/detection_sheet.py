"""Pictures of objects: as training sees them, and those that look wrong."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import task_factory
from official.vision.ops import box_ops

from hrnet_tf import visualization
from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.data.inputs.normalization import denormalize_image
from hrnet_tf.inspection import sheets
from hrnet_tf.inspection.detection_sources import Objects
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sequences import of_each

CELL = 320, 320


def draw_training(
    chosen: Sequence[Sample[Objects]],
    records: Sequence[bytes],
    task: MaskRCNNTask | RetinaNetTask,
    names: Mapping[int, str],
    num_augmented: int,
    seed: int,
) -> np.ndarray:
    """A row for each image: as stored, and as the task's input changes it."""
    augmented = of_each(
        _read_augmented(records, task, num_augmented, seed), num_augmented
    )
    rows = []
    for sample, images in zip(chosen, augmented, strict=True):
        changed = [
            visualization.draw_instances(image, instances, names)
            for image, instances in images
        ]
        stored = draw_stored(sample, names)
        rows.append(sheets.row_of_sample(sample.place.name, stored, changed))
    return sheets.draw_rows(rows, CELL)


def _read_augmented(
    records: Sequence[bytes],
    task: MaskRCNNTask | RetinaNetTask,
    times: int,
    seed: int,
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Images of the canvas' size and their objects, each record so many times."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chosen")
        with tf.io.TFRecordWriter(path) as writer:
            for record in records:
                for _ in range(times):
                    writer.write(record)
        data = task.train_data.replace(
            input_path=path, global_batch_size=1, shuffle_buffer_size=1, cycle_length=1
        )
        tf.random.set_seed(seed)
        dataset = task_factory.get_task(task).build_inputs(data)
        dataset = _without_threads(dataset.take(len(records) * times))
        for images, labels in dataset:
            boxes, classes = _learned_boxes(labels, task)
            instances = [
                {"bbox": box, "category_id": int(number)}
                for box, number in zip(boxes, classes, strict=True)
            ]
            yield denormalize_image(images[0].numpy().astype(np.float32)), instances


def _without_threads(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same on one thread: there a seed decides what the Garden's parsers draw."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    return dataset.with_options(options)


def _learned_boxes(
    labels: dict[str, Any], task: MaskRCNNTask | RetinaNetTask
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 4], x, y, width and height on the canvas, and their classes [N]."""
    if "gt_boxes" in labels:
        corners, classes = labels["gt_boxes"][0].numpy(), labels["gt_classes"][0]
        is_real = classes.numpy() > 0
        corners, classes = corners[is_real], classes.numpy()[is_real]
    else:
        corners, classes = _boxes_of_anchors(labels, task)
    top, left, bottom, right = corners.T
    return np.stack([left, top, right - left, bottom - top], axis=-1), classes


def _boxes_of_anchors(
    labels: dict[str, Any], task: RetinaNetTask
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that RetinaNet's anchors are to find; what no anchor is for is missing.

    Returns:
        [N, 4], top, left, bottom and right, and their classes [N].
    """
    found: dict[tuple[int, ...], int] = {}
    weights = task.model.detection_generator.box_coder_weights
    for level, of_level in labels["cls_targets"].items():
        classes = np.ravel(of_level[0])
        targets, anchors = (
            np.reshape(labels[name][level][0], (-1, 4))
            for name in ("box_targets", "anchor_boxes")
        )
        chosen = classes > 0
        corners = box_ops.decode_boxes(targets[chosen], anchors[chosen], weights)
        for box, number in zip(np.rint(corners), classes[chosen], strict=True):
            found[tuple(box.astype(int).tolist())] = int(number)
    boxes = np.array([*found], np.float64).reshape(-1, 4)
    return boxes, np.array([*found.values()], np.int64)


def draw_stored(
    sample: Sample[Objects], names: Mapping[int, str], number: int | None = None
) -> np.ndarray:
    """The image as stored with its objects, or one of them."""
    image, content = sample.pixels(), sample.annotated()
    chosen = [
        {"bbox": box, "category_id": int(category)}
        for box, category, each in zip(
            content.boxes, content.categories, content.numbers, strict=True
        )
        if number in (None, each)
    ]
    return visualization.draw_instances(image, chosen, names)
