"""Opens exported models, SavedModels and .tflite files."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.serving import metadata as metadata_lib
from hrnet_tf.serving.metadata import AnyMetadata, ModelError
from hrnet_tf.serving.tflite_metadata import read_metadata


@dataclasses.dataclass(frozen=True)
class LoadedSavedModel:
    """A SavedModel.

    Attributes:
        metadata: What it says of itself.
        signatures: Its functions by name.
        model: What they belong to: without it they lose their constants.
    """

    metadata: AnyMetadata
    signatures: Mapping[str, Callable[..., dict[str, tf.Tensor]]]
    model: Any


@dataclasses.dataclass(frozen=True)
class LoadedTFLite:
    """A .tflite file.

    Attributes:
        metadata: What it says of itself.
        run: Maps inputs, by name, to outputs by name.
        outputs: Their names.
    """

    metadata: AnyMetadata
    run: Callable[..., dict[str, np.ndarray]]
    outputs: tuple[str, ...]


def load_model(
    path: str, num_threads: int | None = None
) -> LoadedSavedModel | LoadedTFLite:
    """Loads a model that `python -m hrnet_tf.export` wrote.

    Args:
        path: A .tflite file, a SavedModel, or a directory of numbered SavedModels, of
            which the highest number is taken.
        num_threads: CPU threads for a .tflite file; as many as there are cores if None.

    Raises:
        ModelError: If there is no such model.
    """
    if os.path.isfile(path):
        return _load_tflite(path, num_threads)
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
    return _load_saved_model(path)


def _load_saved_model(path: str) -> LoadedSavedModel:
    asset = os.path.join(path, "assets", metadata_lib.FILE_NAME)
    try:
        with open(asset, encoding="utf-8") as file:
            metadata = metadata_lib.metadata_from_json(file.read(), path)
    except OSError as error:
        raise ModelError(
            f"{path} was not exported by hrnet_tf: it has no {asset}."
        ) from error
    try:
        model = tf.saved_model.load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded: {reason}") from error
    return LoadedSavedModel(metadata, model.signatures, model)


def _load_tflite(path: str, num_threads: int | None) -> LoadedTFLite:
    with open(path, "rb") as file:
        content = file.read()
    metadata = read_metadata(content, path)
    interpreter = Interpreter(
        model_content=content, num_threads=num_threads or os.cpu_count()
    )
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    return LoadedTFLite(metadata, run, tuple(run.get_output_details()))
