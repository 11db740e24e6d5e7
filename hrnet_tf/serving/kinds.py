"""The one table of all kinds of models; the folder of each describes it."""

from typing import Any

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask

from hrnet_tf.serving.detection.kind import DETECTION
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.loading import (
    LoadedModel,
    LoadedSavedModel,
    LoadedTFLite,
    load_model,
)
from hrnet_tf.serving.metadata import ModelError, reading
from hrnet_tf.serving.people.kind import PEOPLE
from hrnet_tf.serving.pose.kind import POSE
from hrnet_tf.serving.predictor import DEFAULT_STYLE, Predictor, Style
from hrnet_tf.serving.segmentation.kind import SEGMENTATION
from hrnet_tf.training.validation import classification as classification_validation

# Trained and evaluated by the Garden's own task, and not exported.
_CLASSIFICATION = Kind(
    name="classification",
    mistakes=classification_validation.mistakes,
    configs=(ImageClassificationTask,),
)
_ANY_OF_THE_GARDEN = Kind(name="Model Garden", configs=(cfg.TaskConfig,))

# The first that fits a configuration counts.
KINDS = {
    kind.name: kind
    for kind in (
        POSE,
        SEGMENTATION,
        DETECTION,
        PEOPLE,
        _CLASSIFICATION,
        _ANY_OF_THE_GARDEN,
    )
}


def kind_of(config: cfg.TaskConfig) -> Kind:
    """The kind of the models that a task with this configuration trains."""
    return next(kind for kind in KINDS.values() if isinstance(config, kind.configs))


def load_predictor(
    path: str,
    num_threads: int | None = None,
    style: Style = DEFAULT_STYLE,
    verify: bool = True,
) -> Predictor:
    """Loads a model that `python -m hrnet_tf.export` or `hrnet_tf.join` wrote.

    Args:
        path: See `loading.load_model`.
        num_threads: See `loading.load_model`.
        style: How predictions are told and drawn.
        verify: See `loading.load_model`.

    Raises:
        ModelError: If there is no such model.
    """
    return predictor_of(load_model(path, num_threads, verify), style)


def predictor_of(model: LoadedModel, style: Style = DEFAULT_STYLE) -> Predictor:
    """Makes a predictor of a loaded model.

    Raises:
        ModelError: If this package does not know the kind.
    """
    with reading(model.path):
        kind = KINDS[model.description["task"]]
    makers: dict[type, Any] = {
        LoadedSavedModel: kind.saved_model,
        LoadedTFLite: kind.tflite,
    }
    make = makers[type(model)]
    if make is None:
        raise ModelError(
            f"{model.path} is a {kind.name} model, which cannot be loaded from such a "
            "file."
        )
    return make(model, style)
