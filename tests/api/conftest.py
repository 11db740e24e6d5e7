"""A pose model in all forms that it can be loaded from, and a detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory, train_utils
from safetensors import numpy

from hrnet_tf import export
from hrnet_tf.serving import saved_model
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.detection.module import DetectionModule
from hrnet_tf.training.experiment import parse_config
from hrnet_tf.weights import official_layout
from tests.conftest import TOY_MASK_RCNN, draw_detector_weights


@pytest.fixture(scope="session")
def run_dir(toy_data, tmp_path_factory) -> Path:
    """A run as training leaves it behind, without the training."""
    params = parse_config("hrnet_pose_coco", [str(toy_data / "toy.yaml")])
    folder = tmp_path_factory.mktemp("api") / "run"
    folder.mkdir()
    model = task_factory.get_task(params.task).build_model()
    generator = np.random.default_rng(0)
    for variable in model.variables:
        low, high = (-0.4, 0.4) if "kernel" in variable.name else (0.5, 1.5)
        variable.assign(generator.uniform(low, high, variable.shape))
    train_utils.serialize_config(params, str(folder))
    checkpoint = tf.train.Checkpoint(
        global_step=tf.Variable(7, dtype=tf.int64),
        model=model,
        **model.checkpoint_items,
    )
    tf.train.CheckpointManager(checkpoint, str(folder), 1).save(7)
    return folder


@pytest.fixture(scope="session")
def exported(run_dir, tmp_path_factory) -> Path:
    """A folder with pose/1, a SavedModel, and a .tflite file."""
    folder = tmp_path_factory.mktemp("api") / "exported"
    for flags in (
        ["--format=saved_model", f"--output_dir={folder}/pose/1"],
        ["--format=tflite", f"--output_dir={folder}"],
    ):
        command = ["export", f"--model_dir={run_dir}", "--noverify", *flags]
        assert export.main(command) == 0
    return folder


@pytest.fixture(scope="session")
def detector_dir(tmp_path_factory) -> Path:
    """The SavedModel of a detector with random weights."""
    task_config = json.dumps({"task": {"model": TOY_MASK_RCNN}})
    params = parse_config("hrnet_maskrcnn_coco", [], [task_config])
    task = task_factory.get_task(params.task)
    model = task.build_model()
    draw_detector_weights(model)
    metadata = DetectionMetadata.of_task(
        params.task, {1: "person", 2: "disc", 4: "bar"}
    )
    folder = tmp_path_factory.mktemp("api") / "detector"
    module = DetectionModule(task, model, metadata)
    saved_model.write_saved_model(module, metadata, str(folder))
    return folder


@pytest.fixture(scope="session")
def photos(toy_data) -> list[Path]:
    """Pictures of drawn people, 96x96."""
    return sorted((toy_data / "images/val").iterdir())


def pose_variables(model) -> dict[str, tf.Variable]:
    """The variables of a pose network as the official code names them."""
    named = dict(official_layout.backbone_variables(model.backbone))
    return named | dict(
        official_layout.output_variables(model.head.conv, "final_layer")
    )


def write_official(path, variables) -> None:
    """Writes variables, by their official names, as PyTorch lays them out."""
    tensors = {}
    for name, variable in dict(variables).items():
        value = variable.numpy()
        order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
        tensors[name] = np.ascontiguousarray(value.transpose(order) if order else value)
    numpy.save_file(tensors, path)
