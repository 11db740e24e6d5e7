"""Keeps other processes out of a folder that one writes: that of a run or its best.

The lock is a file that says who holds it. The kernel frees it when its holder ends,
however that happens; the file tells other machines, and people.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from hrnet_tf.input_files import is_remote
from hrnet_tf.messages import UserError, one_line
from hrnet_tf.output_files import naming

LOCK_FILE = "run.lock"

# Tells one start of a machine from another, on Linux.
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_INTERVAL = 0.1  # seconds
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_log = logging.getLogger(__name__)


class LockedError(UserError):
    """Another process writes to the folder, or its lock is none."""


class LostError(UserError):
    """The folder, or its lock, is no longer there."""


@contextlib.contextmanager
def held(model_dir: str, patience: float = 0) -> Iterator[Callable[[], None]]:
    """Holds the lock of a folder, which is created if need be.

    Waits `patience` seconds for another process to end.

    Yields a function that raises `LostError` if the lock has been lost since. Remote
    directories (gs://) have no locks.

    Raises:
        LockedError: If another process holds it.
    """
    if is_remote(model_dir):
        _make_remote(model_dir)
        yield lambda: None
        return
    try:
        os.makedirs(model_dir, exist_ok=True)
    except FileExistsError:
        raise LockedError(
            f"{model_dir} is a file, or a link to nothing, and not a folder to write "
            "to: move it away, or take another folder."
        ) from None
    path = os.path.join(model_dir, LOCK_FILE)
    _check_kind(path)
    with _locked(path, time.monotonic() + patience) as file:
        _check_stale(path, file.read())
        try:
            with naming(path, path):
                file.truncate(0)
                # Nothing stays in a buffer that a full disk does not take.
                os.pwrite(file.fileno(), json.dumps(_this_process()).encode(), 0)
            yield lambda: _check_kept(path, file)
        finally:
            if _is_at(path, file.fileno()):
                os.remove(path)


def _make_remote(folder: str) -> None:
    try:
        tf.io.gfile.makedirs(folder)
    except tf.errors.UnimplementedError as error:
        raise LockedError(
            f"{folder} cannot be written to: {one_line(error.message)}. Take a folder "
            "of this machine, or an address that TensorFlow knows, such as gs://."
        ) from None


def _check_kept(path: str, file: Any) -> None:
    if not _is_at(path, file.fileno()):
        raise LostError(
            f"{path} is gone: {os.path.dirname(path)}, or this file in it, was deleted "
            "or moved while training went on. It stops and leaves alone what is there."
        )


@contextlib.contextmanager
def unmoved(folder: str) -> Iterator[Callable[[], None]]:
    """For a process that needs no lock: as `held`, the function that it yields.

    It raises `LostError` if the folder is not the same any more.
    """
    if is_remote(folder) or not os.path.isdir(folder):
        yield lambda: None
        return
    # Kept open, so that no new folder has the number of the old one.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lambda: _check_unmoved(folder, descriptor)
    finally:
        os.close(descriptor)


def _check_unmoved(folder: str, descriptor: int) -> None:
    if not _is_at(folder, descriptor):
        raise LostError(
            f"{folder} was deleted or moved while it was in use: nothing more is "
            "written there."
        )


def _check_kind(path: str) -> None:
    """Raises `LockedError` if what has the path is no file."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise LockedError(
                f"{path} is a folder, a link or a pipe, and not the file that keeps "
                "other processes out: delete it, or take another folder."
            )


@contextlib.contextmanager
def _locked(path: str, deadline: float) -> Iterator[Any]:
    """Opens a lock file that nobody else holds."""
    while True:
        # Neither shortens a file that is there, nor needs one to be there.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_INTERVAL)
                    continue
                raise _refusal(path, _read(file.read())) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            # Its last holder may have removed it just now.
            if _is_at(path, descriptor):
                yield file
                return


def _is_at(path: str, descriptor: int) -> bool:
    """Whether an open file or folder is the one that has the path now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:  # gone, or below something that is no folder any more
        return False


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": _boot_id(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _boot_id() -> str:
    try:
        with open(_BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return ""


def _read(text: str) -> dict[str, Any]:
    """What a lock file says; nothing, if its writer was killed while writing it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _check_stale(path: str, text: str) -> None:
    """Raises `LockedError` unless the holder of the past was on this machine.

    There it has ended, or the kernel would have told. Of other machines, file systems
    do not always tell.
    """
    past, this = _read(text), _this_process()
    if not past:
        return
    is_here = past.get("host") == this["host"] or (
        this["boot"] and past.get("boot") == this["boot"]
    )
    if not is_here:
        raise _refusal(path, past)
    _log.info("Takes over %s: the process %s has ended.", path, past.get("pid"))


def _refusal(path: str, holder: dict[str, Any]) -> LockedError:
    who = "Another process"
    if "pid" in holder:
        who = f"Process {holder['pid']}"
        who += f" on {holder['host']}" if "host" in holder else ""
        who += f" (since {holder['since']})" if "since" in holder else ""
    return LockedError(
        f"{one_line(who)} writes to {os.path.dirname(path)}: take another --model_dir, "
        f"or wait for it to end. If it no longer runs, delete {path}."
    )
