"""What a user reads while training, after an evaluation and when the loss breaks."""

import io
import json
import logging
import math
import re
import sys

import pytest
import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.evaluation.report import Report
from hrnet_tf.training import actions


def _step(value: int) -> tf.Variable:
    return tf.Variable(value, dtype=tf.int64)


# ---- progress ----


def test_progress_starts_at_the_step_of_a_resumed_run(capsys):
    step = _step(60)
    with actions.ReportProgress(step, train_steps=100, global_batch_size=8) as report:
        for _ in range(2):
            step.assign_add(10)
            report({"training_loss": tf.constant(0.25), "learning_rate": 1e-3})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Training: 160/320 images, ")
    assert "images/s" in line
    assert line.endswith("step=80/100, loss=0.25, learning_rate=0.001")


def test_progress_of_a_finished_run(capsys):
    with actions.ReportProgress(_step(100), 100, 8):
        pass
    assert "Training: 0/0 images" in capsys.readouterr().err


def test_progress_ends_with_a_line_when_training_fails(capsys):
    step = _step(0)
    with pytest.raises(RuntimeError), actions.ReportProgress(step, 10, 2) as report:
        step.assign(4)
        report({"training_loss": 1.5, "learning_rate": 0.1})
        raise RuntimeError
    assert "step=4/10, loss=1.5" in capsys.readouterr().err


def test_progress_reads_a_learning_rate_that_is_kept_on_two_devices(two_cpus, capsys):
    with tf.distribute.MirroredStrategy(two_cpus).scope():
        learning_rate = tf.Variable(0.05)
    with actions.ReportProgress(_step(0), 10, 4) as report:
        report({"training_loss": 0.25, "learning_rate": learning_rate})
    assert capsys.readouterr().err.endswith("learning_rate=0.05\n")


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    step = _step(0)
    with actions.ReportProgress(step, 10, 4) as report:
        step.assign(5)
        report({"training_loss": tf.constant(0.25), "learning_rate": 0.001})
    last = terminal.getvalue().strip().split("\r")[-1]
    assert re.match(r"Training:  50%\|.*\| 20/40 \[.* images/s, ", last)
    assert "step=5/10, loss=0.25, learning_rate=0.001" in last


# ---- a loss that diverges ----


def _stop(step: int, **config) -> actions.StopOnDivergence:
    trainer = cfg.TrainerConfig(steps_per_loop=100, **config)
    trainer.optimizer_config.optimizer.type = "sgd"
    return actions.StopOnDivergence(_step(step), trainer, "runs/1")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_training_stops_where_the_loss_is_not_finite(loss):
    with pytest.raises(actions.TrainingError) as raised:
        _stop(300)({"training_loss": tf.constant(loss)})
    message = str(raised.value)
    assert f"became {loss}" in message
    assert "between steps 201 and 300" in message
    for advice in ("learning_rate", "sgd.global_clipnorm", "mixed_precision_dtype"):
        assert advice in message
    assert message.endswith("runs/1 has no checkpoint yet.")
    assert "\n" not in message


def test_training_that_stops_names_its_checkpoints(tmp_path):
    tf.train.Checkpoint().save(str(tmp_path / "ckpt"))
    trainer = cfg.TrainerConfig(steps_per_loop=100)
    with pytest.raises(actions.TrainingError) as raised:
        actions.StopOnDivergence(_step(300), trainer, str(tmp_path))(
            {"training_loss": math.nan}
        )
    assert f"Checkpoints in {tmp_path} are from before" in str(raised.value)


def test_steps_of_a_broken_first_loop_begin_at_one():
    with pytest.raises(actions.TrainingError, match="between steps 1 and 50"):
        _stop(50)({"training_loss": math.nan})


def test_training_goes_on_with_a_finite_loss():
    _stop(300)({"training_loss": tf.constant(1e5)})


def test_training_stops_above_the_configured_bound():
    stop = _stop(300, loss_upper_bound=2.0, recovery_begin_steps=300)
    stop({"training_loss": 2.0})
    with pytest.raises(
        actions.TrainingError, match="became 2.5, above trainer.loss_upper_bound=2,"
    ):
        stop({"training_loss": 2.5})
    early = _stop(299, loss_upper_bound=2.0, recovery_begin_steps=300)
    early({"training_loss": 2.5})
    with pytest.raises(actions.TrainingError):
        early({"training_loss": math.nan})


def test_training_stops_when_the_trials_to_recover_are_used_up():
    stop = _stop(300, recovery_max_trials=2)
    stop({"training_loss": math.nan})
    stop({"training_loss": 0.5})
    stop({"training_loss": math.nan})
    with pytest.raises(actions.TrainingError):
        stop({"training_loss": math.nan})


# ---- evaluation ----


def _evaluate(tmp_path, metrics, **arguments) -> str:
    stream = io.StringIO()
    report = actions.ReportEvaluation(
        _step(1500), str(tmp_path), Report("val-*", **arguments), stream
    )
    report(metrics)
    return stream.getvalue()


def test_evaluation_lists_all_metrics_below_each_other(tmp_path):
    text = _evaluate(
        tmp_path,
        {
            "validation_loss": tf.constant(1.25),
            "accuracy": tf.constant(0.7681234),
            "image/heatmaps": tf.zeros([1, 4, 4, 3]),
            "per_class": tf.zeros([3]),
            "nested": {"accuracy": 0.5},
        },
    )
    assert text == (
        "\nEvaluation at step 1500 on val-*:\n"
        "accuracy         0.76812\n"
        "validation_loss  1.25\n"
    )


def test_evaluation_prints_the_table_of_its_task(tmp_path):
    text = _evaluate(
        tmp_path, {"accuracy": 0.5}, format_table=lambda metrics: f"table of {metrics}"
    )
    assert text.splitlines()[-1] == "table of {'accuracy': 0.5}"


def test_evaluation_prints_an_explanation_below(tmp_path):
    text = _evaluate(tmp_path, {"accuracy": 0.5}, explain=lambda: "because")
    assert text.endswith("accuracy  0.5\n\nbecause\n")


def test_evaluation_prints_to_standard_output_unless_told(tmp_path, capsys):
    report = actions.ReportEvaluation(_step(1), str(tmp_path), Report("val-*"))
    report({"accuracy": 0.5})
    assert "accuracy  0.5" in capsys.readouterr().out


def test_evaluation_writes_metrics(tmp_path):
    metrics = {
        "accuracy": tf.constant(0.5),
        "validation_loss": tf.constant(0.125),
        "image/heatmaps": tf.zeros([1, 4, 4, 3]),
        "per_class": tf.zeros([3]),
    }
    _evaluate(tmp_path, metrics, facts={"box_source": "boxes.json"})
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report == {
        "accuracy": 0.5,
        "validation_loss": 0.125,
        "step": 1500,
        "box_source": "boxes.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_a_later_evaluation_replaces_the_metrics(tmp_path):
    _evaluate(tmp_path, {"accuracy": 0.1})
    _evaluate(tmp_path, {"accuracy": 0.2})
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == 0.2


# ---- profiles ----


@pytest.mark.parametrize(
    "start, steps, expected",
    [
        (0, [3, 5], ["start at 4", "stop at 6"]),
        (0, [3, 4], ["start at 4", "stop at 6"]),
        (0, [2, 6], ["start at 2", "stop at 6"]),
        (0, [7, 100], ["start at 8", "stop at 10"]),
        (2, [2, 6], []),  # Before the run was interrupted, these steps were.
        (0, [], []),
    ],
)
def test_steps_are_profiled_in_whole_loops(
    start, steps, expected, tmp_path, monkeypatch
):
    seen = []
    step = tf.Variable(start, dtype=tf.int64)

    def note(word: str):
        return lambda *args: seen.append((f"{word} at {int(step)}", *args))

    monkeypatch.setattr(tf.profiler.experimental, "start", note("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", note("stop"))
    with actions.Profile(step, steps, str(tmp_path)) as profile:
        while int(step) < 10:
            step.assign_add(2)
            profile({})
    assert [word for word, *_ in seen] == expected
    assert [args for _, *args in seen if args] == [[str(tmp_path)]] * bool(expected)


@pytest.mark.parametrize(
    "start, steps, sentence",
    [
        (0, [3, 5], "Wrote a profile to {}/plugins/profile."),
        (0, [7, 100], "Wrote a profile to {}/plugins/profile."),
        (0, [9, 10], "the profile of trainer.profile_steps begins, at step 10: the"),
        (4, [3, 6], "profile_steps is [3, 6], but the run goes on from step 4"),
    ],
)
def test_only_a_profile_of_steps_is_announced(
    start, steps, sentence, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "hrnet_tf")
    for name in ("start", "stop"):
        monkeypatch.setattr(tf.profiler.experimental, name, lambda *_: None)
    step = _step(start)
    with actions.Profile(step, steps, str(tmp_path)) as profile:
        while int(step) < 10:
            step.assign_add(2)
            profile({})
    (told,) = caplog.messages
    assert sentence.format(tmp_path) in told
