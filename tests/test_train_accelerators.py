"""The training command with XLA, without the TPU that it is told of, and repeated."""

import random

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import yaml
from tensorflow.python.framework import config as tf_config

from hrnet_tf import train
from hrnet_tf.configs import recipes
from hrnet_tf.data.records.segmentation import encode_image_record
from hrnet_tf.messages import UserError
from hrnet_tf.tasks.garden import get_task
from hrnet_tf.training import checkpoints, repeatability
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import trainer as trainer_validation
from hrnet_tf.training.validation import validate
from tests.conftest import TOY_BACKBONE, TOY_EXPERIMENT, TRACED

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


def first_batches(experiment, changes, deterministic):
    """Two training batches, drawn and augmented after preparing a run."""
    params = parse_config(*experiment, [changes])
    trainer = recipes.Trainer(seed=1, deterministic=deterministic)
    repeatability.prepare(trainer, None)
    task = get_task(params.task)
    batches = task.build_inputs(params.task.train_data).take(2)
    return [tf.nest.flatten(batch) for batch in batches]


def assert_alike(first, second):
    for batch, again in zip(first, second, strict=True):
        for one, other in zip(batch, again, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0][0], first[1][0])


COLORS = "task.train_data.augmentation.color.brightness=0.4"


@pytest.mark.parametrize("deterministic", [False, True])
def test_crops_of_people_are_drawn_alike_to_the_bit(toy_data, deterministic):
    experiment = "hrnet_pose_coco", [f"{toy_data}/toy.yaml"]
    changes = f"{COLORS},task.train_data.augmentation.rotation=40"
    drawn = [first_batches(experiment, changes, deterministic) for _ in range(2)]
    assert_alike(*drawn)


def test_crops_with_classes_are_drawn_alike_to_the_bit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 40, 60, 3), np.uint8)
    prefix = str(tmp_path / "noise")
    with tf.io.TFRecordWriter(prefix) as writer:
        for image in noise:
            encoded = cv2.imencode(".png", image)[1].tobytes()
            labels = (image[..., 0] % 20).astype(np.uint8)
            writer.write(encode_image_record(encoded, "x.png", labels, 20))
    changes = (
        f"{COLORS},task.train_data.input_path={prefix},task.train_data.crop_size=[32,32],"
        "task.train_data.global_batch_size=4,task.train_data.shuffle_buffer_size=8"
    )
    experiment = "hrnet_seg_lip", []
    assert_alike(*(first_batches(experiment, changes, False) for _ in range(2)))


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


def test_the_largest_seed_goes_on_from_the_first(monkeypatch):
    monkeypatch.setattr(checkpoints, "saved_step", lambda path: 10)
    repeatability.prepare(recipes.Trainer(seed=2**32 - 1), "ckpt-10")
    drawn = float(tf.random.uniform([])), np.random.random(), random.random()
    repeatability.prepare(recipes.Trainer(seed=9), None)
    assert (float(tf.random.uniform([])), np.random.random(), random.random()) == drawn


def test_a_training_is_prepared_before_anything_is_built(
    toy_command, run_here, tmp_path, monkeypatch
):
    def prepare(trainer, latest):
        raise UserError(f"prepared with {trainer.seed}, from {latest}")

    monkeypatch.setattr(repeatability, "prepare", prepare)
    command = toy_command(tmp_path / "run", "--params_override=trainer.seed=7")
    code, said = run_here([*command, "--mode=train"])
    assert code == 1 and said.splitlines()[-1] == "prepared with 7, from None"
    assert "Building the model" not in said


def test_without_a_seed_nothing_is_set():
    def draw():
        tf_keras.utils.set_random_seed(5)
        repeatability.prepare(recipes.Trainer(), None)
        return float(tf.random.uniform([])), np.random.random(), random.random()

    assert draw() == draw()


@pytest.mark.parametrize(
    "changes, words",
    [
        ("trainer.deterministic=true", "trainer.seed is null; give a number"),
        (
            "trainer.seed=7,task.train_data.enable_tf_data_service=true",
            "trainer.seed is 7, but task.train_data.enable_tf_data_service is true",
        ),
        (
            f"{REPEATED},runtime.distribution_strategy=parameter_server",
            "trainer.seed is 7, but runtime.distribution_strategy is parameter_server",
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


@pytest.fixture
def classes_command(tmp_path):
    """Flags of hrnet_tf.train for images of noise in three classes."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4)):
        with tf.io.TFRecordWriter(str(tmp_path / f"{split}-0.tfrecord")) as writer:
            for index in range(count):
                image = generator.integers(0, 256, [48, 48, 3], np.uint8)
                example = tf.train.Example()
                feature = example.features.feature
                encoded = cv2.imencode(".jpg", image)[1].tobytes()
                feature["image/encoded"].bytes_list.value.append(encoded)
                feature["image/class/label"].int64_list.value.append(index % 3)
                writer.write(example.SerializeToString())
    data = {
        "global_batch_size": 4,
        "shuffle_buffer_size": 8,
    }
    model = {"num_classes": 3, "input_size": [32, 32, 3], "backbone": TOY_BACKBONE}
    task = {
        "model": model,
        "train_data": {"input_path": f"{tmp_path}/train-*", **data},
        "validation_data": {"input_path": f"{tmp_path}/val-*", **data},
    }
    trainer = {**TOY_EXPERIMENT["trainer"]}
    del trainer["optimizer_config"]
    file = tmp_path / "classes.yaml"
    changes = {"task": task, "trainer": trainer, "runtime": TOY_EXPERIMENT["runtime"]}
    file.write_text(yaml.safe_dump(changes))

    def command(model_dir, *more):
        named = ["--experiment=hrnet_imagenet", f"--config_file={file}"]
        return [*named, f"--model_dir={model_dir}", *more]

    return command


@pytest.mark.slow  # Two trainings in graphs for each task.
@pytest.mark.parametrize("task", ["parsing", "detection", "classes"])
def test_runs_of_other_tasks_are_the_same_to_the_bit(task, request, run_here, tmp_path):
    command = request.getfixturevalue(f"{task}_command")
    weights = []
    for name in ("first", "second"):
        repeated = f"--params_override={REPEATED}"
        code, said = run_here(
            command(tmp_path / name, TRACED, "--mode=train", repeated)
        )
        assert code == 0, said
        weights.append(tf.train.load_checkpoint(str(tmp_path / name)))
    first, second = weights
    names = first.get_variable_to_shape_map()
    assert len(names) > 100
    for key in names:
        if not key.startswith("_CHECKPOINTABLE"):
            np.testing.assert_array_equal(
                first.get_tensor(key), second.get_tensor(key), err_msg=key
            )


def test_the_seed_is_a_number_of_numpys():
    params = parse_config("hrnet_pose_coco", [], ["trainer.seed=4294967296"])
    with pytest.raises(ConfigError, match="trainer.seed is 4294967296; it must be in"):
        validate(params, None, lambda *arguments: ())
