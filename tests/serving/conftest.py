"""A small pose network with random weights, and what it is exported to."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import pose
from hrnet_tf.data.skeletons import load_skeleton
from hrnet_tf.modeling.pose_model import PoseModel, build_pose_model
from hrnet_tf.serving import saved_model, tflite
from hrnet_tf.serving.metadata import Metadata
from hrnet_tf.serving.pose_module import PoseModule

CROP_SIZE = (64, 32)


def build_model(task: pose.PoseTask) -> PoseModel:
    """A model whose norms have statistics that matter."""
    model = build_pose_model(task.model, 17)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        low, high = (-0.4, 0.4) if "kernel" in variable.name else (0.5, 1.5)
        variable.assign(generator.uniform(low, high, variable.shape))
    return model


@pytest.fixture(scope="session")
def build_module() -> Callable[..., tuple[PoseModule, Metadata]]:
    """Returns a function of codec and flip test; modules are built once."""

    @functools.cache
    def build(codec: str = "msra", flip_test: bool = False):
        task = pose.PoseTask()
        task.codec.override({"name": codec})
        task.model.override(
            {
                "input_size": list(CROP_SIZE),
                "backbone": {
                    "hrnet": {
                        "model_id": "custom",
                        "custom": {
                            "width": 4,
                            "modules": [1, 1, 1],
                            "blocks": 1,
                            "layer1_planes": 8,
                            "layer1_blocks": 1,
                            "stem_width": 8,
                        },
                    }
                },
            }
        )
        metadata = Metadata.of_task(task, load_skeleton("coco17"), flip_test)
        return PoseModule(build_model(task), metadata), metadata

    return build


@pytest.fixture(scope="session")
def saved_model_dir(build_module, tmp_path_factory) -> Path:
    """A SavedModel in a version directory."""
    folder = tmp_path_factory.mktemp("serving") / "pose" / "1"
    saved_model.write_saved_model(*build_module(), str(folder))
    return folder


@pytest.fixture(scope="session")
def tflite_file(build_module, tmp_path_factory) -> Path:
    """A float32 .tflite file with heatmaps."""
    path = tmp_path_factory.mktemp("tflite") / "pose.tflite"
    path.write_bytes(tflite.convert(*build_module(), with_maps=True))
    return path
