"""COCO AP of detected boxes and masks.

Detections are collected batch by batch as COCO results, masks in run lengths, so that
memory holds no mask in pixels. pycocotools computes AP and AR over all images of the
annotation file, those without any detection included.

    truth = read_objects("instances_val.json", with_masks=True)
    evaluator = COCOInstanceEvaluator(truth, with_masks=True)
    for batch in batches:
        evaluator.update(detect(batch))
    print(format_table(evaluator.evaluate(), "1088x1088"))
"""

import collections
import os
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from hrnet_tf import output_files
from hrnet_tf.data.files.coco_objects import CocoObjects
from hrnet_tf.evaluation import coco_metrics
from hrnet_tf.evaluation.coco_files import Truth, check_images, index
from hrnet_tf.evaluation.coco_metrics import UNDEFINED, format_value
from hrnet_tf.evaluation.instance_masks import encode_masks

# In the order of pycocotools' `stats`, by the names that the Garden gives them.
METRICS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("ARmax1", "ARmax10", "ARmax100", "ARs", "ARm", "ARl"),
)
MASK_METRICS = tuple(f"mask_{name}" for name in METRICS)

# Tables with more categories would be too long to read.
_LISTED_CATEGORIES = 25


class COCOInstanceEvaluator:
    """Collects detections and computes COCO's AP of boxes and, with masks, of masks.

    Attributes:
        categories: The names of all categories that the annotation file describes.
        results: The detections of the categories that are chosen, or of all.
    """

    def __init__(self, truth: Truth[CocoObjects], with_masks: bool):
        """Takes the ground truth, from `coco_files.read_objects`, with masks or not."""
        self._annotation_file = truth.path
        self._with_masks = with_masks
        self.categories = truth.content.categories
        self._chosen = truth.category_ids
        self._ground_truth = _ground_truth(
            truth.content, self._chosen or self.categories
        )
        self.reset()

    def reset(self) -> None:
        """Forgets all detections."""
        self.results: list[dict[str, Any]] = []

    def update(self, detections: Mapping[str, np.ndarray]) -> None:
        """Adds the detections of a batch of images.

        Args:
            detections: arrays over the batch:
                image_id [B] int; images below zero are padding and are ignored.
                boxes [B, N, 4] float, x, y, width, height, pixels of the image.
                classes [B, N] int, category ids.
                scores [B, N] float.
                num_detections [B] int: how many of the N there are.
                masks [B, N, h, w] float, with masks: probabilities within the boxes.
                image_size [B, 2] int, with masks: height and width of the image.

        Raises:
            AnnotationFileError: If an image is not in the annotation file.
        """
        for place, image_id in enumerate(np.asarray(detections["image_id"]).tolist()):
            if image_id < 0:
                continue
            check_images(self._annotation_file, self._ground_truth.imgs, [image_id])
            count = int(detections["num_detections"][place])
            found = {
                name: np.asarray(detections[name][place][:count])
                for name in ("boxes", "classes", "scores")
            }
            rows = [
                {
                    "image_id": image_id,
                    "category_id": int(category),
                    "bbox": [round(float(value), 3) for value in box],
                    "score": float(score),
                }
                for box, category, score in zip(
                    found["boxes"], found["classes"], found["scores"], strict=True
                )
            ]
            if self._with_masks:
                size = detections["image_size"][place]
                masks = detections["masks"][place][:count]
                for row, rle in zip(
                    rows, encode_masks(masks, found["boxes"], size), strict=True
                ):
                    row["segmentation"] = rle
            self.results += [
                row
                for row in rows
                if not self._chosen or row["category_id"] in self._chosen
            ]

    def write_results(self, path: str | os.PathLike[str]) -> None:
        """Writes `results` as JSON, in COCO's results format."""
        output_files.write_json(path, self.results)

    def objects(self, image_id: int) -> list[dict[str, Any]]:
        """The annotations of an image, crowds left out."""
        return [
            annotation
            for annotation in self._ground_truth.imgToAnns[image_id]
            if not annotation["iscrowd"]
        ]

    def evaluate(self, image_ids: Iterable[int] | None = None) -> dict[str, float]:
        """Computes the metrics on `image_ids`, or all images of the annotation file.

        Returns:
            `METRICS`, with masks also `MASK_METRICS`, and for every category
            `AP/NAME` and `mask_AP/NAME`, in [0, 1]. As in pycocotools, a metric without
            any ground truth is -1.
        """
        metrics = self._metrics("bbox", "", self.results, image_ids)
        if self._with_masks:
            # Small, medium and large are told apart by area: if there is a box,
            # pycocotools takes the area of the box instead of the mask's.
            results = [
                {name: value for name, value in row.items() if name != "bbox"}
                for row in self.results
            ]
            metrics |= self._metrics("segm", "mask_", results, image_ids)
        return metrics

    def _metrics(
        self,
        kind: str,
        prefix: str,
        results: list[dict[str, Any]],
        image_ids: Iterable[int] | None,
    ) -> dict[str, float]:
        evaluation = coco_metrics.evaluate(self._ground_truth, results, kind, image_ids)
        metrics = {
            f"{prefix}{name}": float(value)
            for name, value in zip(METRICS, evaluation.stats, strict=True)
        }
        # Thresholds, recalls, categories, areas (first: all), numbers (last: 100).
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        uses = collections.Counter(self.categories.values())
        for place, category_id in enumerate(evaluation.params.catIds):
            values = precision[:, :, place]
            label = self.categories[category_id]
            # Of two categories with one name, the second would hide the first.
            label = label if uses[label] == 1 else f"{label} ({category_id})"
            name = f"{prefix}AP/{label}"
            metrics[name] = coco_metrics.mean(values[values > UNDEFINED])
        return metrics


def format_table(metrics: Mapping[str, float], canvas: str) -> str:
    """Lays the metrics of `evaluate` out as a plain-text table.

    Args:
        metrics: What `evaluate` returned.
        canvas: The size that images are made to fit, in words.
    """
    columns = METRICS[:6] + METRICS[8:9]
    kinds = [("boxes", ""), ("masks", "mask_")]
    kinds = [(name, prefix) for name, prefix in kinds if f"{prefix}AP" in metrics]
    lines = [
        f"COCO {' and '.join(name for name, _ in kinds)}, canvas: {canvas}",
        " " * 6 + " ".join(f"{column:>8}" for column in columns),
    ]
    for name, prefix in kinds:
        values = [metrics[prefix + column] for column in columns]
        lines.append(f"{name:6}" + " ".join(f"{format_value(v):>8}" for v in values))
    categories = [name[3:] for name in metrics if name.startswith("AP/")]
    if len(categories) > _LISTED_CATEGORIES:
        return "\n".join(
            [
                *lines,
                f"AP of each of the {len(categories)} categories: see metrics.json",
            ]
        )
    width = max(map(len, categories), default=0)
    for category in categories:
        shown = [
            f"{format_value(metrics[f'{prefix}AP/{category}'])} ({name})"
            for name, prefix in kinds
        ]
        lines.append(f"AP of {category:<{width}}  {'  '.join(shown)}")
    return "\n".join(lines)


def _ground_truth(objects: CocoObjects, category_ids: Container[int]) -> COCO:
    """What COCOeval reads of these categories."""
    annotations: list[dict[str, Any]] = []
    for image_id, some in objects.objects.items():
        for found in some:
            if found.category_id not in category_ids:
                continue
            annotation = {
                # To COCOeval, a match with id 0 is no match: count from 1.
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": found.category_id,
                "bbox": found.annotated_bbox,
                "area": found.area,
                "iscrowd": int(found.iscrowd),
            }
            if found.rle:
                annotation["segmentation"] = found.rle
            annotations.append(annotation)
    images = [
        {"id": image.id, "height": image.height, "width": image.width}
        for image in objects.images
    ]
    categories = [
        {"id": number, "name": name}
        for number, name in objects.categories.items()
        if number in category_ids
    ]
    return index(
        {"images": images, "categories": categories, "annotations": annotations}
    )
