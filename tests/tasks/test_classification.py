"""Image classification: its experiment, and training on images of three colours."""

import copy
import dataclasses
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import yaml
from official.core import exp_factory, task_factory, train_utils
from official.modeling import optimization
from official.vision.configs import image_classification
from official.vision.tasks.image_classification import (
    ImageClassificationTask as GardensClassification,
)

from hrnet_tf import registry_imports, train  # noqa: F401
from hrnet_tf.configs import backbones
from hrnet_tf.tasks.classification import ClassificationTask
from hrnet_tf.tasks.garden import get_task
from hrnet_tf.training.experiment import parse_config
from tests.conftest import TOY_BACKBONE, TOY_EXPERIMENT

REPO = Path(__file__).parents[2]
NUM_CLASSES = 3
NUM_VALIDATION_IMAGES = 7


def write_records(path: Path, num_images: int) -> None:
    """Writes images of noise tinted in one of three colours, and which it is."""
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(num_images):
            label = index % NUM_CLASSES
            image = rng.integers(0, 100, (64, 64, 3), np.uint8)
            image[..., label] += 150
            encoded = cv2.imencode(".jpg", image)[1].tobytes()
            feature = {
                "image/encoded": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[encoded])
                ),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[label])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


TOY_TASK = {
    "model": {
        "num_classes": NUM_CLASSES,
        "input_size": [64, 64, 3],
        "backbone": TOY_BACKBONE,
    },
    "train_data": {"global_batch_size": 4, "shuffle_buffer_size": 12},
    "validation_data": {"global_batch_size": 4},
    "evaluation": {"top_k": 2},
}
RATE = {"type": "constant", "constant": {"learning_rate": 0.01}}
EXPERIMENT = {
    **TOY_EXPERIMENT,
    "task": TOY_TASK,
    "trainer": {
        **TOY_EXPERIMENT["trainer"],
        "optimizer_config": {"learning_rate": RATE},
    },
}


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Flags of hrnet_tf.train for the drawn images; more come after the directory."""
    folder = tmp_path_factory.mktemp("classes")
    write_records(folder / "train", 12)
    write_records(folder / "val", NUM_VALIDATION_IMAGES)
    experiment = copy.deepcopy(EXPERIMENT)
    experiment["task"]["train_data"]["input_path"] = f"{folder}/train*"
    experiment["task"]["validation_data"]["input_path"] = f"{folder}/val*"
    (folder / "toy.yaml").write_text(yaml.safe_dump(experiment))

    def flags(model_dir: Path, *more: str) -> list[str]:
        return [
            "train",
            "--experiment=hrnet_imagenet",
            f"--config_file={folder}/toy.yaml",
            f"--model_dir={model_dir}",
            *more,
        ]

    return flags


@pytest.fixture
def run(command, capsys):
    """Runs the command in this process: exit code, standard output and error."""

    def run(model_dir: Path, *more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = train.main(command(model_dir, *more))
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def trained(command, tmp_path_factory):
    """The model directory of four steps, and the metrics.json of their evaluation."""
    model_dir = tmp_path_factory.mktemp("trained") / "run"
    assert train.main(command(model_dir)) == 0
    return model_dir, (model_dir / "metrics.json").read_text()


# ---- the experiment ----


def test_recipe_is_the_official_one():
    config = exp_factory.get_exp_config("hrnet_imagenet")
    factory = optimization.OptimizerFactory(config.trainer.optimizer_config)
    learning_rate = factory.build_learning_rate()
    epoch = 1281167 // 128
    for epochs, expected in (0, 5e-2), (29, 5e-2), (31, 5e-3), (61, 5e-4), (91, 5e-5):
        assert learning_rate(epochs * epoch).numpy() == pytest.approx(expected)
    assert config.trainer.train_steps == 100 * epoch
    settings = factory.build_optimizer(learning_rate).get_config()
    assert (settings["momentum"], settings["nesterov"]) == (0.9, True)
    assert config.task.init_checkpoint is None
    assert not config.runtime.enable_xla


def test_network_has_the_official_norms_and_weight_decay():
    config = parse_config("hrnet_imagenet", [], [yaml.safe_dump(EXPERIMENT)])
    model = task_factory.get_task(config.task).build_model()
    norm = model.backbone.get_layer("stem_conv1").norm
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)
    kernels = [weight for weight in model.trainable_weights if "kernel" in weight.name]
    # The gradient of decay / 2 * w^2 is decay * w.
    expected = 1e-4 / 2 * sum(np.sum(kernel.numpy() ** 2) for kernel in kernels)
    assert sum(model.losses).numpy() == pytest.approx(expected, rel=1e-5)


def test_config_survives_a_file_and_overrides(tmp_path):
    config = parse_config(
        "hrnet_imagenet",
        [],
        "task.model.backbone.hrnet.model_id=w48,task.model.num_classes=10",
    )
    train_utils.serialize_config(config, str(tmp_path))
    read = parse_config("hrnet_imagenet", [str(tmp_path / "params.yaml")])
    assert read.as_dict() == config.as_dict()
    assert isinstance(read.task.model.backbone, backbones.Backbone)
    assert read.task.model.backbone.get().model_id == "w48"
    assert read.task.model.num_classes == 10


def test_file_for_imagenet_spells_the_defaults_out():
    path = REPO / "configs/classification/imagenet_w18.yaml"
    config = parse_config("hrnet_imagenet", [str(path)])
    for data in config.task.train_data, config.task.validation_data:
        assert data.input_path.startswith("data/imagenet/")
        data.input_path = ""
    assert config.as_dict() == exp_factory.get_exp_config("hrnet_imagenet").as_dict()


@dataclasses.dataclass
class OthersTask(image_classification.ImageClassificationTask):
    """A configuration of another program."""


@task_factory.register_task_cls(OthersTask)
class OthersClassification(GardensClassification):
    """Its task."""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (image_classification.ImageClassificationTask(), ClassificationTask),
        (OthersTask(), OthersClassification),
    ],
)
def test_the_task_of_the_gardens_configuration_is_ours(config, expected):
    task = get_task(config, "/logs")
    assert type(task) is expected
    assert (task.task_config, task.logging_dir) == (config, "/logs")


# ---- training ----


def test_evaluation_scores_every_image(trained):
    metrics = json.loads(trained[1])
    assert metrics["step"] == 4
    assert metrics["validation_loss"] > 0
    assert 0 <= metrics["accuracy"] <= metrics["top_2_accuracy"] <= 1
    for name in ("accuracy", "top_2_accuracy"):
        right = metrics[name] * NUM_VALIDATION_IMAGES
        assert right == pytest.approx(round(right), abs=1e-4)
    # Of the batches of four, the last has three.
    config = parse_config("hrnet_imagenet", [str(trained[0] / "params.yaml")])
    task = task_factory.get_task(config.task)
    batches = task.build_inputs(config.task.validation_data)
    labels = [label for _, batch in batches for label in batch.numpy()]
    assert sorted(labels) == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.slow  # Traces two trainings.
def test_continues_where_it_stopped(trained, tmp_path, run):
    model_dir = tmp_path / "run"
    shutil.copytree(trained[0], model_dir)
    code, stdout, stderr = run(
        model_dir, "--mode=train", "--params_override=trainer.train_steps=6"
    )
    assert code == 0, stderr
    assert "Training: 8/8 images" in stderr and "step=6/6" in stderr
    assert tf.train.latest_checkpoint(model_dir) == str(model_dir / "ckpt-6")


@pytest.mark.slow  # Traces an evaluation.
def test_evaluates_a_whole_checkpoint_classifier_included(trained, tmp_path, run):
    best = tf.train.latest_checkpoint(trained[0] / "best_checkpoint")
    code, stdout, stderr = run(tmp_path, "--mode=eval", f"--checkpoint={best}")
    assert code == 0, stderr
    expected = json.loads(trained[1])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) == set(expected) - {"best_accuracy"}
    assert metrics == pytest.approx({name: expected[name] for name in metrics})
    *lines, _, command = stdout.strip().splitlines()
    assert command.endswith(f"--logdir={tmp_path}")
    assert re.fullmatch(r"Evaluation at step 4 on .*/val\*:", lines[0])
    assert [line.split()[0] for line in lines[1:]] == sorted(set(metrics) - {"step"})


# ---- mistakes ----


@pytest.mark.parametrize(
    "override, fragments",
    [
        ("task.model.num_classes=0", ["task.model.num_classes is 0", "above 0"]),
        ("task.model.input_size=[64, 64]", ["task.model.input_size", "width, 3]"]),
        ("task.model.input_size=[]", ["task.model.input_size", "[height, width, 3]"]),
        ("task.model.input_size=[64, 64, 1]", ["task.model.input_size", "width, 3]"]),
        ("task.model.input_size=[64, 80, 3]", ["task.model.input_size", "of 32"]),
        ("task.model.backbone.type=null", ["task.model.backbone.type is null"]),
        ("task.model.backbone.hrnet.model_id=w33", ["hrnet.model_id", "'w33'", "w32"]),
        (
            "task.model.backbone.type=litehrnet",
            ["'litehrnet'; it must be hrnet for image classification"],
        ),
        (
            "task.model.backbone.hrnet.custom.modules=[1, 1]",
            ["task.model.backbone", "hrnet.custom.modules", "must have 3 elements"],
        ),
        (
            "task.model.backbone.hrnet.fuse_upsampling=nearst",
            ["hrnet.fuse_upsampling", "did you mean 'nearest'"],
        ),
        (
            "task.model.backbone.hrnet.kernel_initializer=kaimin",
            ["hrnet.kernel_initializer", "did you mean 'kaiming'"],
        ),
        (
            "task.model.backbone.hrnet.classification_neck=false",
            ["hrnet.classification_neck is false", "must be true"],
        ),
        (
            "task.model.backbone.hrnet.multi_scale_output=false",
            ["hrnet.multi_scale_output is false", "classification_neck"],
        ),
        (
            "task.train_data.input_path=/nowhere/x*",
            ["task.train_data.input_path", "'/nowhere/x*'"],
        ),
        (
            "task.train_data.input_path=''",
            ["task.train_data.input_path is empty", "tfds_name"],
        ),
        (
            "task.validation_data.tfds_name=imagenet2012",
            ["task.validation_data.input_path", "tfds_name are both set"],
        ),
        (
            "task: {validation_data: {input_path: '', tfds_name: imagenet2012}}",
            ["task.validation_data.tfds_split is empty"],
        ),
        (
            "task: {validation_data: {input_path: '', tfds_name: imagenet, "
            "tfds_split: validation}}",
            ["task.validation_data.tfds_name", "did you mean 'imagenet2012'"],
        ),
        (
            "task.train_data.global_batch_size=0",
            ["task.train_data.global_batch_size is 0"],
        ),
        (
            "task.train_data.is_training=false",
            ["task.train_data.is_training", "must be true"],
        ),
        (
            "trainer.best_checkpoint_eval_metric=top_5_accuracy",
            ["best_checkpoint_eval_metric", "accuracy, top_2_accuracy"],
        ),
        (
            "task.init_checkpoint=/nowhere/ckpt",
            ["task.init_checkpoint", "/nowhere/ckpt.index"],
        ),
        (
            "task.init_checkpoint_modules=decoder",
            ["task.init_checkpoint_modules", "all, backbone"],
        ),
    ],
)
def test_a_mistake_is_one_sentence(override, fragments, tmp_path, run):
    code, stdout, stderr = run(tmp_path / "run", f"--params_override={override}")
    assert code == 1
    assert len(stderr.splitlines()) == 1
    for fragment in fragments:
        assert fragment in stderr
    assert stdout == "" and not (tmp_path / "run").exists()
