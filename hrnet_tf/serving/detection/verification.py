"""Scores an exported detector and its checkpoint on the same images."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.data.records.instances import read_images
from hrnet_tf.evaluation.coco_instances import COCOInstanceEvaluator
from hrnet_tf.progress import Progress
from hrnet_tf.serving.detection.predictor import DetectionPredictor
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.detection import DetectionTask


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
    step = tf.function(lambda inputs: task.validation_step(inputs, model))
    image_ids: list[int] = []
    with Progress(max_images or None, "Evaluating the checkpoint") as progress:
        for inputs in task.build_inputs(task.task_config.validation_data):
            found = {name: values.numpy() for name, values in step(inputs).items()}
            for place, image_id in enumerate(found["image_id"].tolist()):
                if image_id == PADDING_ID or 0 < max_images <= len(image_ids):
                    found["image_id"][place] = PADDING_ID
                else:
                    image_ids.append(image_id)
                    progress.advance()
            evaluator.update(found)
            if 0 < max_images <= len(image_ids):
                break
    return _score(evaluator, tuple(image_ids))


def score_exported(
    task: DetectionTask, predictor: DetectionPredictor, checkpoint: Score
) -> Score:
    """Evaluates an exported model on the images of `score_checkpoint`'s answer."""
    evaluator = task.build_evaluator()
    wanted = set(checkpoint.image_ids)
    with Progress(len(wanted), "Evaluating the exported model") as progress:
        for example in read_images(task.task_config.validation_data):
            if not wanted:
                break
            image_id = int(example["image_id"])
            if image_id not in wanted:
                continue
            image = example["image"].numpy()
            found = predictor.predict_image(image)
            detections: dict[str, Any] = {
                "image_id": [image_id],
                "num_detections": [len(found.scores)],
                "boxes": [found.boxes],
                "classes": [found.classes],
                "scores": [found.scores],
                "image_size": [np.array(image.shape[:2])],
                "masks": [found.masks],
            }
            evaluator.update(detections)
            wanted.remove(image_id)
            progress.advance()
    return _score(evaluator, checkpoint.image_ids)


def _score(evaluator: COCOInstanceEvaluator, image_ids: tuple[int, ...]) -> Score:
    metrics = evaluator.evaluate(image_ids)
    count = len(image_ids)
    return Score("AP", metrics["AP"], count, f"{count} images", image_ids)
