"""Several processes do one command's work, and end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrnet_tf import processes

REPO = Path(__file__).resolve().parents[1]


class Started:
    """What `start` leaves in a process."""

    by: object = None


def start(value):
    Started.by = value


def look(number):
    return number, Started.by, os.environ.get("TF_CPP_MIN_LOG_LEVEL")


def end(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def test_work_is_done_by_processes_that_were_prepared(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with processes.pool(2, "--num", start, ["ready"]) as pool:
        found = [pool.submit(look, number) for number in range(3)]
        assert [one.result() for one in found] == [(n, "ready", "3") for n in range(3)]
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ


def test_a_killed_process_is_a_sentence():
    begin = time.monotonic()
    with (
        pytest.raises(processes.WorkerError, match="One of 2 processes .--num. was ki"),
        processes.pool(2, "--num", start, [None]) as pool,
    ):
        pool.submit(end, signal.SIGKILL).result()
    assert time.monotonic() - begin < 30


def test_errors_of_the_work_stay_what_they_are():
    with (
        pytest.raises(ZeroDivisionError),
        processes.pool(1, "--num", start, [None]) as pool,
    ):
        pool.submit(divmod, 1, 0).result()


def test_what_fails_in_between_ends_work_that_goes_on():
    begin = time.monotonic()
    with (
        pytest.raises(ZeroDivisionError),
        processes.pool(1, "--num", start, [None]) as pool,
    ):
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        pool.submit(time.sleep, 60)
        raise ZeroDivisionError
    assert time.monotonic() - begin < 30


ELSEWHERE = """
def start():
    pass

def place():
    return __file__
"""

UNGUARDED = """
import sys
sys.path.insert(0, "elsewhere")
import mine
from hrnet_tf import processes

with processes.pool(2, "--num", mine.start, preload=["mine"]) as pool:
    print(pool.submit(mine.place).result())
"""


def test_a_script_needs_no_guard_and_decides_where_modules_come_from(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/mine.py").write_text(ELSEWHERE)
    (tmp_path / "mine.py").write_text("what a server would import by itself")
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("elsewhere/mine.py")
    assert done.stderr == ""


CHILD = """
import os

def begin():
    print(os.getpid(), flush=True)
"""

PARENT = """
import os, time
import child
from hrnet_tf import processes

try:
    with processes.pool(2, "--num", child.begin) as pool:
        for one in [pool.submit(time.sleep, 0.5) for _ in range(99)]:
            one.result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os._exit(1)
"""


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_parent(tmp_path, sign):
    """Ctrl-C reaches all of a terminal's processes: only one may answer."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    (tmp_path / "child.py").write_text(CHILD)
    parent = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    if sign == signal.SIGINT:
        os.killpg(parent.pid, sign)
    else:
        parent.send_signal(sign)
    output, error = parent.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_running, workers))
    if sign == signal.SIGINT:
        assert (output, error) == ("interrupted\n", "")
