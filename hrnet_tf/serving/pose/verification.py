"""Scores an exported pose model and its checkpoint on the same people."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.evaluation.people import PREDICTED, PeopleEvaluator
from hrnet_tf.ops import affine
from hrnet_tf.ops.images import decode_image
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.serving.verification import (
    Score,
    evaluate_checkpoint,
    evaluate_exported,
)
from hrnet_tf.tasks.pose import PoseTask


def score_checkpoint(task: PoseTask, model: tf_keras.Model, max_images: int) -> Score:
    """Evaluates a model on the people of the first images of the validation data.

    Args:
        task: The task, with the flip test as the exported model will have it.
        model: The model.
        max_images: How many images, counting those with people; 0 for all.
    """
    evaluator = task.build_evaluator()
    image_ids, num_people = evaluate_checkpoint(
        task, model, evaluator, PREDICTED, max_images
    )
    return _score(evaluator, image_ids, max_images, num_people)


def score_exported(
    task: PoseTask, predictor: PosePredictor, checkpoint: Score, max_images: int
) -> Score:
    """Evaluates an exported model on the images of `score_checkpoint`'s answer.

    Args:
        task: The task.
        predictor: The exported model.
        checkpoint: The checkpoint's score.
        max_images: As for `score_checkpoint`.
    """
    data, config = task.task_config.validation_data, task.task_config
    height, width = config.model.input_size

    def predict(record: dict[str, tf.Tensor]) -> dict[str, Any]:
        image = decode_image(record["encoded"])
        boxes = record["boxes"].numpy()
        keypoints, _ = predictor.predict_people(image.numpy(), boxes)
        _, size = affine.box_to_center_size(boxes, width / height, data.box_padding)
        return {
            "image_id": np.full(len(boxes), int(record["image_id"])),
            "person_id": record["person_id"].numpy(),
            "keypoints": keypoints,
            "box_score": record["scores"].numpy(),
            "area": np.prod(size, axis=-1),
        }

    images = PoseInput(data, config.codec, config.model.input_size, task.skeleton)
    evaluator = task.build_evaluator()
    num_people = evaluate_exported(
        predict, images.images(), evaluator, checkpoint.image_ids
    )
    return _score(evaluator, checkpoint.image_ids, max_images, num_people)


def _score(
    evaluator: PeopleEvaluator,
    image_ids: tuple[int, ...],
    max_images: int,
    num_people: int,
) -> Score:
    # Without a limit, images whose people have no boxes count as in any evaluation.
    is_limited = 0 < max_images <= len(image_ids)
    metrics = evaluator.evaluate(image_ids if is_limited else None)
    sample = f"{num_people} people in {len(image_ids)} images"
    metric = evaluator.main_metric
    name, is_error = metric.removeprefix("keypoint_"), evaluator.lower_is_better
    return Score(name, metrics[metric], num_people, sample, image_ids, is_error)
