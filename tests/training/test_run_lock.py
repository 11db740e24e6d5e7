"""One training at a time writes a model directory."""

import errno
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import tensorflow as tf
from processes import killed_at_the_end

from hrnet_tf.output_files import WriteError
from hrnet_tf.training import run_lock

HOLDER = """
    import sys
    from hrnet_tf.training import run_lock
    with run_lock.held(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with killed_at_the_end(process):
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_process_is_refused(holder, tmp_path):
    for _ in range(2):
        with pytest.raises(run_lock.LockedError) as error, run_lock.held(str(tmp_path)):
            pass
        text = str(error.value)
        assert str(holder.pid) in text and str(tmp_path / "run.lock") in text
    holder.communicate("")
    with run_lock.held(str(tmp_path)) as check_kept:
        check_kept()
    assert not os.listdir(tmp_path)


def test_a_killed_process_holds_nothing(holder, tmp_path, log, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert os.listdir(tmp_path) == ["run.lock"]
    with run_lock.held(str(tmp_path)):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    assert f"the process {holder.pid} has ended" in log()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "\0\0", '"x"', "{}", "[" * 9999])
def test_a_lock_that_says_nothing_is_stale(content, tmp_path):
    (tmp_path / "run.lock").write_text(content)
    with run_lock.held(str(tmp_path)):
        pass


def test_the_lock_of_another_machine_is_not_taken(tmp_path):
    path = tmp_path / "run.lock"
    content = {"host": "elsewhere", "boot": "1", "pid": 1, "since": "yesterday"}
    path.write_text(json.dumps(content))
    match = "Process 1 on elsewhere"
    with (
        pytest.raises(run_lock.LockedError, match=match),
        run_lock.held(str(tmp_path)),
    ):
        pass
    assert json.loads(path.read_text()) == content


def test_a_lock_of_before_a_restart_is_stale(tmp_path):
    this = run_lock._this_process()
    (tmp_path / "run.lock").write_text(json.dumps({**this, "boot": "before"}))
    with run_lock.held(str(tmp_path)):
        pass


def test_a_deleted_directory_is_noticed_and_left_alone(tmp_path):
    folder = tmp_path / "run"
    with (
        pytest.raises(run_lock.LostError, match="was deleted or moved"),
        run_lock.held(str(folder)) as check_kept,
    ):
        os.remove(folder / "run.lock")
        (folder / "run.lock").write_text("another's")
        check_kept()
    assert (folder / "run.lock").read_text() == "another's"


def test_a_file_that_took_the_place_of_the_directory_is_noticed(tmp_path):
    folder = tmp_path / "run"
    with (
        pytest.raises(run_lock.LostError, match="was deleted or moved"),
        run_lock.held(str(folder)) as check_kept,
    ):
        shutil.rmtree(folder)
        folder.write_text("another's")
        check_kept()
    assert folder.read_text() == "another's"


def test_a_lock_that_was_just_removed_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "run.lock"
    calls = []

    def lock(*_):
        if not calls:
            path.unlink()
        calls.append(1)

    monkeypatch.setattr(fcntl, "flock", lock)
    with run_lock.held(str(tmp_path)) as check_kept:
        check_kept()
        assert len(calls) == 2 and path.exists()


def test_a_remote_folder_is_made_and_has_no_lock():
    folder = "ram://lock/new/run"
    with run_lock.held(folder) as check_kept:
        check_kept()
        assert tf.io.gfile.isdir(folder) and not tf.io.gfile.listdir(folder)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_is_no_lock(kind, tmp_path):
    path = tmp_path / "run.lock"
    make = {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "nowhere" / "x"),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    with (
        pytest.raises(run_lock.LockedError, match=f"{path} is a .* delete it"),
        run_lock.held(str(tmp_path)),
    ):
        pass
    assert os.listdir(tmp_path) == ["run.lock"]


@pytest.mark.parametrize(
    "content, told",
    [
        ({"pid": 1}, "Process 1 writes to"),
        ({"host": "elsewhere"}, "Another process writes to"),
        ({"pid": 1, "host": "a\nb"}, "Process 1 on a b writes to"),
        ({"pid": 1, "host": "elsewhere"}, "Process 1 on elsewhere writes to"),
    ],
)
def test_a_lock_that_says_little_is_told_as_it_is(content, told, tmp_path):
    (tmp_path / "run.lock").write_text(json.dumps(content))
    with (
        pytest.raises(run_lock.LockedError, match=told),
        run_lock.held(str(tmp_path)),
    ):
        pass


def test_one_may_wait_for_a_lock(holder, tmp_path):
    threading.Timer(0.5, holder.kill).start()
    with run_lock.held(str(tmp_path), patience=60) as check_kept:
        check_kept()


@pytest.mark.parametrize("change", ["deleted", "moved", "replaced"])
def test_a_folder_that_goes_away_is_noticed(change, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with run_lock.unmoved(str(folder)) as check_kept:
        check_kept()
        if change == "deleted":
            folder.rmdir()
        else:
            folder.rename(tmp_path / "moved")
        if change == "replaced":
            folder.mkdir()
        with pytest.raises(run_lock.LostError, match=f"{folder} was deleted or moved"):
            check_kept()


def test_a_folder_that_never_was_cannot_go_away(tmp_path):
    with run_lock.unmoved(str(tmp_path / "run")) as check_kept:
        check_kept()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_in_place_of_the_folder_is_named(is_link, tmp_path):
    path = tmp_path / "run"
    path.symlink_to("/nothing/here") if is_link else path.write_text("mine")
    said = f"{path} is a file, or a link to nothing"
    with pytest.raises(run_lock.LockedError, match=said), run_lock.held(str(path)):
        pass
    assert os.listdir(tmp_path) == ["run"]


def test_a_disk_that_is_full_from_the_beginning(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    said = "run.lock: No space left on device"
    with pytest.raises(WriteError, match=said), run_lock.held(str(tmp_path)):
        pass
    assert not os.listdir(tmp_path)


def test_an_address_that_tensorflow_does_not_know():
    said = "^s3://bucket/run cannot be written to: .*'s3' not implemented"
    folder = "s3://bucket/run"
    with pytest.raises(run_lock.LockedError, match=said), run_lock.held(folder):
        pass
