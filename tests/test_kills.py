"""Training that is killed at any moment goes on, with the same command, undisturbed.

The data of these runs is one image, never changed, so that each step sees the same, and
all start from the same weights: a run that was killed must end with the very numbers of
one that was not.
"""

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from processes import killed_at_the_end

from hrnet_tf.weights import whole_checkpoints
from tests.conftest import IN_GRAPHS

pytestmark = [pytest.mark.slow, pytest.mark.faults]

REPO = Path(__file__).resolve().parents[1]
TIME_LIMIT = 600  # seconds
LAST_STEP = 96


@pytest.fixture(scope="module")
def command(toy_data, tmp_path_factory) -> Callable[[Path], list[str]]:
    """The training command for a model directory; every step sees the same image."""
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.synthetic import dataset as synthetic
    from hrnet_tf.data.vocabularies import skeletons

    data = tmp_path_factory.mktemp("one") / "data"
    synthetic.draw_dataset(str(data), 1, 1, image_size=96, max_people=1)
    for split in synthetic.SPLITS:
        coco_pose.convert(
            str(data / "images" / split),
            str(data / f"annotations/person_keypoints_{split}.json"),
            str(data / "records" / split),
            skeletons.load_skeleton("coco17"),
        )
    unchanged = {
        f"{name}_probability": 0.0 for name in ("half_body", "rotation", "flip")
    }
    changes = {
        "task": {
            "train_data": {
                "input_path": f"{data}/records/train-*",
                "global_batch_size": 1,
                "augmentation": {**unchanged, "scale": 0.0},
            },
            "validation_data": {"input_path": f"{data}/records/val-*"},
            "evaluation": {
                "annotation_file": f"{data}/annotations/person_keypoints_val.json"
            },
        },
        "trainer": {
            **IN_GRAPHS,
            "train_steps": LAST_STEP,
            # Evaluations count from where a run goes on, and the first checkpoint comes
            # after the first loop: so all come at the same steps.
            "steps_per_loop": 4,
            "summary_interval": 4,
            "checkpoint_interval": 4,
            "validation_interval": 4,
            # It falls with almost every evaluation, so there is much to save.
            "best_checkpoint_eval_metric": "validation_loss",
            "best_checkpoint_metric_comp": "lower",
            "optimizer_config": {
                "learning_rate": {"cosine": {"decay_steps": LAST_STEP}}
            },
        },
    }
    (data / "one.yaml").write_text(yaml.safe_dump(changes))

    def command(model_dir: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "hrnet_tf.train", "--experiment=hrnet_pose_coco"),
            f"--config_file={toy_data}/toy.yaml",
            f"--config_file={data}/one.yaml",
            f"--model_dir={model_dir}",
        ]

    # New weights are random: all runs start from the same ones.
    first = data / "first"
    finish([*command(first), "--mode=train", "--params_override=trainer.train_steps=4"])
    initial = f"task.init_checkpoint={first}/ckpt-4,task.init_checkpoint_modules=all"
    return lambda model_dir: [*command(model_dir), f"--params_override={initial}"]


def start(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=REPO,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(command: list[str]) -> str:
    with killed_at_the_end(start(command)) as process:
        _, stderr = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 0, stderr
    return stderr


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory) -> Path:
    model_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(command(model_dir))
    return model_dir


def names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


# The training command, which kills itself at the `count`th time of a moment. A save
# writes its parts into a folder, then moves the data to its place, then the index.
KILLED = """
import glob, os, signal, sys
from tensorflow.python.ops import gen_io_ops
from hrnet_tf import train, visualization
from hrnet_tf.training import best_checkpoint

moment, left = sys.argv.pop(1), int(sys.argv.pop(1))
merge, write_image = gen_io_ops.merge_v2_checkpoints, visualization.write_image

def reach(reached):
    global left
    left -= reached == moment
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def merge_or_die(parts, target, *args, **kwargs):
    prefix = os.fsdecode(target.numpy())
    kind = "best" if "best_ckpt-" in prefix else "run"
    reach(f"saving {kind}")
    if moment == f"renaming {kind}" and left == 1:
        data = ".data-00000-of-00001"
        os.rename(glob.glob(f"{glob.escape(prefix)}_temp/*{data}")[0], prefix + data)
    reach(f"renaming {kind}")
    merge(parts, target, *args, **kwargs)
    reach(f"saved {kind}")

def write_image_or_die(*args):
    reach("evaluating")
    write_image(*args)

gen_io_ops.merge_v2_checkpoints = merge_or_die
visualization.write_image = write_image_or_die
sys.exit(train.main(sys.argv))
"""
MOMENTS = ["saving run", "renaming run", "saved run", "evaluating"]
# When it gets better: surely at first.
BEST_MOMENTS = ["saving best", "renaming best", "saved best"]


def kill_at(moment: str, count: int, command: list[str]) -> None:
    """Runs a command that is killed at the `count`th time of a moment."""
    flags = command[command.index("hrnet_tf.train") + 1 :]
    killed = [sys.executable, "-c", KILLED, moment, str(count), *flags]
    with killed_at_the_end(start(killed)) as process:
        _, stderr = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == -signal.SIGKILL, stderr


def kill_after(seconds: float, command: list[str], folder: Path) -> None:
    """Kills a command some time after it has saved something."""
    before = set(names(folder))
    with killed_at_the_end(start(command)) as process:
        while process.poll() is None and not any(
            name.startswith("ckpt-") for name in set(names(folder)) - before
        ):
            time.sleep(0.001)
        time.sleep(seconds)


def newest_step(folder: Path) -> int:
    newest = whole_checkpoints.survey(str(folder)).newest
    return int(newest.rpartition("-")[2]) if newest else 0


def variables(prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    reader = tf.train.load_checkpoint(prefix)
    for name in sorted(reader.get_variable_to_shape_map()):
        # How often each process has saved is no part of the model.
        if not name.startswith(("_CHECKPOINTABLE", "save_counter")):
            yield name, reader.get_tensor(name)


@pytest.mark.parametrize("seed", range(4))
def test_killed_five_times_it_ends_with_the_same_numbers(
    seed, command, undisturbed, tmp_path
):
    choose = random.Random(seed)
    folder = tmp_path / "run"
    kills: list[Callable[[], None]] = [
        functools.partial(kill_at, moment, choose.randint(1, 2), command(folder))
        for moment in choose.sample(MOMENTS, 2)
    ]
    for _ in range(2):
        seconds = choose.uniform(0, 0.3)
        kills.append(functools.partial(kill_after, seconds, command(folder), folder))
    choose.shuffle(kills)
    best = choose.choice(BEST_MOMENTS)
    kills.insert(0, functools.partial(kill_at, best, 1, command(folder)))
    for kill in kills:
        step = newest_step(folder)
        kill()
        assert newest_step(folder) >= step
    step = newest_step(folder)
    assert step < LAST_STEP, "killed too late to tell"
    stderr = finish(command(folder))
    assert "Traceback" not in stderr
    left = LAST_STEP - step
    assert f"Training: {left}/{left} images" in stderr

    surveyed = whole_checkpoints.survey(str(folder))
    assert surveyed.newest == f"ckpt-{LAST_STEP}"
    assert not surveyed.damaged and not surveyed.unfinished
    assert set(names(folder)) == set(names(undisturbed))
    expected = dict(variables(str(undisturbed / surveyed.newest)))
    for name, value in variables(str(folder / surveyed.newest)):
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    metrics = [
        json.loads((path / "metrics.json").read_text())["validation_loss"]
        for path in (undisturbed, folder)
    ]
    assert metrics[0] == metrics[1]
    infos = [
        json.loads((path / "best_checkpoint/info.json").read_text())
        for path in (undisturbed, folder)
    ]
    # An evaluation that a kill broke off is not made up for: it may have been the
    # best one.
    assert infos[0]["validation_loss"] <= infos[1]["validation_loss"]
    best = dict(variables(whole_checkpoints.newest(str(folder / "best_checkpoint"))))
    step = best["global_step/.ATTRIBUTES/VARIABLE_VALUE"]
    assert step == infos[1]["best_ckpt_global_step"]
