"""What image classification needs."""

from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask
from official.vision.dataloaders.tfds_classification_decoders import (
    TFDS_ID_TO_DECODER_MAP,
)

from hrnet_tf.training.validation.choices import choice_mistakes


def mistakes(params: cfg.ExperimentConfig) -> Iterator[str]:
    """Checks an experiment of the Garden's image classification task."""
    task, trainer = params.task, params.trainer
    if task.model.num_classes <= 0:
        yield (
            f"task.model.num_classes is {task.model.num_classes}; it must be above 0."
        )
    size = task.model.input_size
    if len(size) != 3 or None in size or size[2] != 3:
        yield f"task.model.input_size is {size}; it must be [height, width, 3]."
    for name in ("train_data", "validation_data"):
        if tfds_name := getattr(task, name).tfds_name:
            yield from choice_mistakes(
                f"task.{name}.tfds_name", tfds_name, TFDS_ID_TO_DECODER_MAP
            )
    if trainer.best_checkpoint_export_subdir:
        yield from choice_mistakes(
            "trainer.best_checkpoint_eval_metric",
            trainer.best_checkpoint_eval_metric,
            _metric_names(task),
        )


def _metric_names(task: ImageClassificationTask) -> list[str]:
    """What an evaluation reports, in the names that the task gives it."""
    if task.train_data.is_multilabel:
        return ["globalPR-AUC", "meanPR-AUC", "validation_loss"]
    thresholds = task.evaluation.precision_and_recall_thresholds or []
    return [
        "accuracy",
        f"top_{task.evaluation.top_k}_accuracy",
        *(f"precision_at_threshold_{threshold}" for threshold in thresholds),
        *(f"recall_at_threshold_{threshold}" for threshold in thresholds),
        "validation_loss",
    ]
