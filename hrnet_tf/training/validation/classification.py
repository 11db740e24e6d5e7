"""What the Garden's image classification needs."""

from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask
from official.vision.dataloaders.tfds_classification_decoders import (
    TFDS_ID_TO_DECODER_MAP,
)

from hrnet_tf.training.validation import backbone, choices, inputs, trainer


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of the Garden's image classification task."""
    task = params.task
    yield from backbone.mistakes(task, classifies=True)
    if task.model.backbone.type == "hrnet":
        yield from backbone.input_size_mistakes(task.model.input_size)
    yield from inputs.data_mistakes(task, trains, evaluates)
    yield from choices.above_0("task.model", task.model, "num_classes")
    yield from backbone.image_shape_mistakes(task.model.input_size)
    for name in ("train_data", "validation_data"):
        if tfds_name := getattr(task, name).tfds_name:
            yield from choices.one_of(
                f"task.{name}.tfds_name", tfds_name, TFDS_ID_TO_DECODER_MAP
            )
    yield from trainer.best_metric_mistakes(params.trainer, _metric_names(task))


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
