"""The training command with XLA, without the TPU that it is told of, and repeated."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as tf_config

from hrnet_tf import train
from hrnet_tf.configs import recipes
from hrnet_tf.tasks.classification import get_task
from hrnet_tf.training import checkpoints, repeatability
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import trainer as trainer_validation
from hrnet_tf.training.validation import validate

REPEATED = "trainer.seed=7,trainer.deterministic=true"


@pytest.fixture(autouse=True)
def not_deterministic_again():
    yield
    tf_config.disable_op_determinism()


@pytest.fixture
def run_here(capsys):
    """Runs the command in this process: exit code and standard error."""

    def run(arguments):
        capsys.readouterr()
        return train.main(["train", *arguments]), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            "runtime.distribution_strategy=tpu,runtime.tpu=local",
            "The TPU 'local' of --tpu (runtime.tpu) is not there",
        ),
        (
            "runtime.enable_xla=true,runtime.distribution_strategy=mirrored,"
            "runtime.num_gpus=0",
            "whose merge_call XLA does not compile; set it to one_device",
        ),
    ],
)
def test_what_is_not_there_ends_the_command(
    changes, words, toy_command, run_here, tmp_path
):
    functions = "trainer.train_tf_function=true,trainer.eval_tf_function=true"
    folder = tmp_path / "run"
    code, said = run_here(
        toy_command(folder, f"--params_override={functions},{changes}")
    )
    assert code == 1 and "Traceback" not in said
    assert words in said.splitlines()[-1]
    assert not folder.exists()


# ---- the same run again ----


def first_batches(data):
    """Two training batches, drawn and augmented after preparing a run."""
    params = parse_config("hrnet_pose_coco", [f"{data}/toy.yaml"])
    repeatability.prepare(recipes.Trainer(seed=1, deterministic=True), None)
    task = get_task(params.task)
    batches = task.build_inputs(params.task.train_data).take(2)
    return [tf.nest.flatten(batch) for batch in batches]


def test_data_is_drawn_alike_to_the_bit(toy_data):
    first, second = first_batches(toy_data), first_batches(toy_data)
    for batch, again in zip(first, second, strict=True):
        for one, other in zip(batch, again, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0][0], first[1][0])


def test_a_run_that_goes_on_draws_other_numbers(monkeypatch):
    monkeypatch.setattr(checkpoints, "saved_step", lambda path: 10)
    drawn = []
    for latest in (None, None, "ckpt-10"):
        repeatability.prepare(recipes.Trainer(seed=3), latest)
        drawn.append(float(tf.random.uniform([])))
    assert drawn[0] == drawn[1] != drawn[2]
    # The largest seed of NumPy, and ten more.
    repeatability.prepare(recipes.Trainer(seed=2**32 - 1), "ckpt-10")
    assert not tf_config.is_op_determinism_enabled()


def test_without_a_seed_nothing_is_set():
    repeatability.prepare(recipes.Trainer(seed=5), None)
    first = float(tf.random.uniform([]))
    repeatability.prepare(recipes.Trainer(), None)
    assert float(tf.random.uniform([])) != first


@pytest.mark.parametrize(
    "changes, words",
    [
        ("trainer.deterministic=true", "trainer.seed is null; give a number"),
        (
            f"{REPEATED},task.train_data.enable_tf_data_service=true",
            "hand out data in any order",
        ),
        (
            f"{REPEATED},runtime.distribution_strategy=parameter_server",
            "change weights in any order",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused(changes, words):
    params = parse_config("hrnet_pose_coco", [], [changes])
    found = list(trainer_validation.trainer_mistakes(params, trains=True))
    assert [words in sentence for sentence in found] == [True]


@pytest.mark.slow  # Four trainings, one of which XLA compiles.
def test_the_same_seed_is_the_same_run_and_nearly_so_with_xla(
    traced_command, run_here, tmp_path
):
    changes = {
        "first": REPEATED,
        "second": REPEATED,
        "other": "trainer.seed=8,trainer.deterministic=true",
        "xla": f"{REPEATED},runtime.enable_xla=true",
    }
    weights = {}
    for name, overrides in changes.items():
        folder = tmp_path / name
        code, said = run_here(
            traced_command(folder, "--mode=train", f"--params_override={overrides}")
        )
        assert code == 0, said
        assert ("XLA compiles the training step" in said) == (name == "xla")
        reader = tf.train.load_checkpoint(str(folder))
        weights[name] = {
            key: reader.get_tensor(key)
            for key, dtype in reader.get_variable_to_dtype_map().items()
            if dtype == tf.float32 and not key.startswith("optimizer")
        }
    first = weights["first"]
    assert len(first) > 100
    for key, value in first.items():
        np.testing.assert_array_equal(weights["second"][key], value, err_msg=key)
    assert any(not np.array_equal(weights["other"][key], first[key]) for key in first)
    # Adam divides by small gradients, and so enlarges what is rounded.
    distance = sum(np.sum((weights["xla"][key] - first[key]) ** 2) for key in first)
    size = sum(np.sum(value**2) for value in first.values())
    assert 0 < distance < 1e-6 * size


def test_the_seed_is_a_number_of_numpys():
    params = parse_config("hrnet_pose_coco", [], ["trainer.seed=4294967296"])
    with pytest.raises(ConfigError, match="trainer.seed is 4294967296; it must be in"):
        validate(params, None, lambda *arguments: ())
