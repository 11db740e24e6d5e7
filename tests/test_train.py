"""The training command end to end, on drawn people and a toy network.

Starting a process costs as much as ten of these trainings, so a process of its own is
kept for what needs one: the first run, which others look into, and a run that is
killed. The rest calls `train.main` in this process.
"""

import gc
import glob
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import yaml
from official.core import config_definitions as cfg
from processes import killed_at_the_end
from tensorboard.compat.proto import event_pb2

from hrnet_tf import train
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.evaluation.coco_keypoints import METRICS
from hrnet_tf.training import actions, run, workers
from hrnet_tf.weights import whole_checkpoints

REPO = Path(__file__).resolve().parents[1]
TABLE_HEAD = "    AP   AP50   AP75    APM    APL     AR   AR50   AR75    ARM    ARL"


def override(*changes: str) -> str:
    return f"--params_override={','.join(changes)}"


def start_process(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "hrnet_tf.train", *arguments],
        cwd=REPO,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_json(path: Path):
    return json.loads(path.read_text())


def read_summaries(*files: str) -> dict[str, dict[int, np.ndarray]]:
    """TensorBoard's values by tag and step."""
    summaries: dict[str, dict[int, np.ndarray]] = {}
    for record in tf.data.TFRecordDataset(list(files)):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
            steps = summaries.setdefault(value.tag, {})
            steps[event.step] = tf.make_ndarray(value.tensor)
    return summaries


def event_files(folder: Path) -> list[str]:
    return glob.glob(f"{folder}/events.out.tfevents.*")


@pytest.fixture
def run_here(capsys):
    """Runs the command in this process: exit code, standard output and error."""

    def run(arguments: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = train.main(["train", *arguments])
        return code, *capsys.readouterr()

    return run


# ---- one run, as a user starts it ----


@pytest.fixture(scope="session")
def trained(traced_command, tmp_path_factory):
    """Four steps, evaluated after two and after four, in a process of its own.

    Returns the model directory, standard output and standard error.
    """
    model_dir = tmp_path_factory.mktemp("trained")
    command = traced_command(
        model_dir,
        "--mode=train_and_eval",
        override(
            "trainer.validation_interval=2",
            "runtime.distribution_strategy=mirrored",
        ),
    )
    with killed_at_the_end(start_process(command)) as process:
        stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return model_dir, stdout, stderr


@pytest.fixture
def trained_dir(trained, tmp_path):
    """A copy of the trained model directory, without what evaluations write."""
    copy = tmp_path / "run"
    shutil.copytree(trained[0], copy)
    for name in ("metrics.json", "results.json", "predictions.png"):
        (copy / name).unlink()
    return copy


def test_writes_metrics_results_and_pictures(trained, toy_data):
    model_dir, _, _ = trained
    metrics = read_json(model_dir / "metrics.json")
    assert all(-1 <= metrics[name] <= 1 for name in METRICS)
    assert metrics["box_source"] == "ground truth"
    assert metrics["flip_test"] is True and metrics["codec"] == "msra"
    assert metrics["annotation_file"].endswith("person_keypoints_val.json")
    assert metrics["step"] == 4 and metrics["validation_loss"] > 0
    validation = read_json(toy_data / "annotations/person_keypoints_val.json")
    image_ids = {image["id"] for image in validation["images"]}
    results = read_json(model_dir / "results.json")
    assert {result["image_id"] for result in results} <= image_ids
    assert all(len(result["keypoints"]) == 17 * 3 for result in results)
    picture = cv2.imread(str(model_dir / "predictions.png"))
    assert picture.std() > 10  # not blank
    params = yaml.safe_load((model_dir / "params.yaml").read_text())
    assert params["trainer"]["train_steps"] == 4
    assert read_json(model_dir / "run.json")["experiment"] == "hrnet_pose_coco"
    assert not list(model_dir.glob("**/*.tmp"))


def test_prints_every_evaluation_and_what_to_do_next(trained):
    model_dir, stdout, _ = trained
    lines = stdout.splitlines()
    after = [lines.pop() for _ in range(4)][::-1]
    assert after[0].startswith(f"Next, look at {model_dir}/predictions.png, and export")
    assert " -m hrnet_tf.export " in after[1] and " -m hrnet_tf.demo " in after[3]
    title = "COCO keypoints, boxes: ground truth, flip test: on, codec: msra"
    assert lines.count(title) == 2
    assert lines.count(TABLE_HEAD) == 2
    headings = [line for line in lines if line.startswith("Evaluation at step")]
    assert [heading.split()[3] for heading in headings] == ["2", "4"]
    assert set(lines) - set(headings) == {
        "",
        title,
        TABLE_HEAD,
        *(line for line in lines if re.fullmatch(r"( +(-|\d\.\d{3})){10}", line)),
        "-: no labelled person of that size in the annotation file",
    }


def test_reports_progress_as_lines_where_there_is_no_terminal(trained):
    _, _, stderr = trained
    assert re.search(
        r"^Training: 16/16 images, [\d.]+ images/s, took .*, step=4/4, loss=\d\S*, "
        r"learning_rate=0$",
        stderr,
        re.MULTILINE,
    )
    assert re.search(r"^Evaluating: \d+ crops", stderr, re.MULTILINE)
    assert "\r" not in stderr and "Traceback" not in stderr


def test_says_what_it_does_before_the_first_progress(trained):
    _, _, stderr = trained
    lines = [line.split(":")[0] for line in stderr.splitlines()]
    expected = [
        *("Runs on the CPU", "Building the model.", "Reading the data.", "First step"),
        *("First evaluation", "Evaluating"),
    ]
    places = [lines.index(line) for line in expected]
    assert places == sorted(places)
    assert all(lines.count(line) == 1 for line in expected[1:5])
    assert "Progress is shown every 2 steps (trainer.steps_per_loop)." in stderr


def test_writes_scalars_and_pictures_for_tensorboard(trained):
    model_dir, _, _ = trained
    summaries = read_summaries(*event_files(model_dir / "train"))
    for tag in ("training_loss", "learning_rate", "steps_per_second"):
        assert list(summaries[tag]) == [2, 4]
    assert summaries["learning_rate"][2] == pytest.approx(0.001)
    summaries = read_summaries(*event_files(model_dir / "validation"))
    for tag in (*METRICS, "validation_loss"):
        assert list(summaries[tag]) == [2, 4]
    for tag in ("image/heatmaps", "image/predictions"):
        width, height, *pictures = summaries[tag][4]
        assert len(pictures) == 1
        picture = tf.io.decode_png(pictures[0]).numpy()
        assert picture.shape == (int(height), int(width), 3) and picture.std() > 10


@pytest.fixture
def tensorboard(trained):
    """Returns what a TensorBoard on the run answers to a path of its HTTP interface."""
    process = subprocess.Popen(
        [Path(sys.executable).parent / "tensorboard", f"--logdir={trained[0]}"]
        + ["--port=0"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with killed_at_the_end(process):
        address, told = None, []
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"TensorBoard [\d.]+ at (http://\S+:\d+)/", line):
                address = found[1]
                break
        assert address, "".join(told)

        def get(path: str) -> bytes:
            with urllib.request.urlopen(f"{address}/data/{path}", timeout=60) as answer:
                return answer.read()

        yield get


def test_tensorboard_shows_scalars_and_pictures(trained, tensorboard):
    deadline = time.monotonic() + 60
    tags: dict[str, dict] = {}
    # It answers before it has read all files.
    while not {"train", "validation"} <= set(tags) and time.monotonic() < deadline:
        time.sleep(0.2)
        tags = json.loads(tensorboard("plugin/scalars/tags"))
    assert {"training_loss", "learning_rate"} <= set(tags["train"])
    assert set(METRICS) <= set(tags["validation"])
    query = "plugin/scalars/scalars?run=train&tag=training_loss"
    values = json.loads(tensorboard(query))
    assert [step for _, step, _ in values] == [2, 4]
    assert all(value > 0 for *_, value in values)
    tags = json.loads(tensorboard("plugin/images/tags"))
    assert set(tags["validation"]) == {"image/heatmaps", "image/predictions"}
    query = "plugin/images/images?run=validation&tag=image/predictions&sample=0"
    last = json.loads(tensorboard(query))[-1]
    picture = tensorboard(f"plugin/images/individualImage?{last['query']}")
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    expected = cv2.imread(str(trained[0] / "predictions.png"))
    np.testing.assert_array_equal(decoded, expected)


def test_keeps_the_best_checkpoint_apart(trained):
    model_dir, _, _ = trained
    best_dir = model_dir / "best_checkpoint"
    info = read_json(best_dir / "info.json")
    step = info["best_ckpt_global_step"]
    validation = read_summaries(*event_files(model_dir / "validation"))
    average_precisions = validation["keypoint_AP"]
    assert info["keypoint_AP"] == pytest.approx(max(average_precisions.values()))
    assert info["keypoint_AP"] == pytest.approx(average_precisions[step])
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(best_dir))
    assert reader.get_tensor("global_step/.ATTRIBUTES/VARIABLE_VALUE") == step
    assert tf.train.latest_checkpoint(model_dir) == str(model_dir / "ckpt-4")


# ---- evaluation ----


def test_eval_scores_the_latest_checkpoint(
    trained, trained_dir, toy_command, run_here, caplog
):
    code, stdout, stderr = run_here(toy_command(trained_dir, "--mode=eval"))
    assert code == 0, stderr
    assert "Evaluation at step 4 on" in stdout and "boxes: ground truth" in stdout
    before = read_json(trained[0] / "metrics.json")
    metrics = read_json(trained_dir / "metrics.json")
    assert metrics["step"] == 4
    assert metrics["validation_loss"] == pytest.approx(
        before["validation_loss"], rel=1e-4
    )
    # TensorFlow would complain of an optimizer state that nobody needs here.
    gc.collect()
    assert "could not be found" not in caplog.text


def test_eval_scores_the_checkpoint_it_is_given(trained_dir, toy_command, run_here):
    best = tf.train.latest_checkpoint(trained_dir / "best_checkpoint")
    code, stdout, stderr = run_here(
        toy_command(trained_dir, "--mode=eval", f"--checkpoint={best}")
    )
    assert code == 0, stderr
    info = read_json(trained_dir / "best_checkpoint/info.json")
    metrics = read_json(trained_dir / "metrics.json")
    assert metrics["step"] == info["best_ckpt_global_step"]
    assert f"Evaluation at step {metrics['step']} on" in stdout
    assert metrics["validation_loss"] == pytest.approx(
        info["validation_loss"], rel=1e-4
    )


@pytest.mark.heavy
def test_eval_names_the_detectors_file(trained_dir, toy_data, toy_command, run_here):
    validation = read_json(toy_data / "annotations/person_keypoints_val.json")
    detections = [
        {"category_id": 1, "score": 0.5}
        | {key: annotation[key] for key in ("image_id", "bbox")}
        for annotation in validation["annotations"]
    ]
    path = trained_dir / "detections.json"
    path.write_text(json.dumps(detections))
    code, stdout, stderr = run_here(
        toy_command(
            trained_dir,
            "--mode=eval",
            override(f"task.validation_data.detections_file={path}"),
        )
    )
    assert code == 0, stderr
    assert f"COCO keypoints, boxes: {path}" in stdout
    assert read_json(trained_dir / "metrics.json")["box_source"] == str(path)
    scores = [result["score"] for result in read_json(trained_dir / "results.json")]
    assert max(scores) <= 0.5  # the box's score times the keypoints'


@pytest.mark.heavy
def test_continuous_eval_ends_after_the_last_checkpoint(
    trained_dir, toy_command, run_here
):
    code, stdout, stderr = run_here(
        toy_command(
            trained_dir,
            "--mode=continuous_eval",
            override("trainer.continuous_eval_timeout=1"),
        )
    )
    assert code == 0, stderr
    assert stdout.count("Evaluation at step 4 on") == 1
    assert read_json(trained_dir / "metrics.json")["step"] == 4


def test_a_finished_run_started_again_only_evaluates(
    trained_dir, toy_command, run_here
):
    # Also what a run does that was stopped during its last evaluation.
    code, stdout, stderr = run_here(toy_command(trained_dir))
    assert code == 0, stderr
    assert "Training: 0/0 images" in stderr
    assert stdout.count("Evaluation at step 4 on") == 1
    assert read_json(trained_dir / "metrics.json")["step"] == 4


@pytest.mark.parametrize(
    "flags, code, sentence",
    [
        (["--mode=eval"], 1, "holds no checkpoint to evaluate"),
        (["--mode=eval", "--checkpoint=/no/ckpt-1"], 1, "names no checkpoint"),
        (["--mode=train", "--checkpoint=/no/ckpt-1"], 2, "goes with --mode=eval"),
        (["--mode=test"], 2, "--mode"),
        (["--model_dir="], 1, "--model_dir is empty"),
        (["--model_dir=runs/[1]"], 1, "a pattern when it reads"),
        (["--model_dir=~/run"], 1, "begins with ~"),
        (
            [override("runtime.distribution_strategy=parameter_server")],
            1,
            "parameter_server",
        ),
    ],
)
def test_refuses_what_cannot_work(
    flags, code, sentence, toy_command, tmp_path, run_here
):
    received, stdout, stderr = run_here(toy_command(tmp_path / "run", *flags))
    assert received == code
    assert sentence in stderr
    assert stdout == "" and not (tmp_path / "run").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("uses", ["its own checkpoint", "task.init_checkpoint"])
def test_refuses_a_checkpoint_of_another_model(
    uses, trained_dir, toy_command, tmp_path, run_here
):
    saved_params = (trained_dir / "params.yaml").read_text()
    deeper = "task.model.backbone.hrnet.custom.modules=[1,1,2]"
    if uses == "its own checkpoint":
        command = toy_command(trained_dir, override(deeper))
    else:
        initial = override(f"task.init_checkpoint={trained_dir}")
        command = toy_command(tmp_path / "new", initial, override(deeper))
    code, _, stderr = run_here(command)
    assert code == 1
    sentence = stderr.splitlines()[-1]
    assert str(trained_dir) in sentence
    assert "does not fit the model" in sentence
    assert (trained_dir / "params.yaml").read_text() == saved_params


def cut_off(prefix: str) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    # What the optimizer keeps is at the end; the model alone can still be read.
    data.write_bytes(data.read_bytes()[:-64])


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_run_goes_on_from_its_newest_whole_checkpoint(
    mode, trained_dir, toy_command, run_here
):
    cut_off(f"{trained_dir}/ckpt-4")
    (trained_dir / "checkpoint").write_bytes(b"\0garbage")
    code, stdout, stderr = run_here(toy_command(trained_dir, f"--mode={mode}"))
    assert code == 0, stderr
    told = f"newest whole checkpoint in {trained_dir} is ckpt-2: ckpt-4 is damaged ("
    assert stderr.count(told) == 1
    if mode == "eval":
        assert "Evaluation at step 2 on" in stdout
    else:
        assert "Training: 8/8 images" in stderr
        assert tf.train.latest_checkpoint(trained_dir) == f"{trained_dir}/ckpt-4"


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.slow  # A training.
def test_a_run_does_not_wait_for_pipes(trained_dir, traced_command, run_here):
    (newest,) = (trained_dir / "best_checkpoint").glob("*.index")
    for path in (
        *(trained_dir / name for name in ("checkpoint", "params.yaml", "run.json")),
        *(trained_dir / "ckpt-4.data-00000-of-00001", newest),
    ):
        make_pipe(path)
    code, _, stderr = run_here(traced_command(trained_dir, "--mode=train"))
    assert code == 0, stderr
    assert "ckpt-4.data-00000-of-00001 is a pipe, not a file" in stderr
    assert (trained_dir / "params.yaml").is_file()
    assert (trained_dir / "run.json").is_file()
    assert tf.train.latest_checkpoint(trained_dir) == f"{trained_dir}/ckpt-4"


@pytest.mark.parametrize("mode", ["train", "eval", "continuous_eval"])
def test_a_run_without_a_whole_checkpoint_does_not_start_over(
    mode, trained_dir, toy_command, run_here
):
    for step in (2, 4):
        cut_off(f"{trained_dir}/ckpt-{step}")
    code, _, stderr = run_here(toy_command(trained_dir, f"--mode={mode}"))
    assert code == 1
    assert f"No checkpoint in {trained_dir} is whole" in stderr.splitlines()[-1]


def test_a_damaged_checkpoint_that_is_named_is_refused(
    trained_dir, toy_command, run_here
):
    cut_off(f"{trained_dir}/ckpt-4")
    named = f"--checkpoint={trained_dir}/ckpt-4"
    code, _, stderr = run_here(toy_command(trained_dir, "--mode=eval", named))
    assert code == 1
    assert f"{named} is damaged: " in stderr.splitlines()[-1]


@pytest.mark.slow  # Traces evaluations.
def test_an_evaluation_does_not_look_for_what_it_does_not_use(
    trained_dir, traced_command, run_here
):
    best = tf.train.latest_checkpoint(trained_dir / "best_checkpoint")
    unused = override(
        "task.init_checkpoint=/no/ckpt",
        "task.train_data.input_path=/no/records",
        "trainer.optimizer_config.learning_rate.cosine.decay_steps=99",
    )
    for flags in ([f"--checkpoint={best}"], []):
        code, stdout, stderr = run_here(
            traced_command(trained_dir, "--mode=eval", unused, *flags)
        )
        assert code == 0, stderr
        assert "Evaluation at step" in stdout and "decay_steps" not in stderr


@pytest.mark.heavy
def test_a_run_that_goes_on_does_not_look_for_where_it_began(
    trained_dir, toy_command, run_here
):
    saved_params = (trained_dir / "params.yaml").read_text()
    gone = override("task.init_checkpoint=/no/ckpt")
    code, _, stderr = run_here(toy_command(trained_dir, gone))
    (trained_dir / "params.yaml").write_text(saved_params)
    assert code == 0, stderr


# ---- a run that is killed ----

LONG_RUN = override(
    "trainer.train_steps=24",
    "trainer.max_to_keep=100",
    "trainer.optimizer_config.learning_rate.cosine.decay_steps=24",
)


def checkpoint_steps(model_dir: Path) -> list[int]:
    names = [path.stem for path in model_dir.glob("ckpt-*.index")]
    return sorted(int(name.removeprefix("ckpt-")) for name in names)


@pytest.mark.slow  # Two trainings in processes of their own.
def test_continues_after_a_kill(tmp_path, traced_command, run_here):
    command = traced_command(tmp_path, "--mode=train", LONG_RUN)
    with killed_at_the_end(start_process(command)) as process:
        while process.poll() is None and checkpoint_steps(tmp_path)[-1:] < [8]:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
    assert process.returncode == -signal.SIGKILL, stderr
    # Killed between two files, it may have saved one more than its file says.
    last = whole_checkpoints.newest(str(tmp_path))
    last_step = int(last.rpartition("-")[2])
    assert 6 <= last_step < 24
    first_run_events = event_files(tmp_path / "train")

    code, _, stderr = run_here(command)

    assert code == 0, stderr
    assert tf.train.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-24")
    images = 4 * (24 - last_step)
    assert f"Training: {images}/{images} images" in stderr and "step=24/24" in stderr
    second_run_events = set(event_files(tmp_path / "train")) - set(first_run_events)
    rates = read_summaries(*second_run_events)["learning_rate"]
    assert list(rates) == list(range(last_step + 2, 25, 2))
    for step, rate in rates.items():
        expected = 0.001 * (1 + math.cos(math.pi * step / 24))
        assert rate == pytest.approx(expected, abs=1e-7)
    assert_is_two_steps_of_adam(
        tf.train.load_checkpoint(last),
        tf.train.load_checkpoint(str(tmp_path / f"ckpt-{last_step + 2}")),
        learning_rate=0.002,
    )


@pytest.mark.slow  # Traces two trainings.
def test_a_changed_learning_rate_counts_when_a_run_goes_on(
    tmp_path, traced_command, run_here
):
    def command(rate: float, steps: int) -> list[str]:
        path = "trainer.optimizer_config.learning_rate"
        return traced_command(
            tmp_path,
            "--mode=train",
            override(
                f"{path}.type=constant",
                f"{path}.constant.learning_rate={rate}",
                f"trainer.train_steps={steps}",
            ),
        )

    code, _, stderr = run_here(command(0.002, 4))
    assert code == 0, stderr
    first_run_events = event_files(tmp_path / "train")
    code, _, stderr = run_here(command(0.0005, 6))
    assert code == 0, stderr
    sentence = "learning_rate is 0.0005 now; the run was trained with 0.002."
    assert sentence in stderr
    second_run_events = set(event_files(tmp_path / "train")) - set(first_run_events)
    rates = read_summaries(*second_run_events)["learning_rate"]
    assert rates == {6: pytest.approx(0.0005)}
    assert "learning_rate=0.0005" in stderr
    assert_is_two_steps_of_adam(
        tf.train.load_checkpoint(str(tmp_path / "ckpt-4")),
        tf.train.load_checkpoint(str(tmp_path / "ckpt-6")),
        learning_rate=0.0005,
    )


def assert_is_two_steps_of_adam(before, after, learning_rate: float) -> None:
    """Of two checkpoints, that weights and moments of one followed from the other.

    In two steps a squared gradient's moment cannot lose more than 2 * 0.1 %, and a
    weight cannot move by more than 2 * 3.2 learning rates.
    """
    iterations = "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"
    assert after.get_tensor(iterations) == before.get_tensor(iterations) + 2
    suffix = "/.OPTIMIZER_SLOT/optimizer/v/.ATTRIBUTES/VARIABLE_VALUE"
    slots = [name for name in before.get_variable_to_shape_map() if suffix in name]
    assert len(slots) > 50
    for slot in slots:
        moments, new_moments = before.get_tensor(slot), after.get_tensor(slot)
        assert (new_moments >= 0.998 * moments - 1e-12).all(), slot
        weight = slot.removesuffix(suffix) + "/.ATTRIBUTES/VARIABLE_VALUE"
        moved = np.abs(after.get_tensor(weight) - before.get_tensor(weight))
        assert 0 < moved.max() < 2 * 3.2 * learning_rate, weight


# ---- losses that diverge, number formats, other keypoints ----


def test_stops_when_the_loss_is_not_a_number(tmp_path, toy_command, run_here):
    code, _, stderr = run_here(
        toy_command(
            tmp_path,
            "--mode=train",
            override(
                "trainer.optimizer_config.learning_rate.type=constant",
                "trainer.optimizer_config.learning_rate.constant.learning_rate=1e6",
            ),
        )
    )
    assert code == 1
    sentence = stderr.splitlines()[-1]
    assert re.match(
        r"The training loss became (nan|(inf|[\d.]+e\+\d+), above "
        r"trainer.loss_upper_bound=1e\+06,) between steps 1 and 2\. "
        r"Try a lower learning rate ",
        sentence,
    )
    for key in ("learning_rate", "adam.global_clipnorm", "mixed_precision_dtype"):
        assert key in sentence
    assert tf.train.latest_checkpoint(tmp_path) is None


def test_a_lost_worker_ends_the_process_before_anything_is_let_go(
    tmp_path, toy_command, monkeypatch, capsys
):
    def lose(*arguments):
        raise workers.LostWorkerError("Another worker has ended.")

    def end(code):
        raise SystemExit(code)

    monkeypatch.setattr(run, "run", lose)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit, match="1"):
        train.main(["train", *toy_command(tmp_path)])
    assert capsys.readouterr().err.endswith("Another worker has ended.\n")


def test_stops_when_the_loss_is_above_its_bound_too_often():
    config = cfg.TrainerConfig(
        loss_upper_bound=10.0,
        recovery_begin_steps=4,
        recovery_max_trials=1,
        steps_per_loop=2,
    )
    step = tf.Variable(2, dtype=tf.int64)
    stop = actions.StopOnDivergence(step, config, "runs/mine")
    stop({"training_loss": 11.0})  # too early to count
    step.assign(4)
    stop({"training_loss": 9.0})
    stop({"training_loss": 11.0})  # the Garden goes back to a checkpoint once
    step.assign(8)
    with pytest.raises(
        actions.TrainingError,
        match=r"became 11, above trainer.loss_upper_bound=10, between steps 7 and 8\. ",
    ):
        stop({"training_loss": 11.0})


@pytest.mark.slow  # Traces a step and an evaluation of its own.
def test_trains_in_bfloat16_and_evaluates_averaged_weights(
    tmp_path, traced_command, run_here
):
    command = traced_command(
        tmp_path,
        override(
            "trainer.optimizer_config.ema.average_decay=0.9",
            "trainer.validation_interval=2",
            "runtime.mixed_precision_dtype=bfloat16",
        ),
    )
    code, stdout, stderr = run_here(command)
    assert code == 0, stderr
    assert stdout.count(TABLE_HEAD) == 2
    summaries = read_summaries(*event_files(tmp_path / "validation"))
    losses = summaries["validation_loss"]
    assert losses[2] != pytest.approx(losses[4], rel=1e-4)

    # Averaged weights were saved in the model's place: they are evaluated as they are.
    checkpoint = tmp_path / "ema_checkpoints/average_weights-2"
    code, stdout, stderr = run_here(
        [*command, "--mode=eval", f"--checkpoint={checkpoint}"]
    )
    assert code == 0, stderr
    metrics = read_json(tmp_path / "metrics.json")
    assert metrics["step"] == 2
    assert metrics["validation_loss"] == pytest.approx(float(losses[2]), rel=1e-3)


@pytest.mark.slow
def test_trains_in_float16_with_a_scaled_loss(tmp_path, traced_command, run_here):
    code, _, stderr = run_here(
        traced_command(
            tmp_path,
            "--mode=train",
            override(
                "runtime.mixed_precision_dtype=float16", "runtime.loss_scale=dynamic"
            ),
        )
    )
    assert code == 0, stderr
    summaries = read_summaries(*event_files(tmp_path / "train"))
    assert all(0 < loss < 1 for loss in summaries["training_loss"].values())
    names = dict(tf.train.list_variables(tf.train.latest_checkpoint(tmp_path)))
    assert any("loss_scale" in name for name in names)


@pytest.mark.slow  # Two trainings.
def test_fine_tunes_on_keypoints_of_ones_own(
    trained, tmp_path, toy_data, traced_command, run_here
):
    kept = ["nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle"]
    skeleton_path = tmp_path / "star5.yaml"
    skeleton_path.write_text(
        yaml.safe_dump(
            {
                "name": "star5",
                "keypoints": kept,
                "flip_pairs": [kept[1:3], kept[3:5]],
                "limbs": [["nose", name] for name in kept[1:]],
            }
        )
    )
    skeleton = skeletons.load_skeleton(str(skeleton_path))
    rows = [skeletons.load_skeleton("coco17").keypoints.index(name) for name in kept]
    for split in ("train", "val"):
        dataset = read_json(toy_data / f"annotations/person_keypoints_{split}.json")
        dataset["categories"][0] |= {"keypoints": kept, "skeleton": []}
        for annotation in dataset["annotations"]:
            triples = np.reshape(annotation["keypoints"], (-1, 3))[rows]
            annotation["keypoints"] = triples.ravel().tolist()
            annotation["num_keypoints"] = int((triples[:, 2] > 0).sum())
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(dataset))
        coco_pose.convert(
            str(toy_data / "images" / split),
            str(path),
            str(tmp_path / "records" / split),
            skeleton,
        )
    model_dir = tmp_path / "run"
    code, stdout, stderr = run_here(
        traced_command(
            model_dir,
            override(
                f"task.init_checkpoint={trained[0]}",
                "task.init_checkpoint_modules=backbone",
                f"task.skeleton={skeleton_path}",
                f"task.train_data.input_path={tmp_path}/records/train-*",
                f"task.validation_data.input_path={tmp_path}/records/val-*",
                f"task.evaluation.annotation_file={tmp_path}/val.json",
                "trainer.train_steps=2",
            ),
        )
    )
    assert code == 0, stderr
    assert TABLE_HEAD in stdout
    results = read_json(model_dir / "results.json")
    assert results and all(len(result["keypoints"]) == 15 for result in results)
