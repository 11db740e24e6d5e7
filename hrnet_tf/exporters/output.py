"""What an export writes: all of it under its name, or nothing."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import tensorflow as tf

from hrnet_tf.experiment import ConfigError


def check_output(path: str, overwrite: bool) -> None:
    """Refuses to replace what is there already, unless told to.

    Raises:
        ConfigError: If something is there.
    """
    is_empty = os.path.isdir(path) and not os.listdir(path)
    if os.path.exists(path) and not is_empty and not overwrite:
        raise ConfigError(
            f"{path} exists already: choose another --output_dir, or replace it with "
            "--overwrite."
        )


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[str]:
    """A name beside `path` for a file or folder that takes its name in the end.

    Where the `with` block fails, nothing is left of it.
    """
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    os.makedirs(folder or ".", exist_ok=True)
    try:
        yield partial
        _move(partial, path)
    finally:
        if os.path.isdir(partial):
            shutil.rmtree(partial)
        elif os.path.exists(partial):
            os.remove(partial)


def _move(partial: str, path: str) -> None:
    """Gives the finished output its name, in place of what had it."""
    if os.path.isdir(path):
        replaced = f"{partial}.replaced"
        os.rename(path, replaced)
        os.rename(partial, path)
        shutil.rmtree(replaced)
    else:
        os.replace(partial, path)


def size_in_bytes(path: str) -> int:
    """Of a file, or of all files of a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def checkpoint_bytes(prefix: str) -> int:
    """Of the files of a checkpoint."""
    return sum(tf.io.gfile.stat(f).length for f in tf.io.gfile.glob(f"{prefix}.*"))
