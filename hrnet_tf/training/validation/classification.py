"""What the Garden's image classification needs."""

from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask
from official.vision.dataloaders.tfds_classification_decoders import (
    TFDS_ID_TO_DECODER_MAP,
)

from hrnet_tf.tasks.evaluation import VALIDATION_LOSS
from hrnet_tf.training.validation import (
    augmentation,
    backbone,
    choices,
    inputs,
    labels,
    trainer,
)


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of the Garden's image classification task."""
    task = params.task
    yield from backbone.mistakes(task, classifies=True)
    if task.model.backbone.type == "hrnet":
        yield from backbone.input_size_mistakes(task.model.input_size)
    yield from choices.above_0("task.model", task.model, "num_classes")
    yield from backbone.image_shape_mistakes(task.model.input_size)
    yield from _loss_mistakes(task)
    roles = {"train_data": trains, "validation_data": evaluates}
    for name in roles:
        if tfds_name := getattr(task, name).tfds_name:
            yield from choices.one_of(
                f"task.{name}.tfds_name", tfds_name, TFDS_ID_TO_DECODER_MAP
            )
        yield from augmentation.classification_mistakes(
            f"task.{name}", getattr(task, name)
        )
    yield from _validation_mistakes(task)
    yield from _evaluation_mistakes(task)
    unreadable = list(inputs.data_mistakes(task, trains, evaluates))
    yield from unreadable
    for name, is_needed in roles.items():
        if is_needed and not unreadable and not getattr(task, name).tfds_name:
            yield from labels.class_mistakes(task, name)
    yield from trainer.best_metric_mistakes(params.trainer, _metric_names(task))


def _loss_mistakes(task: ImageClassificationTask) -> Iterator[str]:
    """Checks that the loss gets labels of the form that the data has.

    Mixed images have a share of each class; other images have the number of one class,
    which `one_hot` turns into shares.
    """
    losses, data = task.losses, task.train_data
    path, mixes = "task.losses", data.mixup_and_cutmix is not None
    if data.is_multilabel:
        for name in ("mixup_and_cutmix", "tfds_name"):
            if getattr(data, name):
                yield (
                    f"task.train_data.is_multilabel is true, which does not go with "
                    f"task.train_data.{name}; one of them must be left out."
                )
    elif mixes and (losses.one_hot or not losses.soft_labels):
        yield (
            f"{path}.one_hot is {_word(losses.one_hot)} and soft_labels "
            f"{_word(losses.soft_labels)}; with task.train_data.mixup_and_cutmix, "
            "one_hot must be false and soft_labels true."
        )
    elif not mixes and not losses.one_hot:
        for name in ("soft_labels", "use_binary_cross_entropy"):
            if getattr(losses, name):
                yield (
                    f"{path}.one_hot is false, but {name} true; one_hot must be true, "
                    "unless task.train_data.mixup_and_cutmix is set."
                )


def _evaluation_mistakes(task: ImageClassificationTask) -> Iterator[str]:
    """Checks that precision and recall, if asked for, are measured."""
    if _thresholds(task) or not task.evaluation.precision_and_recall_thresholds:
        return
    condition = (
        "task.train_data.is_multilabel is true"
        if task.train_data.is_multilabel
        else "task.losses.one_hot and soft_labels are false"
    )
    yield (
        f"task.evaluation.precision_and_recall_thresholds is set, but {condition}: "
        "neither would be measured."
    )


def _thresholds(task: ImageClassificationTask) -> list[float]:
    """Where the Garden measures precision and recall."""
    has_shares = task.losses.one_hot or task.losses.soft_labels
    measures = has_shares and not task.train_data.is_multilabel
    return (measures and task.evaluation.precision_and_recall_thresholds) or []


def _validation_mistakes(task: ImageClassificationTask) -> Iterator[str]:
    """Checks what the Garden takes from `task.train_data`, or would do in vain."""
    train, validation = task.train_data, task.validation_data
    if validation.mixup_and_cutmix is not None:
        yield (
            "task.validation_data.mixup_and_cutmix is set; it must be null, since "
            "images to score are not mixed."
        )
    defaults = type(validation)()
    for name in ("image_field_key", "label_field_key", "is_multilabel"):
        value = getattr(validation, name)
        if value not in (getattr(train, name), getattr(defaults, name)):
            yield (
                f"task.validation_data.{name} is {value!r}, but the Garden takes "
                f"task.train_data.{name}, {getattr(train, name)!r}, for both; both "
                "must be the same."
            )


def _word(value: bool) -> str:
    return "true" if value else "false"


def _metric_names(task: ImageClassificationTask) -> list[str]:
    """What an evaluation reports, in the names that the task gives it."""
    if task.train_data.is_multilabel:
        return ["globalPR-AUC", "meanPR-AUC", VALIDATION_LOSS]
    thresholds = _thresholds(task)
    return [
        "accuracy",
        f"top_{task.evaluation.top_k}_accuracy",
        *(f"precision_at_threshold_{threshold}" for threshold in thresholds),
        *(f"recall_at_threshold_{threshold}" for threshold in thresholds),
        VALIDATION_LOSS,
    ]
