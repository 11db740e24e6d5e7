"""Scores an exported pose model and its checkpoint on the same people."""

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.ops import affine
from hrnet_tf.progress import Progress
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.pose import PoseTask


def score_checkpoint(task: PoseTask, model: tf_keras.Model, max_images: int) -> Score:
    """Evaluates a model on the people of the first images of the validation data.

    Args:
        task: The task, with the flip test as it is to be exported.
        model: The model.
        max_images: How many images, counting those with people; 0 for all.
    """
    evaluator = task.build_evaluator()
    step = tf.function(lambda inputs: task.validation_step(inputs, model))
    image_ids: dict[int, None] = {}  # In order.
    num_people = 0
    with Progress(None, "Evaluating the checkpoint", unit="crop") as progress:
        for inputs in task.build_inputs(task.task_config.validation_data):
            predictions = {
                name: values.numpy()
                for name, values in step(inputs).items()
                if name in ("image_id", "keypoints", "box_score", "area")
            }
            batch_ids = predictions["image_id"]
            for image_id in batch_ids[batch_ids != PADDING_ID].tolist():
                if image_id in image_ids or not 0 < max_images <= len(image_ids):
                    image_ids[image_id] = None
            counted = np.isin(batch_ids, list(image_ids))
            evaluator.update({name: v[counted] for name, v in predictions.items()})
            num_people += int(counted.sum())
            progress.advance(int(counted.sum()))
            if not counted.all() and 0 < max_images <= len(image_ids):
                break
    return _score(evaluator, tuple(image_ids), max_images, num_people)


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
    images = PoseInput(
        data, config.codec, config.model.input_size, task.skeleton
    ).images()
    evaluator = task.build_evaluator()
    wanted = set(checkpoint.image_ids)
    num_people = 0
    with Progress(len(wanted), "Evaluating the exported model") as progress:
        for record in images:
            image_id = int(record["image_id"])
            if image_id not in wanted:
                continue
            image = tf.io.decode_image(
                record["encoded"], channels=3, expand_animations=False
            )
            boxes = record["boxes"].numpy()
            keypoints, _ = predictor.predict_people(image.numpy(), boxes)
            _, size = affine.box_to_center_size(boxes, width / height, data.box_padding)
            evaluator.update(
                {
                    "image_id": np.full(len(boxes), image_id),
                    "keypoints": keypoints,
                    "box_score": record["scores"].numpy(),
                    "area": np.prod(size, axis=-1),
                }
            )
            num_people += len(boxes)
            progress.advance()
            wanted.remove(image_id)
            if not wanted:
                break
    return _score(evaluator, checkpoint.image_ids, max_images, num_people)


def _score(
    evaluator: COCOKeypointEvaluator,
    image_ids: tuple[int, ...],
    max_images: int,
    num_people: int,
) -> Score:
    # Without a limit, images whose people have no boxes count as in any evaluation.
    is_limited = 0 < max_images <= len(image_ids)
    metrics = evaluator.evaluate(image_ids if is_limited else None)
    sample = f"{num_people} people in {len(image_ids)} images"
    return Score("AP", metrics["keypoint_AP"], num_people, sample, image_ids)
