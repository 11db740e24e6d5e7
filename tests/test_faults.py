"""Training that is asked to stop, or whose disk or directory fails it."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from processes import killed_at_the_end

from hrnet_tf import train
from hrnet_tf.training import actions
from hrnet_tf.weights import whole_checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.faults]

REPO = Path(__file__).resolve().parents[1]
TIME_LIMIT = 300  # seconds
FOREVER = (
    "trainer.train_steps=1000000,trainer.checkpoint_interval=1000000,"
    "trainer.optimizer_config.learning_rate.type=constant,"
    "trainer.optimizer_config.learning_rate.constant.learning_rate=0.001"
)


@contextmanager
def started(arguments: list[str]) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A process of the training command, and the file of its standard error."""
    folder = next(a for a in arguments if a.startswith("--model_dir=")).partition("=")[
        2
    ]
    stderr = Path(f"{folder}.stderr")
    with stderr.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hrnet_tf.train", *arguments],
            cwd=REPO,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    with killed_at_the_end(process):
        yield process, stderr


def wait_for(text: str, process: subprocess.Popen, stderr: Path) -> None:
    deadline = time.monotonic() + TIME_LIMIT
    while text not in stderr.read_text():
        assert process.poll() is None and time.monotonic() < deadline, text
        time.sleep(0.05)


@pytest.fixture
def run_here(capsys):
    """Runs the command in this process: exit code and last line of standard error."""

    def run(arguments: list[str]) -> tuple[int, str]:
        capsys.readouterr()
        code = train.main(["train", *arguments])
        stderr = capsys.readouterr().err
        assert "Traceback" not in stderr
        return code, stderr.splitlines()[-1]

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_what_was_trained(number, tmp_path, traced_command, run_here):
    folder = tmp_path / "run"
    in_one_loop = "trainer.steps_per_loop=1000000,trainer.summary_interval=1000000"
    command = traced_command(folder, "--mode=train", f"--params_override={FOREVER}")
    with started([*command, f"--params_override={in_one_loop}"]) as (process, stderr):
        wait_for("First step", process, stderr)
        time.sleep(30)
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(TIME_LIMIT) == 128 + number
        assert time.monotonic() - begin < 20
    told = stderr.read_text()
    newest = whole_checkpoints.newest(str(folder))
    assert f"Saved {newest}; the same command goes on from there." in told
    assert told.splitlines()[-1] == f"Interrupted ({number.name})."
    assert "Traceback" not in told and "did not update" not in told
    assert not (folder / "run.lock").exists()
    step = int(newest.rpartition("-")[2])
    assert 0 < step < 1000000
    last = f"--params_override=trainer.train_steps={step + 2}"
    code, line = run_here([*command, last])
    assert code == 0 and f"step={step + 2}/{step + 2}" in line


def test_a_signal_while_compiling_loses_nothing(tmp_path, traced_command):
    folder = tmp_path / "run"
    command = traced_command(folder, "--mode=train", f"--params_override={FOREVER}")
    with started(command) as (process, stderr):
        wait_for("First step", process, stderr)
        process.terminate()
        assert process.wait(TIME_LIMIT) == 143
    assert "there is nothing new to save" in stderr.read_text()
    assert "Traceback" not in stderr.read_text()
    assert whole_checkpoints.survey(str(folder)).newest is None


def test_a_signal_in_an_evaluation_saves_what_was_trained(tmp_path, traced_command):
    folder = tmp_path / "run"
    ema = "ema.average_decay=0.99,trainer.optimizer_config.ema.dynamic_decay=false"
    intervals = "trainer.validation_interval=6,trainer.checkpoint_interval=2"
    command = traced_command(
        folder,
        f"--params_override={FOREVER}",
        f"--params_override=trainer.optimizer_config.{ema},{intervals}",
    )
    with started(command) as (process, stderr):
        wait_for("First evaluation", process, stderr)
        process.terminate()
        assert process.wait(TIME_LIMIT) == 143
    assert "Traceback" not in stderr.read_text()
    newest = whole_checkpoints.newest(str(folder))
    assert newest == str(folder / "ckpt-6")
    reader = tf.train.load_checkpoint(newest)
    assert reader.get_tensor("global_step/.ATTRIBUTES/VARIABLE_VALUE") == 6
    # The averages, which an evaluation puts in the weights' place, are back in theirs:
    # the weights are near what they were, and not near the averages.
    before = tf.train.load_checkpoint(str(folder / "ckpt-4"))
    average = "/.OPTIMIZER_SLOT/optimizer/average/"
    averages = [name for name in reader.get_variable_to_shape_map() if average in name]
    assert averages

    def distance(names: list[str]) -> float:
        return sum(
            np.abs(reader.get_tensor(name.replace(average, "/")) - other).sum()
            for name, other in zip(averages, map(before.get_tensor, names), strict=True)
        )

    weights = [name.replace(average, "/") for name in averages]
    assert distance(weights) < distance(averages) / 4


def test_a_second_run_is_refused(tmp_path, traced_command, run_here):
    folder = tmp_path / "run"
    command = traced_command(folder, "--mode=train", f"--params_override={FOREVER}")
    with started(command) as (process, stderr):
        wait_for("First step", process, stderr)
        code, line = run_here(command)
        assert code == 1
        assert str(process.pid) in line and str(folder / "run.lock") in line
        assert process.poll() is None
        process.kill()
        process.wait()
    code, line = run_here(
        [*command, "--params_override=trainer.train_steps=2,trainer.steps_per_loop=2"]
    )
    assert code == 0, line


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file can be larger, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "size, path",
    [
        (1_000, "params.yaml"),
        (10_000, "ckpt-4"),
        (200_000, "ckpt-4"),
        (700_000, "predictions.png"),
    ],
)
def test_a_full_disk_is_a_sentence(size, path, tmp_path, traced_command, run_here):
    folder = tmp_path / "run"
    code, line = run_here(
        traced_command(
            folder, "--mode=train", "--params_override=trainer.train_steps=2"
        )
    )
    assert code == 0, line
    before = (folder / "ckpt-2.index").read_bytes()
    with small_files(size):
        code, line = run_here(traced_command(folder))
    assert code == 1
    assert f"{folder}/{path}: File too large" in line
    newest = "ckpt-4" if path == "predictions.png" else "ckpt-2"
    assert f"goes on from {folder}/{newest}" in line
    assert (folder / "ckpt-2.index").read_bytes() == before
    code, line = run_here(traced_command(folder))
    assert code == 0, line
    assert whole_checkpoints.newest(str(folder)) == f"{folder}/ckpt-4"
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("moves", [False, True])
def test_a_directory_that_goes_away(
    moves, tmp_path, traced_command, run_here, monkeypatch
):
    folder = tmp_path / "run"
    report = actions.ReportProgress.__call__

    def remove(self, output):
        report(self, output)
        if self._last_step == 4:
            folder.rename(tmp_path / "moved")
            if not moves:
                shutil.rmtree(tmp_path / "moved")

    monkeypatch.setattr(actions.ReportProgress, "__call__", remove)
    code, line = run_here(
        traced_command(
            folder, "--mode=train", "--params_override=trainer.train_steps=8"
        )
    )
    assert code == 1 and f"{folder}/run.lock is gone" in line
    assert not list(folder.glob("ckpt-*"))
    if moves:
        assert whole_checkpoints.newest(f"{tmp_path}/moved").endswith("ckpt-2")


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_file_in_place_of_the_directory(below, tmp_path, traced_command, run_here):
    path = tmp_path / "file"
    path.write_text("mine")
    code, line = run_here(traced_command(f"{path}{below}"))
    assert code == 1 and f"{path}{below}" in line
    assert path.read_text() == "mine"
