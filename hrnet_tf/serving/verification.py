"""Compares an exported model with the checkpoint that it was made from.

Both predict the same people of the validation records: the checkpoint as in an
evaluation, the exported model as an app would call it, with images and boxes. Both are
scored by the same evaluator.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.ops import affine
from hrnet_tf.progress import Progress
from hrnet_tf.serving.predictor import PosePredictor
from hrnet_tf.tasks.pose import PoseTask

# Maps may differ by this share of their standard deviation, as float32 arithmetic
# does when its operations are reordered.
MAX_MAP_DIFFERENCE = 1e-4


class VerificationError(ValueError):
    """An exported model does not do what its checkpoint does."""


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model did.

    Attributes:
        metric: What is compared, AP or mIoU.
        value: The metric.
        count: What was predicted: people or images.
        sample: On what, in words.
        image_ids: Of pose: the images that were counted.
    """

    metric: str
    value: float
    count: int
    sample: str
    image_ids: tuple[int, ...]


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
            for image_id in batch_ids[batch_ids != pose_input.PADDING_ID].tolist():
                if image_id in image_ids or not 0 < max_images <= len(image_ids):
                    image_ids[image_id] = None
            counted = np.isin(batch_ids, list(image_ids))
            evaluator.update({name: v[counted] for name, v in predictions.items()})
            num_people += int(counted.sum())
            progress.advance(int(counted.sum()))
            if not counted.all() and 0 < max_images <= len(image_ids):
                break
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
    images = pose_input.PoseInput(
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
            keypoints, _ = predictor.predict(image.numpy(), boxes)
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


def check_loss(checkpoint: Score, exported: Score, max_loss: float) -> None:
    """Refuses an exported model that loses too much.

    Raises:
        VerificationError: If its metric is lower by more than `max_loss`.
    """
    loss = checkpoint.value - exported.value
    if exported.count != checkpoint.count:
        raise VerificationError(
            f"The checkpoint predicted {checkpoint.sample} and the exported model "
            f"{exported.sample}."
        )
    if loss > max_loss:
        raise VerificationError(
            f"The exported model loses {loss:.4f} {checkpoint.metric} "
            f"({checkpoint.value:.4f} to {exported.value:.4f}), more than the "
            f"{max_loss:g} that --max_loss allows; nothing was written."
        )


def check_maps(expected: np.ndarray, received: np.ndarray, maps: str) -> float:
    """Compares heatmaps or logits of a float32 graph with the checkpoint's.

    Args:
        expected: The checkpoint's.
        received: The exported model's.
        maps: What they are, for messages.

    Returns:
        The greatest difference as a share of the standard deviation.

    Raises:
        VerificationError: If it is above `MAX_MAP_DIFFERENCE`.
    """
    difference = float(np.abs(received - expected).max() / np.std(expected))
    if not difference <= MAX_MAP_DIFFERENCE:  # NaN neither.
        raise VerificationError(
            f"The exported {maps} differ from the checkpoint's by {difference:.1e} "
            f"of their standard deviation, more than {MAX_MAP_DIFFERENCE:.0e}; "
            "nothing was written."
        )
    return difference


def latency(call: Callable[[], object], runs: int = 20) -> float:
    """Median duration of a call in milliseconds, after two calls to warm up."""
    call(), call()
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return 1e3 * float(np.median(durations))


def _score(
    evaluator: COCOKeypointEvaluator,
    image_ids: dict[int, None] | tuple[int, ...],
    max_images: int,
    num_people: int,
) -> Score:
    image_ids = tuple(image_ids)
    # Without a limit, images whose people have no boxes count as in any evaluation.
    is_limited = 0 < max_images <= len(image_ids)
    metrics = evaluator.evaluate(image_ids if is_limited else None)
    sample = f"{num_people} people in {len(image_ids)} images"
    return Score("AP", metrics["keypoint_AP"], num_people, sample, image_ids)
