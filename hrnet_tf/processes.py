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
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import context, forkserver, resource_tracker
from typing import Any

from hrnet_tf.messages import UserError


class WorkerError(UserError):
    """A process that worked for a command was ended by something else."""


class _Process(context.ForkServerProcess):
    """One that does not run the user's script again, which may be what started it.

    Commands of this package it imports: they are where classes of their work are.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        if not getattr(main.__spec__, "name", "").startswith("hrnet_tf."):
            sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return context.ForkServerProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(context.ForkServerContext):
    Process = _Process


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
        mp_context=_Context(),
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
    path = [folder or os.getcwd() for folder in sys.path if isinstance(folder, str)]
    environment = {
        # What TensorFlow has to tell of this machine, this process tells.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # It is to import what this process does, from where this one does.
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
    }
    # Started by the server's start, it would have signals unblocked.
    resource_tracker.ensure_running()
    # Ctrl-C reaches all processes of a terminal; these inherit that it is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with _environment(environment):
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Within the block, variables that processes inherit have other values."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _begin(start: Callable[..., None], arguments: Sequence[Any]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """Ends this process when its parent has ended, which may have been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
