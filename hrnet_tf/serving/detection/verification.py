"""Scores an exported detector and its checkpoint on the same images."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.records.instances import read_images
from hrnet_tf.evaluation.coco_instances import COCOInstanceEvaluator
from hrnet_tf.serving.detection.predictor import DetectionPredictor
from hrnet_tf.serving.verification import (
    Score,
    evaluate_checkpoint,
    evaluate_exported,
)
from hrnet_tf.tasks.detection import DetectionTask

_READ = ("image_id", "boxes", "classes", "scores", "num_detections")
_READ_WITH_MASKS = (*_READ, "masks", "image_size")


def score_checkpoint(
    task: DetectionTask, model: tf_keras.Model, max_images: int
) -> Score:
    """Evaluates a model on the first validation images.

    Args:
        task: The task.
        model: The model.
        max_images: How many images; 0 for all.
    """
    evaluator = task.build_evaluator()
    names = _READ_WITH_MASKS if task.has_masks else _READ
    image_ids, _ = evaluate_checkpoint(task, model, evaluator, names, max_images)
    return _score(evaluator, image_ids)


def score_exported(
    task: DetectionTask, predictor: DetectionPredictor, checkpoint: Score
) -> Score:
    """Evaluates an exported model on the images of `score_checkpoint`'s answer."""

    def predict(record: dict[str, tf.Tensor]) -> dict[str, Any]:
        image = record["image"].numpy()
        found = predictor.predict_image(image)
        return {
            "image_id": [int(record["image_id"])],
            "num_detections": [len(found.scores)],
            "boxes": [found.boxes],
            "classes": [found.classes],
            "scores": [found.scores],
            "image_size": [np.array(image.shape[:2])],
            "masks": [found.masks],
        }

    evaluator = task.build_evaluator()
    images = read_images(task.task_config.validation_data)
    evaluate_exported(predict, images, evaluator, checkpoint.image_ids)
    return _score(evaluator, checkpoint.image_ids)


def _score(evaluator: COCOInstanceEvaluator, image_ids: tuple[int, ...]) -> Score:
    metrics = evaluator.evaluate(image_ids)
    count = len(image_ids)
    return Score("AP", metrics["AP"], count, f"{count} images", image_ids)
