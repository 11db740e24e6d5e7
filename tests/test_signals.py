import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest
from processes import killed_at_the_end

from hrnet_tf import signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_what_runs(number):
    before = signal.getsignal(number)
    with pytest.raises(signals.Stopped, match=number.name) as error, signals.heeded():
        os.kill(os.getpid(), number)
        time.sleep(10)
    assert error.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_held_signal_waits_for_its_moment(log):
    with signals.heeded(), signals.held():
        assert signals.received() is None
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: signals.received() == signal.SIGTERM)
        with pytest.raises(signals.Stopped), signals.released():
            pytest.fail("it is not released")
        # A thread tells, and not at once.
        told = "SIGTERM: stops as soon as nothing is lost"
        wait_until(lambda: told in log())
    with signals.heeded():
        assert signals.received() is None


def test_other_threads_change_nothing():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with signals.heeded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@contextlib.contextmanager
def process(program: str):
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with killed_at_the_end(started):
        assert started.stdout.readline() == "ready\n"
        yield started


# Python's own answer to a signal has to wait for the library.
BUSY = """
    import hashlib
    from hrnet_tf import signals
    with signals.heeded(), signals.held():
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_second_signal_ends_a_busy_process_at_once():
    with process(BUSY) as started:
        started.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(signals._ONE_SIGNAL + 0.5)
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 143


def test_children_die_as_usual_and_their_signals_are_their_own():
    program = """
        import os, signal, time
        from hrnet_tf import signals
        with signals.heeded():
            for _ in range(2):
                child = os.fork()
                if not child:
                    time.sleep(60)
                    os._exit(0)
                time.sleep(0.3)
                os.kill(child, signal.SIGTERM)
                assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
                time.sleep(1.1)
            assert signals.received() is None
            print("ready", flush=True)
            time.sleep(60)
    """
    with process(program) as started:
        assert started.poll() is None


# What `timeout` sends to a process and to its group is one request.
def test_a_signal_that_comes_twice_at_once_is_one():
    program = """
        import os, signal, time
        from hrnet_tf import signals
        with signals.heeded(), signals.held():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(signals._ONE_SIGNAL / 2)
            print("ready", flush=True)
    """
    with process(program) as started:
        assert started.wait(10) == 0


def test_a_signal_is_taken_back_from_a_library():
    program = """
        import ctypes, os, signal
        from hrnet_tf import signals
        with signals.heeded(), signals.held():
            ignore = ctypes.c_void_p(1)
            ctypes.CDLL(None).signal(signal.SIGTERM, ignore)
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.received() is None
            signals.heed_again()
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.received() == signal.SIGTERM
            print("ready", flush=True)
    """
    with process(program) as started:
        assert started.wait(10) == 0


def test_a_hangup_that_is_ignored_stays_ignored():
    program = """
        import os, signal
        from hrnet_tf import signals
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with signals.heeded():
            os.kill(os.getpid(), signal.SIGHUP)
        print("ready", flush=True)
    """
    with process(program) as started:
        assert started.wait(10) == 0


@pytest.mark.parametrize(
    "before, argument, expected",
    [
        ("default_int_handler", "-m", "SIG_DFL"),
        ("SIG_IGN", "-m", "SIG_IGN"),
        ("default_int_handler", "program.py", "default_int_handler"),
    ],
)
def test_a_command_that_is_being_imported_ends_in_silence(before, argument, expected):
    program = f"""
        import signal, sys
        signal.signal(signal.SIGINT, signal.{before})
        sys.argv = [{argument!r}]
        import hrnet_tf
        assert signal.getsignal(signal.SIGINT) == signal.{expected}
        print("ready", flush=True)
    """
    with process(program) as started:
        assert started.wait(10) == 0
