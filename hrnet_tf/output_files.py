"""What a command writes: whole under its own name, or not at all."""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from hrnet_tf.input_files import is_remote
from hrnet_tf.messages import UserError

# Letters of a name, of at most 4 bytes each, that leave room for more among 255 bytes.
_KEPT_OF_NAMES = 50


# What a process that was killed was writing; see `partial_name`.
PARTIAL = re.compile(r"\.hrnet_tf\.(?P<pid>\d+)\..+")

# What can be wrong with a disk, a folder or a name.
_CAUSES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES),
    *(errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
    *(errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EMLINK, errno.ELOOP),
)
# TensorFlow writes "PATH; CAUSE" in the midst of its messages.
_TENSORFLOW_CAUSE = re.compile(rf"; ({'|'.join(map(os.strerror, _CAUSES))})\b")
# Before the path: "{{node SaveV2}} ", "(0) UNKNOWN: " and the like.
_BEFORE_PATH = re.compile(r"(?:.*\}\}\s+|\s*\(\d+\)\s+[A-Z_]+:\s+|[^/]*:\s+(?=/))*")

# Ends of names that TensorFlow writes under until all is written.
_TEMPORARY = re.compile(r"_temp(/part-.*|$)|\.tempstate\d+|\.tmp[0-9a-f]+$")


class OutputError(UserError):
    """Output that cannot be written where it is asked for."""


def check_output(path: str, overwrite: bool, flag: str = "--output_dir") -> None:
    """Refuses to replace a file or a folder that holds something, unless told to.

    Raises `OutputError`, whose message names the `flag` that chose the path.
    """
    is_empty = os.path.isdir(path) and not os.listdir(path)
    if os.path.exists(path) and not is_empty and not overwrite:
        raise OutputError(
            f"{path} exists already: choose another {flag}, or replace it with "
            "--overwrite."
        )


class WriteError(UserError):
    """A disk that is full, a folder that is gone, and the like."""


def failure_to_write(error: BaseException) -> str | None:
    """What an error of Python's or TensorFlow's says about a disk: a path and a cause.

    None if it is about something else.
    """
    if isinstance(error, WriteError):
        return error.message.rstrip(".")
    if isinstance(error, UserError):
        return None  # Its sentence says all, even where it quotes such a message.
    path, cause = _path_and_cause(error)
    return f"{path}: {cause}" if path and cause else cause


def _path_and_cause(error: BaseException) -> tuple[str | None, str | None]:
    if isinstance(error, OSError):
        path = error.filename and os.fsdecode(error.filename)
        return path, os.strerror(error.errno) if error.errno in _CAUSES else None
    message = getattr(error, "message", None) or ""
    match = _TENSORFLOW_CAUSE.search(message)
    if match is None:
        return None, None
    line = message[: match.start()].rpartition("\n")[2]
    path = _BEFORE_PATH.sub("", line, count=1)
    return _TEMPORARY.sub("", path), match[1]


@contextlib.contextmanager
def naming(path: str, partial: str) -> Iterator[None]:
    """Names `path` in errors that are about writing it as `partial`.

    Raises:
        WriteError: In place of them.
    """
    try:
        yield
    except Exception as error:
        named, cause = _path_and_cause(error)
        # Python does not name a file whose disk is full.
        if cause is None or not (named is None or named.startswith(partial)):
            raise
        raise WriteError(f"{path}: {cause}.") from error


def partial_name(name: str) -> str:
    """What a file or folder is called while this thread writes it."""
    # The end of the name alone: longer than the name itself could be too long. Two
    # threads may write names that end alike.
    thread = threading.get_native_id()
    return f".hrnet_tf.{os.getpid()}.{thread}.{name[-_KEPT_OF_NAMES:]}"


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a name beside `path` for a file or folder, renamed to `path` at the end.

    If the `with` block fails, what it wrote is removed and `path` stays as it was. The
    name keeps the suffix of `path`, since some writers choose the format by it.

    Raises:
        WriteError: If it cannot be written.
    """
    path = os.fspath(path)
    if is_remote(path):
        with _copied_to(path) as local:
            yield local
        return
    folder, name = os.path.split(path)
    partial = os.path.join(folder, partial_name(name))
    os.makedirs(folder or ".", exist_ok=True)
    try:
        with naming(path, partial):
            yield partial
            _move(partial, path)
    finally:
        if os.path.isdir(partial):
            shutil.rmtree(partial)
        elif os.path.exists(partial):
            os.remove(partial)


@contextlib.contextmanager
def _copied_to(address: str) -> Iterator[str]:
    """Yields a name for a file on this machine, copied to an address at the end."""
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, os.path.basename(address))
        yield local
        # Files of this machine do without it.
        import tensorflow as tf

        tf.io.gfile.makedirs(os.path.dirname(address))
        tf.io.gfile.copy(local, address, overwrite=True)


def _move(partial: str, path: str) -> None:
    """Gives the finished output its name, in place of what had it."""
    if os.path.isdir(path):
        replaced = f"{partial}.replaced"
        os.rename(path, replaced)
        os.rename(partial, path)
        shutil.rmtree(replaced)
    else:
        os.replace(partial, path)


def write_json(
    path: str | os.PathLike[str], content: Any, indent: int | None = None
) -> None:
    """Writes a JSON file."""
    with written_whole(path) as partial, open(partial, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=indent)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Writes a text in UTF-8."""
    with written_whole(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(content)
