"""Opens exported models, SavedModels and .tflite files, whatever they do."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.messages import one_line
from hrnet_tf.serving import metadata, tflite_metadata
from hrnet_tf.serving.metadata import ModelError


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """An exported model.

    Attributes:
        path: Where it is from.
        description: The content of its hrnet_tf.json.
    """

    path: str
    description: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class LoadedSavedModel(LoadedModel):
    """A SavedModel.

    Attributes:
        signatures: Its functions by name.
        model: What they belong to: without it they lose their constants.
    """

    signatures: Mapping[str, Callable[..., dict[str, tf.Tensor]]]
    model: Any


@dataclasses.dataclass(frozen=True)
class LoadedTFLite(LoadedModel):
    """A .tflite file.

    Attributes:
        run: Maps inputs, by name, to outputs by name.
        outputs: The names of the outputs.
    """

    run: Callable[..., dict[str, np.ndarray]]
    outputs: tuple[str, ...]


def load_model(path: str, num_threads: int | None = None) -> LoadedModel:
    """Loads a model that `python -m hrnet_tf.export` wrote.

    Args:
        path: A .tflite file, a SavedModel, or a directory of numbered SavedModels, of
            which the highest number is taken.
        num_threads: CPU threads for a .tflite file; as many as there are cores if None.

    Returns:
        A `LoadedSavedModel` or a `LoadedTFLite`.

    Raises:
        ModelError: If there is no such model.
    """
    if os.path.isfile(path):
        return load_tflite(path, num_threads)
    if not os.path.isdir(path):
        raise ModelError(
            f"There is no model {path}: give the directory or the .tflite file that "
            "python -m hrnet_tf.export wrote."
        )
    if not tf.saved_model.contains_saved_model(path):
        versions = [name for name in os.listdir(path) if name.isdigit()]
        if not versions:
            raise ModelError(
                f"{path} holds no SavedModel: there is neither a saved_model.pb in it "
                "nor a numbered directory of a version."
            )
        path = os.path.join(path, max(versions, key=int))
    return load_saved_model(path)


def load_saved_model(path: str) -> LoadedSavedModel:
    """Loads a SavedModel from its own directory.

    Raises:
        ModelError: If it cannot be loaded, or this package did not export it.
    """
    asset = os.path.join(path, "assets", metadata.FILE_NAME)
    try:
        with open(asset, "rb") as file:
            description = metadata.parse(file.read(), path)
    except OSError as error:
        raise ModelError(
            f"{path} was not exported by hrnet_tf: it has no {asset}."
        ) from error
    try:
        model = tf.saved_model.load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded: {reason}") from error
    return LoadedSavedModel(path, description, model.signatures, model)


def load_tflite(path: str, num_threads: int | None = None) -> LoadedTFLite:
    """Loads a .tflite file; see `load_model`.

    Raises:
        ModelError: If it cannot be loaded, or this package did not export it.
    """
    with open(path, "rb") as file:
        content = file.read()
    description = tflite_metadata.read_description(content, path)
    try:
        interpreter = Interpreter(
            model_content=content, num_threads=num_threads or os.cpu_count()
        )
        interpreter.allocate_tensors()
        run = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be loaded: {one_line(error)}") from error
    return LoadedTFLite(path, description, run, tuple(run.get_output_details()))
