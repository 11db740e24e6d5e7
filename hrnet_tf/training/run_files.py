"""Files of a run, written whole or not at all wherever TensorFlow can write (gs://)."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from hrnet_tf.output_files import naming

# As `written` and `output_files.written_whole` name what they are writing.
_PARTIAL = re.compile(r"\.(?P<pid>\d+)\..+")


@contextlib.contextmanager
def written(path: str) -> Iterator[str]:
    """Yields a name beside `path`, which becomes the file's name at the end."""
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{os.getpid()}.{name}")
    try:
        with naming(path, partial):
            yield partial
            tf.io.gfile.rename(partial, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.remove(partial)


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """Writes a JSON file."""
    with written(path) as partial, tf.io.gfile.GFile(partial, "w") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.write("\n")


def remove_leftovers(folder: str) -> None:
    """Removes what processes that have ended were writing into a folder."""
    for name in tf.io.gfile.listdir(folder):
        match = _PARTIAL.fullmatch(name)
        if match and not _is_running(int(match["pid"])):
            tf.io.gfile.remove(os.path.join(folder, name))


def _is_running(pid: int) -> bool:
    """Whether this machine has such a process now."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
