"""Scores an exported segmentation model and its checkpoint on the same images."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.evaluation.segmentation import SegmentationEvaluator
from hrnet_tf.ops import dense_prediction
from hrnet_tf.progress import Progress
from hrnet_tf.serving.segmentation.predictor import SegmentationPredictor
from hrnet_tf.serving.verification import Score
from hrnet_tf.tasks.segmentation import SegmentationTask


def score_checkpoint(
    task: SegmentationTask, model: tf_keras.Model, max_images: int
) -> Score:
    """Evaluates a model on the first validation images.

    Args:
        task: The task, configured to evaluate as the exported model will.
        model: The model.
        max_images: How many images; 0 for all.
    """
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    predict = tf.function(
        lambda image: tf.argmax(task.predict_image(model, image), axis=-1),
        input_signature=[spec],
    )
    return _score(task, predict, max_images, "Evaluating the checkpoint")


def score_exported(
    task: SegmentationTask, predictor: SegmentationPredictor, max_images: int
) -> Score:
    """Evaluates an exported model on the same images."""

    def predict(image: tf.Tensor) -> np.ndarray:
        return predictor.predict_image(image.numpy()).labels

    return _score(task, predict, max_images, "Evaluating the exported model")


def _score(
    task: SegmentationTask,
    predict: Callable[[tf.Tensor], tf.Tensor | np.ndarray],
    max_images: int,
    description: str,
) -> Score:
    evaluator = SegmentationEvaluator(task.label_set.classes)
    images = task.read(task.task_config.validation_data).images()
    count = 0
    with Progress(max_images or None, description) as progress:
        for example in images.take(max_images or -1):
            predicted = tf.cast(predict(example["image"]), tf.int32)
            evaluator.update(
                dense_prediction.confusion_matrix(
                    example["labels"],
                    predicted,
                    task.label_set.num_classes,
                    task.task_config.losses.ignore_label,
                ).numpy()
            )
            count += 1
            progress.advance()
    return Score("mIoU", evaluator.evaluate()["mean_iou"], count, f"{count} images", ())
