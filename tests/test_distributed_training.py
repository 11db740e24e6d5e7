"""Several processes train one model: two workers on this machine, over loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from processes import killed_at_the_end

from hrnet_tf import train
from hrnet_tf.weights import whole_checkpoints

REPO = Path(__file__).resolve().parents[1]
TIME_LIMIT = 300  # seconds


def free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def run_workers(
    arguments: list[str],
    count: int = 2,
    meanwhile: Callable[[list[subprocess.Popen]], None] = lambda workers: None,
) -> list[tuple[int, str, str]]:
    """Runs the training command in `count` processes: code and outputs of each."""
    cluster = {"worker": free_addresses(count)}
    workers: list[subprocess.Popen] = []
    with contextlib.ExitStack() as ended:
        for index in range(count):
            task = {"type": "worker", "index": index}
            worker = subprocess.Popen(
                [sys.executable, "-m", "hrnet_tf.train", *arguments],
                cwd=REPO,
                env={
                    **os.environ,
                    "CUDA_VISIBLE_DEVICES": "-1",
                    "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            workers.append(ended.enter_context(killed_at_the_end(worker)))
        meanwhile(workers)
        outputs = [worker.communicate(timeout=TIME_LIMIT) for worker in workers]
    return [
        (worker.returncode, *output)
        for worker, output in zip(workers, outputs, strict=True)
    ]


def checkpoint_files(model_dir: Path) -> set[str]:
    return {path.name for path in model_dir.glob("ckpt-*.index")}


def result_scores(model_dir: Path) -> list[float]:
    results = json.loads((model_dir / "results.json").read_text())
    return sorted(result["score"] for result in results)


@pytest.mark.slow
def test_two_workers_train_evaluate_and_continue(tmp_path, traced_command):
    model_dir = tmp_path / "run"
    two_workers = "runtime.distribution_strategy=multi_worker_mirrored"

    def run(train_steps: int) -> tuple[str, str, str]:
        """The chief's standard output, and the standard error of both."""
        chief, other = run_workers(
            traced_command(
                model_dir,
                f"--params_override={two_workers},trainer.train_steps={train_steps}",
            )
        )
        assert chief[0] == 0, chief[2]
        assert other[0] == 0, other[2]
        assert other[1] == ""  # the chief alone prints results
        return chief[1], chief[2], other[2]

    stdout, *errors = run(train_steps=4)
    assert stdout.count("Evaluation at step 4 on") == 1
    for stderr in errors:
        assert "Training: 16/16 images" in stderr and "step=4/4" in stderr
    assert checkpoint_files(model_dir) == {"ckpt-2.index", "ckpt-4.index"}
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert metrics["step"] == 4 and "keypoint_AP" in metrics
    for folder in ("train", "validation"):
        assert len(list((model_dir / folder).glob("events*"))) == 1
    assert tf.train.latest_checkpoint(model_dir / "best_checkpoint")

    # The same command goes on where both stopped, and both with the same weights.
    stdout, *errors = run(train_steps=6)
    assert stdout.count("Evaluation at step 6 on") == 1
    for stderr in errors:
        assert "Training: 8/8 images" in stderr and "step=6/6" in stderr
    assert checkpoint_files(model_dir) == {"ckpt-4.index", "ckpt-6.index"}

    # And one process alone restores what two have written.
    scores = result_scores(model_dir)
    code = train.main(["train", *traced_command(model_dir, "--mode=eval")])
    assert code == 0
    assert json.loads((model_dir / "metrics.json").read_text())["step"] == 6
    assert result_scores(model_dir) == pytest.approx(scores, rel=1e-3)


@pytest.mark.slow
@pytest.mark.faults
def test_a_signal_to_one_worker_stops_both(tmp_path, traced_command):
    model_dir = tmp_path / "run"
    changes = (
        "runtime.distribution_strategy=multi_worker_mirrored",
        "trainer.train_steps=1000000",
        "trainer.checkpoint_interval=1000000",
        "trainer.optimizer_config.learning_rate.type=constant",
        "trainer.optimizer_config.learning_rate.constant.learning_rate=0.001",
    )

    def stop_one(workers: list[subprocess.Popen]) -> None:
        deadline = time.monotonic() + TIME_LIMIT
        while not list(model_dir.glob("train/events*")):
            assert time.monotonic() < deadline and workers[1].poll() is None
            time.sleep(0.1)
        time.sleep(30)
        workers[1].terminate()

    chief, other = run_workers(
        traced_command(
            model_dir, "--mode=train", f"--params_override={','.join(changes)}"
        ),
        meanwhile=stop_one,
    )
    assert chief[0] == other[0] == 143, chief[2] + other[2]
    newest = whole_checkpoints.newest(str(model_dir))
    assert f"Saved {newest}; the same command goes on from there." in chief[2]
    assert "Traceback" not in chief[2] + other[2]
    assert not (model_dir / "run.lock").exists()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_the_other_and_the_same_command_goes_on(
    victim, tmp_path, toy_command
):
    model_dir = tmp_path / "run"
    changes = (
        "runtime.distribution_strategy=multi_worker_mirrored",
        "trainer.train_steps=60",
        "trainer.checkpoint_interval=2",
    )
    command = toy_command(
        model_dir, "--mode=train", f"--params_override={','.join(changes)}"
    )

    def kill_one(workers: list[subprocess.Popen]) -> None:
        deadline = time.monotonic() + TIME_LIMIT
        while not checkpoint_files(model_dir):
            assert time.monotonic() < deadline and workers[victim].poll() is None
            time.sleep(0.1)
        time.sleep(1)
        workers[victim].kill()
        workers[1 - victim].wait(timeout=60)

    workers = run_workers(command, meanwhile=kill_one)
    assert workers[victim][0] == -signal.SIGKILL
    code, _, error = workers[1 - victim]
    newest = whole_checkpoints.newest(str(model_dir))
    assert code == 1 and "Traceback" not in error
    assert error.splitlines()[-1] == (
        f"Another worker (worker {victim}) has ended or cannot be reached, so that "
        "this one had to stop: what it printed last may say why. Start all workers "
        f"again: the same command goes on from {newest}."
    )
    step = int(newest.rpartition("-")[2])
    assert 0 < step < 60
    # As it goes on, but not to its end: steps are slow that are no graph.
    end = step + 2
    sooner = f"--params_override=trainer.train_steps={end}"
    for code, _, error in run_workers([*command, sooner]):
        assert code == 0, error
        assert "Training: 8/8 images" in error
    assert f"ckpt-{end}.index" in checkpoint_files(model_dir)
