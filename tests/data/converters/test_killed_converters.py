"""Real converters, killed at moments of their work, or two at once."""

import contextlib
import filecmp
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import killed_at_the_end

from hrnet_tf.data.records import names, sets
from hrnet_tf.data.records.shards import read_serialized
from hrnet_tf.data.synthetic import dataset as synthetic

REPO = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "data"
    synthetic.draw_dataset(str(folder), 300, 40, image_size=96, max_people=2)
    return folder


def start(drawn, split, prefix, *more):
    flags = {
        "image_dir": drawn / "images" / split,
        "annotations": drawn / f"annotations/person_keypoints_{split}.json",
        "output_prefix": prefix,
        "num_shards": 12,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "hrnet_tf.data.coco_pose"]
        + [f"--{name}={value}" for name, value in flags.items()]
        + list(more),
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def look(prefix):
    """How many records readers find, or what they say is wrong."""
    files = names.match([f"{prefix}-*"])
    found = list(sets.faults(f"{prefix}-*"))
    if found:
        return found[0]
    return sum(1 for path in files for _ in read_serialized(path))


def wait_for_work(process, folder):
    """Until a converter has begun to write, or has ended."""
    while process.poll() is None and not list(folder.glob(".*.partial")):
        time.sleep(0.005)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("is_overwriting", [False, True])
def test_killed_at_any_moment_no_half_set_looks_whole(
    tmp_path, drawn, is_overwriting, sign
):
    rng = random.Random(f"{sign} {is_overwriting}")
    prefix = tmp_path / "records" / "train"
    prefix.parent.mkdir()
    if is_overwriting:
        assert start(drawn, "val", prefix).wait() == 0
    old, new = (40, 300) if is_overwriting else (0, 300)
    for _ in range(5):
        process = start(drawn, "train", prefix, "--overwrite")
        wait_for_work(process, prefix.parent)
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(sign)
        process.wait()
        found = look(prefix)
        assert found in (old, new) or "unfinished" in found, found
        old = found if isinstance(found, int) else 0
    process = start(drawn, "train", prefix, "--overwrite")
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert look(prefix) == 300
    assert len(os.listdir(prefix.parent)) == 13  # The description, and no leftover.


def test_of_two_at_once_one_is_refused_or_the_later_wins(tmp_path, drawn):
    for attempt in range(5):
        prefix = tmp_path / str(attempt) / "train"
        both = [start(drawn, s, prefix, "--overwrite") for s in synthetic.SPLITS]
        errors = [process.communicate()[1] for process in both]
        codes = [process.returncode for process in both]
        assert 0 in codes
        for code, error in zip(codes, errors, strict=True):
            assert code == 0 or "is writing records of the prefix" in error
        wrote = {n for n, code in zip((300, 40), codes, strict=True) if code == 0}
        assert look(prefix) in wrote
        assert len(os.listdir(prefix.parent)) == 13


# ---- several processes ----


def workers_of(process):
    """The ids of all that a process has started, and these."""
    found, parents = [], [process.pid]
    while parents:
        task = Path(f"/proc/{parents.pop()}/task")
        for children in task.glob("*/children"):
            parents += map(int, children.read_text().split())
        found += parents
    return sorted({*found})


def is_worker(pid):
    """Whether a process was forked by the server: all of them share its command."""
    parent = re.search(r"PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1]
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return command == Path(f"/proc/{parent}/cmdline").read_bytes()


def are_gone(pids):
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for_workers(process, folder):
    """Until several processes write; returns the ids of all that there are."""
    while process.poll() is None and not list(
        folder.glob(".*.partial/00001.*[0-9a-f]")
    ):
        time.sleep(0.005)
    return workers_of(process)


def test_two_processes_write_the_files_of_one(tmp_path, drawn):
    for folder, flags in (("one", []), ("two", ["--num_processes=2"])):
        process = start(drawn, "train", tmp_path / folder / "train", *flags)
        _, error = process.communicate()
        assert process.returncode == 0, error
    names_of_one = os.listdir(tmp_path / "one")
    assert len(names_of_one) == 13
    _, *others = filecmp.cmpfiles(
        tmp_path / "one", tmp_path / "two", names_of_one, shallow=False
    )
    assert others == [[], []]
    # What TensorFlow has to tell of the machine is told once.
    assert error.count("cuInit") <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_worker_ends_the_run_with_a_sentence(tmp_path, drawn):
    prefix = tmp_path / "records" / "train"
    process = start(drawn, "train", prefix, "--num_processes=2")
    workers = wait_for_workers(process, prefix.parent)
    os.kill(next(filter(is_worker, workers)), signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith("One of 2 processes (--num_processes) was")
    assert "Traceback" not in error
    assert os.listdir(prefix.parent) == []
    assert are_gone(workers)
    again = start(drawn, "train", prefix, "--num_processes=2")
    again.communicate()
    assert look(prefix) == 300


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_converter(tmp_path, drawn, sign):
    prefix = tmp_path / "records" / "train"
    process = start(drawn, "train", prefix, "--num_processes=2")
    workers = wait_for_workers(process, prefix.parent)
    assert len(workers) >= 3
    process.send_signal(sign)
    _, error = process.communicate(timeout=60)
    assert are_gone(workers)
    if sign == signal.SIGTERM:
        assert process.returncode == 143
        assert error.splitlines()[-1] == "Interrupted (SIGTERM)."
        assert os.listdir(prefix.parent) == []


# ---- workers of Beam on this machine ----


def beam_workers_of(process):
    command = b"\0-m\0apache_beam.runners.worker.sdk_worker_main\0"
    found = []
    for pid in workers_of(process):
        with contextlib.suppress(OSError):
            if command in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("seconds", [0, 4])
def test_a_conversion_begins_again_without_a_killed_worker(tmp_path, drawn, seconds):
    pytest.importorskip("apache_beam")
    prefix = tmp_path / "records" / "train"
    flags = ["--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    process = start(drawn, "train", prefix, *flags, "--direct_num_workers=2")
    with killed_at_the_end(process):
        while not beam_workers_of(process):
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(seconds)
        os.kill(beam_workers_of(process)[0], signal.SIGKILL)
        _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "Starts again: attempt 2 of 3." in error
    assert look(prefix) == 300
    assert len(os.listdir(prefix.parent)) == 13
