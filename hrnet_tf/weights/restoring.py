"""Restores parts of a model from our own checkpoints, each part as a whole.

TensorFlow restores what has the same name on both sides and leaves the rest at its
initial values. Training from half a backbone looks like training from scratch, only
worse; so everything asked for must be there, and the log says how much was restored.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from hrnet_tf.input_files import InputFileError
from hrnet_tf.messages import UserError, one_line
from hrnet_tf.weights import descriptions, whole_checkpoints
from hrnet_tf.weights.whole_checkpoints import DamagedCheckpointError

ALL = "all"

_log = logging.getLogger(__name__)


class CheckpointError(UserError):
    """A checkpoint that does not hold what is asked for."""


def find_checkpoint(path: str) -> str | None:
    """The prefix `path`, or a directory's newest whole checkpoint; None without one.

    Raises `DamagedCheckpointError` if a directory's checkpoints are all damaged.
    """
    if tf.io.gfile.isdir(path):
        return whole_checkpoints.newest(path)
    return path if tf.io.gfile.exists(f"{path}.index") else None


def load_modules(
    model: tf_keras.Model, path: str, modules: str | Sequence[str] = ALL
) -> None:
    """Loads modules of a model; logs how many variables each has, and what is left out.

    Args:
        model: Has the Garden's `checkpoint_items`, a dict of its modules by name.
        path: Prefix of a checkpoint, or a directory, which stands for its latest one.
        modules: `all`, or names such as `backbone` and `decoder`.

    Raises:
        CheckpointError: If there is no checkpoint, the model has no such module, or
            any variable of the modules is missing or has another shape.
        DamagedCheckpointError: If its files cannot be read.
    """
    checkpoint = find_checkpoint(path)
    if checkpoint is None:
        raise CheckpointError(f"There is no checkpoint {path}.")
    path = checkpoint
    parts = module_parts(model, modules)
    restore(parts, path)
    for part_name, part in parts.items():
        if count := len(_variables(part)):
            restored = f"Restored {count} of {count} variables of {part_name}"
            _log.info("%s from %s.", restored, path)
    for part_name, item in model.checkpoint_items.items():
        count = len(_variables(item))
        if count and part_name not in parts and "model" not in parts:
            _log.info("Starts afresh: %s (%d variables).", part_name, count)


def module_parts(
    model: tf_keras.Model, modules: str | Sequence[str]
) -> dict[str, tf_keras.layers.Layer]:
    """The modules by their names in checkpoints.

    Raises `CheckpointError` if the model has no such module, or one has no variables.
    """
    items = model.checkpoint_items
    names = [modules] if isinstance(modules, str) else list(modules)
    if ALL in names:
        named = sum(len(_variables(item)) for item in items.values())
        # Some of the Garden's models name only some of their modules.
        return items if named == len(model.variables) else {"model": model}
    for name in names:
        if name not in items:
            raise CheckpointError(
                f"The model has no module {name!r}; it has {', '.join(items)}."
            )
        if not _variables(items[name]):
            raise CheckpointError(
                f"The module {name!r} of this model has no variables to restore."
            )
    return {name: items[name] for name in names}


def _variables(module: Any) -> list[tf.Variable]:
    """All variables of a module: a layer, a list of layers (cascades) or None."""
    layers = [layer for layer in tf.nest.flatten(module) if layer is not None]
    return [variable for layer in layers for variable in layer.variables]


def restore(parts: dict[str, tf_keras.layers.Layer], path: str) -> None:
    """Restores every variable of the parts, by their names in the checkpoint.

    Raises `CheckpointError` if a variable is missing or has another shape, and
    `DamagedCheckpointError`.
    """
    root = tf.train.Checkpoint(**parts)
    misfit = f"The checkpoint {path} does not fit the model"
    try:
        with whole_files(path):
            _check_networks(parts, path, misfit)
            matched = tf.train.CheckpointView(path).match(root)
            found = {id(item) for item in matched.values()}
            for name, part in parts.items():
                variables = _variables(part)
                missing = [item for item in variables if id(item) not in found]
                if missing:
                    total = len(variables)
                    held = sorted(tf.train.CheckpointView(path).children(0))
                    raise CheckpointError(
                        f"{misfit}: it has only {total - len(missing)} of {total} "
                        f"variables of {name}; {missing[0].name}, for example, is "
                        f"missing. It holds {', '.join(held)}."
                    )
            root.read(path).expect_partial().assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.InvalidArgumentError) as error:
        if isinstance(error, UserError):
            raise
        _silence_list_of_misfits()
        raise CheckpointError(f"{misfit}: {_reason(error)}.") from error


def _check_networks(
    parts: dict[str, tf_keras.layers.Layer], path: str, misfit: str
) -> None:
    """Raises `CheckpointError` if checkpoint and model are of networks of two kinds.

    Some of them would restore: one of fewer modules finds all of its own, and a head
    finds its weights whatever is between it and the backbone.
    """
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    asked = tuple(f"{name}/" for name in parts)
    held = descriptions.of_checkpoint(
        {key: shape for key, shape in shapes.items() if key.startswith(asked)}
    )
    wanted = descriptions.of_parts(parts.values())
    advice = (
        "Give the configuration that the checkpoint was trained with, or start from "
        "another."
    )
    if held and wanted and held != wanted:
        raise CheckpointError(
            f"{misfit}: it holds {held}, and the model is {wanted}. {advice}"
        )
    for name, part in parts.items():
        count = sum(
            key.startswith(f"{name}/") and "/.OPTIMIZER_SLOT/" not in key
            for key in shapes
        )
        if count and part is not None and not _variables(part):
            raise CheckpointError(
                f"{misfit}: it holds {count} variables of {name}, and the model's "
                f"{name}, {type(part).__name__}, has none. {advice}"
            )


@contextlib.contextmanager
def whole_files(path: str) -> Iterator[None]:
    """Raises `DamagedCheckpointError` if the files of a checkpoint cannot be read."""
    try:
        whole_checkpoints.check_files(path)
        yield
    except tf.errors.InvalidArgumentError:
        raise  # The files can be read; what they hold is not what is asked for.
    except (IndexError, InputFileError, tf.errors.OpError) as error:
        _silence_list_of_misfits()
        raise DamagedCheckpointError(
            f"The files of the checkpoint {path} are damaged or not all there: "
            f"{_reason(error)}. Copy them again, or take another checkpoint."
        ) from error


def _reason(error: Exception) -> str:
    return one_line(str(error).split("\n")[0]).rstrip(".")


def _silence_list_of_misfits() -> None:
    """Keeps TensorFlow from listing, after our sentence, all that was not restored.

    It does so when it forgets a restore that failed half-way, which gives nothing back
    that could be told to expect that.
    """
    log = tf.get_logger()
    if _is_no_list_of_misfits not in log.filters:
        log.addFilter(_is_no_list_of_misfits)


def _is_no_list_of_misfits(record: logging.LogRecord) -> bool:
    text = str(record.msg)
    return not text.startswith(
        (
            "Detecting that an object or model",
            "Value in checkpoint could not be found",
            "An attribute in the restored object could not be found",
        )
    )
