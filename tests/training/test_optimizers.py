"""What the configuration says counts more than what a checkpoint has."""

import logging

import pytest
import tensorflow as tf
import tf_keras
from official.core import base_task, train_utils
from official.core import config_definitions as cfg

from hrnet_tf.training import checkpoints, field_types, optimizers


def trainer_config(optimizer: dict, learning_rate: float, ema: dict | None = None):
    kind = next(iter(optimizer))
    config = {
        "optimizer": {"type": kind, **optimizer},
        "learning_rate": {
            "type": "constant",
            "constant": {"learning_rate": learning_rate},
        },
    }
    if ema is not None:
        config["ema"] = ema
    return cfg.TrainerConfig(optimizer_config=config)


def training(config: cfg.TrainerConfig, precision: str | None = None):
    """A checkpoint of a model with one weight, its optimizer and the weight."""
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, use_bias=False)])
    model.build([None, 1])
    model.layers[0].kernel.assign([[5.0]])
    runtime = cfg.RuntimeConfig(mixed_precision_dtype=precision)
    if precision == "float16":
        runtime.loss_scale = "dynamic"
    optimizer = base_task.Task.create_optimizer(config.optimizer_config, runtime)
    if config.optimizer_config.ema:
        optimizer.shadow_copy(model)
    checkpoint = checkpoints.TrainerCheckpoint(True, model=model, optimizer=optimizer)
    return checkpoint, optimizer, model.layers[0].kernel


def one_step(optimizer, weight) -> float:
    """How far one step moves the weight."""
    before = float(weight[0, 0])
    optimizer.apply_gradients([(tf.ones([1, 1]), weight)])
    return before - float(weight[0, 0])


def told(caplog) -> list[str]:
    """What this package logged."""
    return [r.getMessage() for r in caplog.records if r.name.startswith("hrnet_tf")]


@pytest.mark.parametrize("precision", [None, "float16"])
def test_the_configured_learning_rate_and_momentum_count(tmp_path, precision):
    first = trainer_config({"sgd": {"momentum": 0.5}}, 0.5)
    checkpoint, optimizer, weight = training(first, precision)
    assert one_step(optimizer, weight) == pytest.approx(0.5)
    path = checkpoint.save(str(tmp_path / "ckpt"))

    checkpoint, optimizer, weight = training(first, precision)
    checkpoint.restore(path)
    # The weight and the momentum's state are restored all the same.
    assert float(weight[0, 0]) == 4.5
    assert one_step(optimizer, weight) == pytest.approx(0.5 * 0.5 + 0.5)

    second = trainer_config({"sgd": {"momentum": 0.25}}, 0.125)
    checkpoint, optimizer, weight = training(second, precision)
    checkpoint.restore(path)
    assert float(weight[0, 0]) == 4.5
    assert float(tf.convert_to_tensor(optimizer.learning_rate)) == 0.125
    # The first step left -0.5 behind, of which a quarter is left.
    assert one_step(optimizer, weight) == pytest.approx(0.25 * 0.5 + 0.125)


def changes(tmp_path, caplog, first: dict, second: dict) -> list[str]:
    """What is told of a run with the first configuration that goes on with another."""
    caplog.set_level(logging.INFO, "hrnet_tf")
    configs = [
        cfg.ExperimentConfig(trainer=cfg.TrainerConfig(optimizer_config=config))
        for config in (first, second)
    ]
    train_utils.serialize_config(configs[0], str(tmp_path))
    optimizers.log_changes(configs[1].trainer.optimizer_config, str(tmp_path))
    return [
        sentence.removeprefix("trainer.optimizer_config.") for sentence in told(caplog)
    ]


COSINE = {"cosine": {"initial_learning_rate": 0.5, "decay_steps": 10}}
FAST_COSINE = {"cosine": {"initial_learning_rate": 1.0, "decay_steps": 10}}
STEPS = {"stepwise": {"boundaries": [1, 2], "values": [0.5, 0.1, 0.2]}}
NEW_STATE = (
    " The optimizer's state starts afresh, but for what both keep under the same names."
)


@pytest.mark.parametrize(
    "section, before, after, sentences",
    [
        (
            "optimizer",
            {"sgd": {"momentum": 0.5}},
            {"sgd": {"momentum": 0.25}},
            ["optimizer.sgd.momentum is 0.25 now; the run was trained with 0.5."],
        ),
        (
            "optimizer",
            {"adamw": {"weight_decay_rate": 0.5, "epsilon": 1.0}},
            {"adamw": {"weight_decay_rate": 0.0, "epsilon": 2.0}},
            [
                "optimizer.adamw.epsilon is 2.0 now; the run was trained with 1.0.",
                "optimizer.adamw.weight_decay_rate is 0.0 now; the run was trained "
                "with 0.5.",
            ],
        ),
        (
            "optimizer",
            {"sgd": {"momentum": 0.5}},
            {"adam": {"beta_1": 0.5}},
            [
                "optimizer.type is 'adam' now; the run was trained with 'sgd'."
                + NEW_STATE
            ],
        ),
        (
            "learning_rate",
            COSINE,
            FAST_COSINE,
            [
                "learning_rate.cosine.initial_learning_rate is 1.0 now; the run was "
                "trained with 0.5."
            ],
        ),
        (
            "learning_rate",
            COSINE,
            STEPS,
            [
                "learning_rate.type is 'stepwise' now; the run was trained with "
                "'cosine'."
            ],
        ),
        ("learning_rate", STEPS, STEPS, []),
        (
            "ema",
            None,
            {"average_decay": 0.5},
            ["ema is a section now; the run was trained with null."],
        ),
    ],
)
def test_a_run_that_goes_on_tells_what_is_changed(
    section, before, after, sentences, tmp_path, caplog
):
    def config(value):
        if section != "ema":
            value = {"type": next(iter(value)), **value}
        return {section: value}

    assert changes(tmp_path, caplog, config(before), config(after)) == sentences


def test_a_run_without_its_configuration_tells_nothing(tmp_path, caplog):
    optimizers.log_changes(trainer_config({"sgd": {}}, 0.5).optimizer_config, tmp_path)
    assert not told(caplog)


# Those that the Garden can build; validation refuses the others.
OPTIMIZERS = sorted(
    set(field_types.choices(cfg.TrainerConfig().optimizer_config.optimizer))
    - {"adafactor", "slide"}
)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_configured_learning_rate_counts_with_every_optimizer(kind, tmp_path):
    checkpoint, optimizer, weight = training(trainer_config({kind: {}}, 0.5))
    one_step(optimizer, weight)
    path = checkpoint.save(str(tmp_path / "ckpt"))

    checkpoint, optimizer, weight = training(trainer_config({kind: {}}, 0.125))
    checkpoint.restore(path)
    # Newer optimizers restore what they create later, at the first step.
    one_step(optimizer, weight)
    assert float(tf.convert_to_tensor(optimizer.learning_rate)) == 0.125


@pytest.mark.parametrize(
    "kind, settings",
    [("adamw", {"weight_decay_rate": 0.5}), ("lamb", {"weight_decay_rate": 0.5})],
)
def test_the_configured_weight_decay_counts(tmp_path, kind, settings):
    checkpoint, optimizer, weight = training(trainer_config({kind: {}}, 0.5))
    optimizer.apply_gradients([(tf.zeros([1, 1]), weight)])
    path = checkpoint.save(str(tmp_path / "ckpt"))
    assert float(weight[0, 0]) == 5.0
    checkpoint, optimizer, weight = training(trainer_config({kind: settings}, 0.5))
    checkpoint.restore(path)
    optimizer.apply_gradients([(tf.zeros([1, 1]), weight)])
    assert float(weight[0, 0]) < 5.0


def test_averages_that_are_new_begin_at_the_restored_weights(tmp_path, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")
    sgd = {"sgd": {"momentum": 0.5}}
    checkpoint, _, weight = training(trainer_config(sgd, 0.5))
    weight.assign([[3.0]])
    path = checkpoint.save(str(tmp_path / "ckpt"))

    config = trainer_config(sgd, 0.5, ema={"average_decay": 0.5})
    checkpoint, optimizer, weight = training(config)
    checkpoint.restore(path)
    average = optimizer.get_slot(weight, "average")
    assert float(average[0, 0]) == 3.0
    assert "they begin at its weights" in caplog.text
    average.assign([[2.0]])
    path = checkpoint.save(str(tmp_path / "averaged"))

    checkpoint, optimizer, weight = training(config)
    checkpoint.restore(path)
    assert float(optimizer.get_slot(weight, "average")[0, 0]) == 2.0


def test_the_configured_decay_of_averages_counts(tmp_path):
    def config(decay: float):
        ema = {"average_decay": decay, "dynamic_decay": False}
        return trainer_config({"sgd": {}}, 0.0, ema)

    checkpoint, optimizer, weight = training(config(0.5))
    path = checkpoint.save(str(tmp_path / "ckpt"))
    checkpoint, optimizer, weight = training(config(0.75))
    checkpoint.restore(path)
    optimizer.get_slot(weight, "average").assign([[1.0]])
    optimizer.apply_gradients([(tf.ones([1, 1]), weight)])
    assert float(optimizer.get_slot(weight, "average")[0, 0]) == 0.75 * 1 + 0.25 * 5
