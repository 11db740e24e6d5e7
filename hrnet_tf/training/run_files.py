"""Files of a run, written whole or not at all wherever TensorFlow can write (gs://)."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from hrnet_tf.input_files import is_remote, names_in
from hrnet_tf.output_files import PARTIAL, naming, partial_name


@contextlib.contextmanager
def written(path: str) -> Iterator[str]:
    """Yields a name beside `path`, which becomes the file's name at the end."""
    import tensorflow as tf

    folder, name = os.path.split(path)
    partial = os.path.join(folder, partial_name(name))
    try:
        with naming(path, partial):
            yield partial
            tf.io.gfile.rename(partial, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.remove(partial)


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """Writes a JSON file."""
    import tensorflow as tf

    with written(path) as partial, tf.io.gfile.GFile(partial, "w") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.write("\n")


def remove_leftovers(folder: str) -> None:
    """Removes what processes that have ended were writing into a folder."""
    for name in names_in(folder):
        match = PARTIAL.fullmatch(name)
        if match and not _is_running(int(match["pid"])):
            remove(os.path.join(folder, name))


def remove(path: str) -> None:
    """Removes a file, or a folder with all that is in it."""
    if not is_remote(path):
        # Predictions with .tflite files do without TensorFlow.
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
        return
    import tensorflow as tf

    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    else:
        tf.io.gfile.remove(path)


def _is_running(pid: int) -> bool:
    """Whether this machine has such a process now, other than this one."""
    if pid == os.getpid():
        return False  # In containers, one after the other has the same number.
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
