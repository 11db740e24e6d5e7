"""Schedules that cannot work are refused; those that do not fit the run are named."""

import logging

import pytest
from official.core import config_definitions as cfg

from hrnet_tf.training.field_types import type_mistakes
from hrnet_tf.training.validation import schedules
from hrnet_tf.training.validation.ranges import value_mistakes

STEPS = 1000


def check(caplog, trains=True, ema=None, **sections):
    """Mistakes, and warnings, of sections as {type: fields}."""
    caplog.set_level(logging.WARNING, "hrnet_tf")
    caplog.clear()
    config = {
        name: {"type": next(iter(section)), **section}
        for name, section in sections.items()
    }
    if ema is not None:
        config["ema"] = ema
    trainer = cfg.TrainerConfig(train_steps=STEPS, optimizer_config=config)
    mistakes = list(type_mistakes(trainer, "trainer", value_mistakes))
    return mistakes or list(schedules.mistakes(trainer, trains)), caplog.messages


RATE = {"initial_learning_rate": 0.1}
WARMUP = {"linear": {"warmup_steps": 100}}
COSINE = {"boundaries": [0, 1000], "values": [0.1, 0.05]}


@pytest.mark.parametrize(
    "learning_rate",
    [
        {"constant": {"learning_rate": 0.1}},
        {"stepwise": {"boundaries": [600, 900], "values": [0.1, 0.01, 0.001]}},
        {"cosine": {**RATE, "decay_steps": 1000}},
        {"cosine": {**RATE, "decay_steps": 900, "offset": 100}},
        {"cosine": {**RATE, "decay_steps": 950}},
        {"polynomial": {**RATE, "decay_steps": 1000}},
        {"polynomial": {**RATE, "decay_steps": 200, "cycle": True}},
        {"exponential": {**RATE, "decay_steps": 100, "decay_rate": 0.9}},
        {"exponential": {**RATE, "decay_steps": 1000, "decay_rate": 0.01}},
        {"polynomial": {**RATE, "decay_steps": 50, "end_learning_rate": 0.1}},
        {"power": RATE},
        {"power_linear": {**RATE, "total_decay_steps": 1000}},
        {"power_with_offset": {**RATE, "offset": 100}},
        {"step_cosine_with_offset": COSINE},
    ],
    ids=lambda section: next(iter(section)),
)
def test_schedules_that_fit(caplog, learning_rate):
    assert check(caplog, learning_rate=learning_rate, warmup=WARMUP) == ([], [])


@pytest.mark.parametrize(
    "learning_rate, fragments",
    [
        (
            {"stepwise": {"boundaries": [600, 1000], "values": [0.1, 0.01, 0.001]}},
            ["stepwise.boundaries go up to step 1000", "ends at step 1000"],
        ),
        (
            {
                "stepwise": {
                    "boundaries": [600, 900],
                    "values": [0.1, 0.01, 0.001],
                    "offset": 100,
                }
            },
            ["stepwise.boundaries go up to step 1000"],
        ),
        (
            {"stepwise": {"boundaries": [50, 60], "values": [0.1, 0.01, 0.001]}},
            ["boundaries has step 50", "warm-up lasts until step 100", "after 2 of 2"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 1001}},
            ["cosine.decay_steps is 1001, but training ends at step 1000, before"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 500, "alpha": 0.1}},
            ["decay_steps is 500", "from step 500 on the learning rate is 0.01"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 950, "offset": 100}},
            ["decay_steps is 950 and offset 100, but training ends at step 1000"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 80}},
            ["warm-up lasts until step 100: after it the learning rate is 0."],
        ),
        (
            {"polynomial": {**RATE, "decay_steps": 10000}},
            ["polynomial.decay_steps is 10000, but training ends at step 1000"],
        ),
        (
            {"polynomial": {**RATE, "decay_steps": 200, "end_learning_rate": 0.02}},
            ["from step 200 on the learning rate is 0.02"],
        ),
        (
            {"exponential": {**RATE, "decay_steps": 2000, "decay_rate": 0.25}},
            ["exponential.decay_steps is 2000", "ends at 50% of its first value"],
        ),
        (
            {
                "exponential": {
                    **RATE,
                    "decay_steps": 2000,
                    "decay_rate": 0.25,
                    "staircase": True,
                }
            },
            ["ends at 100% of its first value"],
        ),
        (
            {"exponential": {**RATE, "decay_steps": 10, "decay_rate": 0.5}},
            ["decay_steps is 10 and decay_rate 0.5", "falls to 8e-31"],
        ),
        (
            {"power_linear": {**RATE, "total_decay_steps": 3000}},
            ["power_linear.total_decay_steps is 3000, but training ends at step 1000"],
        ),
        (
            {"power_linear": {**RATE, "total_decay_steps": 300}},
            ["from step 300 on the learning rate is 0."],
        ),
        (
            {"power_with_offset": {**RATE, "offset": 400}},
            ["offset is 400", "until step 400", "pre_offset_learning_rate 1e+06"],
        ),
        (
            {
                "step_cosine_with_offset": {
                    "boundaries": [0, 500, 1500],
                    "values": [0.1, 0.05, 0.01],
                }
            },
            ["step_cosine_with_offset.boundaries go up to step 1500"],
        ),
    ],
)
def test_schedules_that_do_not_fit_the_run(caplog, learning_rate, fragments):
    mistakes, (warning,) = check(caplog, learning_rate=learning_rate, warmup=WARMUP)
    assert not mistakes
    assert warning.startswith("trainer.optimizer_config.learning_rate.")
    for fragment in fragments:
        assert fragment in warning
    # An evaluation has no steps to fit.
    unused = check(caplog, trains=False, learning_rate=learning_rate, warmup=WARMUP)
    assert unused == ([], [])


@pytest.mark.parametrize(
    "learning_rate, warmup, fragments",
    [
        (
            {
                "exponential": {
                    **RATE,
                    "decay_rate": 0.1,
                    "decay_steps": 100,
                    "offset": 400,
                }
            },
            0,
            ["offset is 400", "rate is 1e+03 there and 0.1 at step 400"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 500, "offset": 500}},
            100,
            ["offset is 500, but the warm-up lasts until step 100", "0.1 at step 500"],
        ),
        (
            {"cosine": {**RATE, "decay_steps": 500, "offset": 500}},
            0,
            ["until step 0: the learning rate is 0 there and 0.1 at step 500"],
        ),
        (
            {"polynomial": {**RATE, "decay_steps": 500, "offset": 500}},
            0,
            ["polynomial.offset is 500", "0.2 there and 0.1 at step 500"],
        ),
        (
            {"stepwise": {"boundaries": [50], "values": [0.1, 0.01], "offset": -60}},
            0,
            ["boundaries has step -10: training begins", "after 1 of 1"],
        ),
        (
            {"stepwise": {"boundaries": [-5, 80], "values": [0.1, 0.01, 0.001]}},
            0,
            ["boundaries has step -5: training begins", "after 1 of 2"],
        ),
        (
            {"stepwise": {"boundaries": [-5, 80], "values": [0.1, 0.01, 0.001]}},
            100,
            ["boundaries has step -5, but the warm-up lasts", "after 2 of 2"],
        ),
    ],
)
def test_schedules_that_begin_before_or_after_the_run(
    caplog, learning_rate, warmup, fragments
):
    sections = {"warmup": {"linear": {"warmup_steps": warmup}}} if warmup else {}
    mistakes, (warning,) = check(caplog, learning_rate=learning_rate, **sections)
    assert not mistakes
    for fragment in fragments:
        assert fragment in warning


@pytest.mark.parametrize("kind", ["linear", "polynomial"])
def test_a_warm_up_as_long_as_the_run(caplog, kind):
    mistakes, (warning,) = check(
        caplog,
        learning_rate={"constant": {"learning_rate": 0.1}},
        warmup={kind: {"warmup_steps": 1000}},
    )
    assert not mistakes
    assert f"warmup.{kind}.warmup_steps is 1000, but training ends at step" in warning


def test_averages_that_begin_after_the_run(caplog):
    constant = {"constant": {"learning_rate": 0.1}}
    fits = check(caplog, learning_rate=constant, ema={"start_step": 999})
    assert fits == ([], [])
    _, (warning,) = check(caplog, learning_rate=constant, ema={"start_step": 1000})
    assert "ema.start_step is 1000" in warning


@pytest.mark.parametrize(
    "section, fields, fragments",
    [
        ("learning_rate", {"cosine": {**RATE, "decay_steps": 0}}, ["in [1, 1e+12]"]),
        ("learning_rate", {"cosine": RATE}, ["decay_steps is null", "must be set"]),
        (
            "learning_rate",
            {"polynomial": {**RATE, "decay_steps": -5}},
            ["polynomial.decay_steps is -5", "in [1, "],
        ),
        (
            "learning_rate",
            {"exponential": {**RATE, "decay_steps": 10, "decay_rate": 0.0}},
            ["exponential.decay_rate is 0.0", "in [1e-15, "],
        ),
        (
            "learning_rate",
            {"stepwise": {"boundaries": [9, 5], "values": [1.0, 0.1, 0.01]}},
            ["must increase"],
        ),
        (
            "learning_rate",
            {"stepwise": {"boundaries": [], "values": []}},
            ["one more"],
        ),
        (
            "learning_rate",
            {"step_cosine_with_offset": {"boundaries": [5], "values": [1.0]}},
            ["2 or more"],
        ),
        (
            "learning_rate",
            {"step_cosine_with_offset": {**COSINE, "boundaries": [100, 1000]}},
            ["must begin with 0"],
        ),
        (
            "learning_rate",
            {"step_cosine_with_offset": {**COSINE, "boundaries": [0, 999]}},
            ["go up to step 999", "must be 1000", "not a number"],
        ),
        (
            "learning_rate",
            {"constant": {"learning_rate": 0.0}},
            ["is 0.0", "in [1e-15, 1e+06]"],
        ),
        (
            "learning_rate",
            {"constant": {"learning_rate": -0.1}},
            ["is -0.1", "in [1e-15"],
        ),
        (
            "learning_rate",
            {"cosine": {"initial_learning_rate": -0.1, "decay_steps": 1000}},
            ["cosine.initial_learning_rate is -0.1", "in [1e-15"],
        ),
        (
            "learning_rate",
            {"stepwise": {"boundaries": [500], "values": [0.1, -0.1]}},
            ["stepwise.values is [0.1, -0.1]; each", "be in [0, 1e+06], not -0.1"],
        ),
        (
            "learning_rate",
            {"polynomial": {**RATE, "decay_steps": 1000, "end_learning_rate": -1.0}},
            ["end_learning_rate is -1.0", "in [0, 1e+06]"],
        ),
        ("optimizer", {"sgd": {"momentum": 2.0}}, ["sgd.momentum is 2.0", "in [0, 1)"]),
        ("optimizer", {"adam": {"beta_2": 1.0}}, ["adam.beta_2 is 1.0", "in [0, 1)"]),
        ("optimizer", {"adamw": {"weight_decay_rate": -1.0}}, ["in [0, "]),
        (
            "optimizer",
            {"sgd": {"global_clipnorm": 0.0}},
            ["clipnorm is 0.0", "in [1e-15"],
        ),
        ("ema", {"average_decay": 2.0}, ["optimizer_config.ema.average_decay is 2.0"]),
        ("ema", {"average_decay": -0.5}, ["ema.average_decay is -0.5", "in [0, 1)"]),
        ("warmup", {"linear": {"warmup_steps": -1}}, ["warmup_steps is -1", "in [0"]),
        ("warmup", {"linear": {}}, ["warmup.linear.warmup_steps is null"]),
    ],
)
def test_schedules_that_cannot_work(caplog, section, fields, fragments):
    sections = {"learning_rate": {"constant": {"learning_rate": 0.1}}, section: fields}
    (mistake,), warnings = check(caplog, **sections)
    assert not warnings
    for fragment in fragments:
        assert fragment in mistake


def test_what_is_refused_is_not_a_number(caplog):
    # If the Garden mends its schedule, the check can go.
    from official.modeling.optimization import lr_schedule

    rate = lr_schedule.StepCosineDecayWithOffset([0, 10], [1.0, 0.5])
    assert float(rate(9)) == float(rate(9)) and float(rate(10)) != float(rate(10))
