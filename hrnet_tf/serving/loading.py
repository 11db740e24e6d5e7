"""Opens exported models, SavedModels and .tflite files, whatever they do."""

import dataclasses
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.input_files import read_bytes
from hrnet_tf.messages import one_line
from hrnet_tf.serving import checksums, metadata, tflite_metadata
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.tensors import Interface, TensorType

# The name that a .tflite file's only signature has in `LoadedModel.interface`.
TFLITE_SIGNATURE = "serving_default"

# Runs a .tflite file once: what is damaged can end the process that does so.
_TRIAL = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

with open(sys.argv[1], "rb") as file:
    interpreter = Interpreter(model_content=file.read(), num_threads=1)
interpreter.allocate_tensors()
run = interpreter.get_signature_runner()
inputs = run.get_input_details()
run(**{name: np.zeros(tensor["shape"], tensor["dtype"])
       for name, tensor in inputs.items()})
"""
_TRIAL_SECONDS = 60

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """An exported model.

    Attributes:
        path: Where it is from.
        description: The content of its hrnet_tf.json.
        interface: What its signatures take and return.
    """

    path: str
    description: Mapping[str, Any]
    interface: Interface


@dataclasses.dataclass(frozen=True)
class LoadedSavedModel(LoadedModel):
    """A SavedModel.

    Attributes:
        signatures: Its functions by name.
        model: What they belong to: without it they lose their constants.
    """

    signatures: Mapping[str, Callable[..., dict[str, Any]]]
    model: Any

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What a signature returns for arrays, as arrays."""
        import tensorflow as tf

        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        outputs = self.signatures[signature](**tensors)
        return {name: tensor.numpy() for name, tensor in outputs.items()}


@dataclasses.dataclass(frozen=True)
class LoadedTFLite(LoadedModel):
    """A .tflite file.

    Attributes:
        run: Maps inputs, by name, to outputs by name.
        outputs: The names of the outputs.
    """

    run: Callable[..., dict[str, np.ndarray]]
    outputs: tuple[str, ...]


def load_model(
    path: str, num_threads: int | None = None, verify: bool = True
) -> LoadedModel:
    """Loads a model that `python -m hrnet_tf.export` wrote.

    Args:
        path: A .tflite file, a SavedModel, or a directory of numbered SavedModels, of
            which the highest number is taken.
        num_threads: CPU threads for a .tflite file; as many as there are cores if None.
        verify: Whether a model whose files are not as they were exported is refused;
            see `checksums`.

    Returns:
        A `LoadedSavedModel` or a `LoadedTFLite`.

    Raises:
        ModelError: If there is no such model.
    """
    if not os.path.exists(path):
        raise ModelError(
            f"There is no model {path}: give the directory or the .tflite file that "
            "python -m hrnet_tf.export wrote.",
            is_there=False,
        )
    if not os.path.isdir(path):
        return load_tflite(path, num_threads, verify)
    if not _is_saved_model(path):
        versions = [
            name
            for name in os.listdir(path)
            if name.isdecimal() and os.path.isdir(os.path.join(path, name))
        ]
        if not versions:
            raise ModelError(
                f"{path} holds no SavedModel: there is neither a saved_model.pb in it "
                "nor a numbered directory of a version.",
                is_there=False,
            )
        path = os.path.join(path, max(versions, key=int))
    return load_saved_model(path, verify)


def _is_saved_model(folder: str) -> bool:
    names = ("saved_model.pb", "saved_model.pbtxt")
    return any(os.path.exists(os.path.join(folder, name)) for name in names)


def load_saved_model(path: str, verify: bool = True) -> LoadedSavedModel:
    """Loads a SavedModel from its own directory.

    Raises:
        ModelError: If it cannot be loaded, was changed since it was exported, or this
            package did not export it.
    """
    is_listed = checksums.has_manifest(path)
    if verify and is_listed:
        checksums.check_folder(path)
    else:
        checksums.check_readable(path)
    asset = os.path.join(path, "assets", metadata.FILE_NAME)
    if not os.path.exists(asset):
        raise ModelError(f"{path} was not exported by hrnet_tf: it has no {asset}.")
    description = metadata.parse(read_bytes(asset, metadata.MAX_BYTES), path)
    if verify:
        _check_told(description, path, is_listed)
    import tensorflow as tf

    try:
        model = tf.saved_model.load(path)
    except Exception as error:  # What is damaged raises errors of any kind.
        raise _unloadable(path, error) from error
    interface = {
        name: {
            name: TensorType.of_spec(spec)
            for name, spec in (
                *function.structured_input_signature[1].items(),
                *function.structured_outputs.items(),
            )
        }
        for name, function in model.signatures.items()
    }
    return LoadedSavedModel(path, description, interface, model.signatures, model)


def load_tflite(
    path: str, num_threads: int | None = None, verify: bool = True
) -> LoadedTFLite:
    """Loads a .tflite file; see `load_model`.

    Raises:
        ModelError: If it cannot be loaded, was changed since it was exported, or this
            package did not export it.
    """
    content = read_bytes(path)
    tflite_metadata.check_kind(content, path)
    is_sealed = checksums.is_sealed(content)
    if verify and is_sealed:
        checksums.check_content(content, path)
    description = tflite_metadata.read_description(content, path)
    if verify:
        _check_told(description, path, is_sealed)
    if not (verify and is_sealed):
        _try(path)
    try:
        interpreter = Interpreter(
            model_content=content, num_threads=num_threads or os.cpu_count()
        )
        interpreter.allocate_tensors()
        run = interpreter.get_signature_runner()
        tensors = {**run.get_input_details(), **run.get_output_details()}
    except (ValueError, RuntimeError) as error:
        raise _unloadable(path, error) from error
    interface = {
        TFLITE_SIGNATURE: {
            name: TensorType(tensor["shape"].tolist(), np.dtype(tensor["dtype"]).name)
            for name, tensor in tensors.items()
        }
    }
    outputs = tuple(run.get_output_details())
    return LoadedTFLite(path, description, interface, run, outputs)


def _check_told(description: Mapping[str, Any], path: str, has_checksum: bool) -> None:
    """Compares what a model has with what it says of itself.

    Refuses one that lost its checksum; warns of one that never had any.
    """
    is_told = metadata.CHECKSUM in description
    if has_checksum and not is_told:
        raise checksums.untold(path)
    if has_checksum:
        return
    if is_told or metadata.has_checksums(description):
        raise checksums.lost(path)
    _log.warning(
        "%s has no checksum, since an earlier version of hrnet_tf exported it: damage "
        "to it may go unnoticed. Export it again.",
        path,
    )


def _try(path: str) -> None:
    """Runs a .tflite file in a process of its own.

    Raises:
        ModelError: If it cannot be run.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL, path],
            check=False,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"it did not answer within {_TRIAL_SECONDS} seconds"
        raise _unloadable(path, reason) from error
    if done.returncode < 0:
        raise _unloadable(path, "it ends the process that runs it")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _unloadable(path, lines[-1] if lines else "it cannot be run")


def _unloadable(path: str, reason: object) -> ModelError:
    text = str(reason).strip() or type(reason).__name__
    return ModelError(f"{path} cannot be loaded: {one_line(text.splitlines()[0])}")
