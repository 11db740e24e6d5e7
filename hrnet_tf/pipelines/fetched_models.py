"""Exported models that lie at an address, copied to this machine to be loaded.

`hrnet_tf.load` checks the files of a model, and opens them where they are: here. Runs
and checkpoints are read by TensorFlow, wherever they are.
"""

import atexit
import dataclasses
import os
import shutil
import tempfile

import tensorflow as tf

from hrnet_tf.api.chosen_model import ChosenModel
from hrnet_tf.input_files import is_remote, names_in, open_input
from hrnet_tf.messages import UserError, one_line


class FetchError(UserError):
    """A model at an address that cannot be copied."""


def fetched(chosen: ChosenModel) -> ChosenModel:
    """The same model and detector, on this machine until the process ends.

    Raises:
        FetchError: If one of them cannot be read.
    """
    detector = chosen.detector and _fetch(chosen.detector)
    return dataclasses.replace(chosen, model=_fetch(chosen.model), detector=detector)


def _fetch(path: str) -> str:
    if not is_remote(path):
        return path
    try:
        return _copied(path)
    except tf.errors.OpError as error:
        raise FetchError(f"{path} cannot be read: {one_line(error.message)}.") from None


def _copied(path: str) -> str:
    is_folder = tf.io.gfile.isdir(path)
    if is_folder:
        saved_model = _newest_in(path)
        if saved_model is None:
            return path  # A run.
        path = saved_model
    elif not tf.io.gfile.exists(path):
        return path  # A checkpoint, or nothing: who loads it tells.
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = os.path.join(folder, os.path.basename(path.rstrip("/")))
    if not is_folder:
        _copy(path, copy)
        return copy
    for parent, _, names in tf.io.gfile.walk(path):
        below = os.path.join(copy, os.path.relpath(parent, path))
        os.makedirs(below, exist_ok=True)
        for name in names:
            _copy(os.path.join(parent, name), os.path.join(below, name))
    return copy


def _newest_in(path: str) -> str | None:
    """The SavedModel that a folder is, or the last of numbered ones in it."""
    if tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
        return path
    numbers = [name for name in names_in(path) if name.isdecimal()]
    return os.path.join(path, max(numbers, key=int)) if numbers else None


def _copy(address: str, path: str) -> None:
    with open_input(address) as source, open(path, "wb") as file:
        shutil.copyfileobj(source, file)
