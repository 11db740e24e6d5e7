"""Real converters, killed at moments of their work, or two at once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
