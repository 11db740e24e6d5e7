"""Signals that ask a command to end: Ctrl-C, `kill`, `docker stop`, Slurm, a hangup.

A signal ends a command with `Stopped`, which cleans up on its way, at once or, where
work would be lost, at the next good moment. A second one ends the process as it is.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `timeout` and terminals may send one signal twice.
_ONE_SIGNAL = 1.0  # second

_log = logging.getLogger(__name__)


class Stopped(KeyboardInterrupt):
    """A signal asked the command to end."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as shells report it


class _State:
    """What has been received, in this process."""

    received: int | None = None
    is_held = False
    # Where a signal is noticed while TensorFlow keeps the main thread busy.
    wakeup: socket.socket | None = None


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Signals raise `Stopped` within the block. Does nothing but in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Under nohup, for example, a hangup is to be ignored.
    numbers = [n for n in _NUMBERS if signal.getsignal(n) != signal.SIG_IGN]
    _State.received, _State.is_held = None, False
    receiver, _State.wakeup = socket.socketpair()
    _State.wakeup.setblocking(False)
    threading.Thread(target=_watch, args=(receiver,), daemon=True).start()
    before = {number: signal.signal(number, _heed) for number in numbers}
    descriptor = signal.set_wakeup_fd(_State.wakeup.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.wakeup.close()
        _State.wakeup = None


def heed_again() -> None:
    """Takes signals back, within `heeded`, from a library that has taken them.

    Python sees nothing of it: such a library asks the operating system.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _NUMBERS:
            if signal.getsignal(number) is _heed:
                signal.signal(number, _heed)


@contextlib.contextmanager
def held(holds: bool = True) -> Iterator[None]:
    """Within the block a signal is only noted: ask `received`, or `release` it."""
    before, _State.is_held = _State.is_held, holds
    try:
        if not holds and _State.received is not None:
            raise Stopped(_State.received)
        yield
    finally:
        _State.is_held = before


def released() -> contextlib.AbstractContextManager[None]:
    """Within the block, signals raise `Stopped` again; so does a noted one."""
    return held(False)


def received() -> int | None:
    """The number of the signal that was received, if any."""
    return _State.received


def _heed(number: int, frame: FrameType | None) -> None:
    is_first = _State.received is None
    _State.received = number
    if is_first and not _State.is_held:
        raise Stopped(number)


def _watch(receiver: socket.socket) -> None:
    """Answers signals even while the main thread cannot."""
    first = None
    with receiver:
        while numbers := receiver.recv(1):
            now = time.monotonic()
            if numbers[0] not in _NUMBERS:
                continue
            if first is None:
                first = now
                if _State.is_held:
                    _log.warning(
                        "%s: stops as soon as nothing is lost; another signal ends "
                        "the process at once.",
                        signal.Signals(numbers[0]).name,
                    )
            elif now - first > _ONE_SIGNAL:
                os._exit(128 + numbers[0])


def _forget() -> None:
    """In a child process, signals do what they do by default."""
    if _State.wakeup is not None:
        signal.set_wakeup_fd(-1)
        for number in _NUMBERS:
            if signal.getsignal(number) is _heed:
                signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)
