"""The predictors of all kinds of exported models; each is imported when it is needed.

`kinds` is the table for those who train and export. What is here predicts: it imports
no task, no configuration of an experiment and nothing of the Garden's trainer, which
would take a second.
"""

from collections.abc import Callable
from typing import NamedTuple

from hrnet_tf.serving.loading import (
    LoadedModel,
    LoadedSavedModel,
    LoadedTFLite,
    load_model,
)
from hrnet_tf.serving.metadata import ModelError, reading
from hrnet_tf.serving.predictor import DEFAULT_STYLE, Predictor, Style


class Makers(NamedTuple):
    """What makes predictors of one kind; each takes a loaded model and a style.

    Attributes:
        saved_model: For SavedModels.
        tflite: For .tflite files; None where there are none.
    """

    saved_model: Callable[..., Predictor]
    tflite: Callable[..., Predictor] | None


def _pose() -> Makers:
    from hrnet_tf.serving.pose import predictor

    return Makers(predictor.SavedModelPosePredictor, predictor.TFLitePosePredictor)


def _segmentation() -> Makers:
    from hrnet_tf.serving.segmentation import predictor

    return Makers(
        predictor.SavedModelSegmentationPredictor,
        predictor.TFLiteSegmentationPredictor,
    )


def _detection() -> Makers:
    from hrnet_tf.serving.detection import predictor

    return Makers(
        predictor.SavedModelDetectionPredictor, predictor.TFLiteDetectionPredictor
    )


def _people() -> Makers:
    from hrnet_tf.serving.people import predictor

    return Makers(predictor.PeoplePredictor, None)


# By the `task` in a model's hrnet_tf.json.
_MAKERS: dict[str, Callable[[], Makers]] = {
    "pose": _pose,
    "segmentation": _segmentation,
    "detection": _detection,
    "people": _people,
}


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
    name = model.description["task"]
    with reading(model.path):
        saved_model, tflite = _MAKERS[name]()
    make = {LoadedSavedModel: saved_model, LoadedTFLite: tflite}[type(model)]
    if make is None:
        raise ModelError(
            f"{model.path} is a {name} model, which cannot be loaded from such a file."
        )
    return make(model, style)
