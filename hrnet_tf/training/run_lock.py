"""Keeps a second training out of a model directory that one is writing.

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
import time
from collections.abc import Callable, Iterator
from typing import Any

from hrnet_tf.input_files import is_remote
from hrnet_tf.messages import UserError

LOCK_FILE = "run.lock"

# Tells one start of a machine from another, on Linux.
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_log = logging.getLogger(__name__)


class LockedError(UserError):
    """Another process trains in the model directory."""


@contextlib.contextmanager
def held(model_dir: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of a model directory, which is created if need be.

    Yields a function that raises `LockedError` if the lock has been lost since. Remote
    directories (gs://) have no locks.

    Raises:
        LockedError: If another process holds it.
    """
    if is_remote(model_dir):
        yield lambda: None
        return
    os.makedirs(model_dir, exist_ok=True)
    path = os.path.join(model_dir, LOCK_FILE)
    with _locked(path) as file:
        _check_stale(path, file.read())
        file.seek(0)
        file.truncate()
        json.dump(_this_process(), file)
        file.flush()
        try:
            yield lambda: _check_kept(path, file)
        finally:
            if _is_at(path, file):
                os.remove(path)


def _check_kept(path: str, file: Any) -> None:
    if not _is_at(path, file):
        raise LockedError(
            f"{path} is gone: {os.path.dirname(path)}, or this file in it, was deleted "
            "or moved while training went on. It stops and leaves alone what is there."
        )


@contextlib.contextmanager
def _locked(path: str) -> Iterator[Any]:
    """Opens a lock file that nobody else holds."""
    while True:
        # Neither shortens a file that is there, nor needs one to be there.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _refusal(path, _read(file.read())) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            # Its last holder may have removed it just now.
            if _is_at(path, file):
                yield file
                return


def _is_at(path: str, file: Any) -> bool:
    """Whether an open file is the one that has the path now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
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
    if holder:
        who = (
            f"Process {holder.get('pid')} on {holder.get('host')} (since "
            f"{holder.get('since')})"
        )
    return LockedError(
        f"{who} trains in {os.path.dirname(path)}: take another --model_dir, or wait "
        f"for it to end. If it no longer runs, delete {path}."
    )
