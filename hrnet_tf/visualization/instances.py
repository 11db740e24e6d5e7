"""Detected objects: boxes, names, scores and masks on images."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.visualization.canvas import (
    check_image,
    compared,
    draw_box,
    draw_tag,
    number_color,
)

_MASK_OPACITY = 0.45


def draw_instances(
    image: np.ndarray,
    instances: Sequence[Mapping[str, Any]],
    categories: Mapping[int, str],
) -> np.ndarray:
    """Draws objects in their categories' colours, those listed first on top.

    Args:
        image: uint8 [H, W, 3], RGB.
        instances: Objects with `bbox` (x, y, width, height in pixels), `category_id`
            and perhaps `score` and `segmentation` (polygons or run lengths).
        categories: Names by id; categories without a name are shown by number.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    check_image(image, "image")
    canvas = image.copy()
    pixel = max(1, round(max(image.shape) / 640))
    for instance in reversed(instances):
        color = np.array(number_color(instance["category_id"]), np.float64)
        if segmentation := instance.get("segmentation"):
            mask = _mask(segmentation, image.shape[:2])
            pixels = canvas[mask].astype(np.float64)
            canvas[mask] = np.uint8(pixels + _MASK_OPACITY * (color - pixels) + 0.5)
            outlines = cv2.findContours(
                mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
            )[0]
            cv2.drawContours(canvas, outlines, -1, color.tolist(), pixel)
    for instance in reversed(instances):
        box = np.asarray(instance["bbox"], np.float64)
        draw_box(canvas, box, pixel, number_color(instance["category_id"]))
    for instance in reversed(instances):
        number = instance["category_id"]
        tag = categories.get(number, str(number))
        if "score" in instance:
            tag += f" {instance['score']:.2f}"
        draw_tag(canvas, tag, np.asarray(instance["bbox"][:2], np.float64), pixel)
    return canvas


def compare_instances(
    image: np.ndarray,
    predicted: Sequence[Mapping[str, Any]],
    ground_truth: Sequence[Mapping[str, Any]],
    categories: Mapping[int, str],
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draws detected objects on the left and annotated ones on the right."""
    left = draw_instances(image, predicted, categories)
    right = draw_instances(image, ground_truth, categories)
    return compared(left, right, cell_size)


def _mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        rles = coco_mask.frPyObjects(segmentation, *size)
        return coco_mask.decode(coco_mask.merge(rles)).astype(bool)
    if isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, *size)
    return coco_mask.decode(segmentation).astype(bool)
