"""Several processes of this machine that do parts of one command's work.

A server forks them that has imported modules and started nothing: forking this process
is unsafe once TensorFlow has its threads, and importing TensorFlow would take each of
them seconds. They end with this process, however it ends, and leave signals to it.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Any

from hrnet_tf.messages import UserError

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


class WorkerError(UserError):
    """A process that worked for a command was ended by something else."""


@contextlib.contextmanager
def pool(
    count: int,
    flag: str,
    start: Callable[..., None],
    arguments: Sequence[Any] = (),
    preload: Sequence[str] = (),
) -> Iterator[concurrent.futures.Executor]:
    """Yields what submits work to `count` processes.

    Args:
        count: How many.
        flag: What chose it, such as "--num_processes".
        start: Prepares a process; it is pickled, with its `arguments`.
        arguments: Those of `start`.
        preload: Modules that the processes need.

    Raises:
        WorkerError: If one of them was killed, in place of what its work raises then.

    Whatever else the block raises ends them in the middle of their work.
    """
    start_server(preload)
    others = {*multiprocessing.active_children()}
    executor = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("forkserver"),
        initializer=_begin,
        initargs=(start, arguments),
    )
    try:
        yield executor
    except concurrent.futures.BrokenExecutor as error:
        raise WorkerError(
            f"One of {count} processes ({flag}) was killed before its work was done, "
            "by somebody, or by the system for lack of memory: nothing was written. "
            f"Run the command again; if memory was short, with a lower {flag}."
        ) from error
    except BaseException:
        for process in {*multiprocessing.active_children()} - others:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def start_server(preload: Sequence[str]) -> None:
    """Starts what forks processes, unless it runs already; does not wait for it.

    Called early, the server imports while this process does.
    """
    forkserver.set_forkserver_preload(list(preload))
    level = os.environ.get(_LOG_LEVEL)
    # Started by the server's start, it would have signals unblocked.
    resource_tracker.ensure_running()
    # Ctrl-C reaches all processes of a terminal; these inherit that it is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        # What TensorFlow has to tell of this machine, this process tells.
        os.environ[_LOG_LEVEL] = "3"
        forkserver.ensure_running()
    finally:
        os.environ.pop(_LOG_LEVEL)
        if level is not None:
            os.environ[_LOG_LEVEL] = level
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(start: Callable[..., None], arguments: Sequence[Any]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """Ends this process when its parent has ended, which may have been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
