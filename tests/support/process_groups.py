"""Commands that end with all that they started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

INTERRUPTED = 128 + signal.SIGINT  # The exit code of what Ctrl-C has ended.
_PATIENCE = 30.0  # Seconds in which what was interrupted may end by itself.


def run(words: Sequence[str], seconds: float | None = None, **more: Any) -> int:
    """Runs a command in a group of processes of its own; returns its exit code.

    Ctrl-C goes on to the group, as in a terminal, and then ends this, too; what is left
    of the group after that, or after `seconds`, is killed.

    Args:
        words: The command.
        seconds: What it may take.
        more: Arguments of `subprocess.Popen`.

    Raises:
        subprocess.TimeoutExpired: It took longer.
        OSError: There is no such command.
    """
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, start_new_session=True, **more
    )
    try:
        return process.wait(seconds)
    except KeyboardInterrupt:
        _signal(process, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        _kill(process)  # A shell's background processes hear nothing of Ctrl-C.
        raise
    except subprocess.TimeoutExpired:
        _kill(process)
        raise


def _kill(process: subprocess.Popen) -> None:
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # All have ended.
        os.killpg(process.pid, number)


def interrupt_when_terminated() -> None:
    """From now on, SIGTERM ends this process as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
