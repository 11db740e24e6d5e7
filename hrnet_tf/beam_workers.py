"""Worker processes of Beam on this machine: one that is lost ends nothing, or all.

Beam's DirectRunner cannot do without a worker process that was killed (for its memory,
for example): it fails, or waits for ever. What was to be written does not appear then.
So the command runs in a process of its own, which ends when a worker does, with all
workers; and this one starts it again.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from hrnet_tf import signals

_MODE = "--direct_running_mode=multi_processing"
_STARTED = "HRNET_TF_BEAM_ATTEMPT"
# Exit code that asks for another attempt: EX_TEMPFAIL.
_LOST = 75
_ATTEMPTS = 3
# Seconds after a failure in which its worker is found to have ended.
_PATIENCE = 10
# As Beam calls the threads that wait for workers.
_THREAD = "run_worker"


def are_asked_for(argv: Sequence[str]) -> bool:
    """Whether a command line asks for worker processes, and is not an attempt yet."""
    return _MODE in argv and _STARTED not in os.environ


def run_again_if_lost(module: str, argv: Sequence[str]) -> int:
    """Runs a command in another process; again if a worker is lost, a few times.

    Returns its exit code.
    """
    command = [sys.executable, "-m", module, *argv[1:]]
    for attempt in range(1, _ATTEMPTS + 1):
        code = _run(command, attempt)
        if code != _LOST:
            return code if code >= 0 else 128 - code
        if attempt < _ATTEMPTS:
            _tell(f"Starts again: attempt {attempt + 1} of {_ATTEMPTS}.")
    _tell(f"Worker processes ended in {_ATTEMPTS} attempts: nothing was written.")
    return 1


def _run(command: Sequence[str], attempt: int) -> int:
    environment = {**os.environ, _STARTED: str(attempt)}
    try:
        with signals.heeded():
            # A session, and so a group, of its own: its workers end with it.
            process = subprocess.Popen(command, env=environment, start_new_session=True)
            try:
                return process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_PATIENCE)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    except signals.Stopped as stopped:
        return stopped.exit_code


@contextlib.contextmanager
def watched(clean: Callable[[], None]) -> Iterator[None]:
    """Within the block, a worker that is lost ends this process, as an attempt.

    `clean` removes what was written; so it does if the block fails.
    """
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is None or failure.thread.name != _THREAD:
            before(failure)
            return
        _tell(f"{failure.exc_value}.")
        with contextlib.suppress(Exception):
            clean()
        os._exit(_LOST if _STARTED in os.environ else 1)

    threading.excepthook = hook
    try:
        yield
    except BaseException as error:
        clean()
        # What fails without a reason of its own does so for a worker that is lost: the
        # hook above is about to be called.
        reason = str(error.__cause__ or error)
        if isinstance(error, Exception) and "Traceback" not in reason:
            time.sleep(_PATIENCE if _STARTED in os.environ else 0)
        raise
    finally:
        threading.excepthook = before


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
