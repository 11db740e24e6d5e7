"""Leftovers of processes that were killed are told from all other files."""

import os
import subprocess
import sys

import pytest

from hrnet_tf import output_files
from hrnet_tf.training import run_files


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def partial(pid: int, name: str) -> str:
    """What another process calls a file while writing it."""
    own = output_files.partial_name(name)
    return own.replace(f".{os.getpid()}.", f".{pid}.")


def test_leftovers_of_ended_processes_are_removed(ended, tmp_path):
    (tmp_path / partial(ended, "metrics.json")).write_text("{")
    folder = tmp_path / partial(ended, "export")
    (folder / "variables").mkdir(parents=True)
    (folder / "variables/data").write_text("half")
    # In containers, one process after the other has the same number.
    (tmp_path / partial(os.getpid(), "params.yaml")).write_text("")
    run_files.remove_leftovers(str(tmp_path))
    assert not os.listdir(tmp_path)


def test_running_processes_and_users_keep_theirs(ended, tmp_path):
    kept = {
        *(partial(os.getppid(), "metrics.json"), f".{ended}.notes.txt", "notes.txt"),
        *(".2024.notes.txt", ".hrnet_tf.yaml", f".hrnet_tf.{ended}", ".hrnet_tf.x.y"),
    }
    for name in kept:
        (tmp_path / name).write_text("mine")
    run_files.remove_leftovers(str(tmp_path))
    assert set(os.listdir(tmp_path)) == kept


def test_files_are_written_under_a_name_of_the_process(tmp_path):
    with run_files.written(str(tmp_path / "params.yaml")) as path:
        assert os.path.basename(path) == output_files.partial_name("params.yaml")
        with open(path, "w") as file:
            file.write("a: 1")
    assert os.listdir(tmp_path) == ["params.yaml"]


def test_leftovers_on_this_machine_are_removed_without_tensorflow(tmp_path):
    (tmp_path / f".hrnet_tf.{10**9}.1.a.jpg").write_bytes(b"half a picture")
    (tmp_path / f".hrnet_tf.{10**9}.1.export").mkdir()
    script = (
        "import sys; from hrnet_tf.training import run_files; "
        f"run_files.remove_leftovers({str(tmp_path)!r}); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert not os.listdir(tmp_path)
