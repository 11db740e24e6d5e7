"""A small pose network with random weights, and what it is exported to."""

import ctypes.util
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import pose
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.modeling.pose_model import PoseModel, build_pose_model
from hrnet_tf.serving import saved_model, tflite
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.pose.module import PoseModule
from tests.conftest import TOY_BACKBONE

CROP_SIZE = (64, 32)
CROPS = np.random.default_rng(2).integers(0, 256, (16, *CROP_SIZE, 3), np.uint8)


def lite(block: str) -> dict[str, Any]:
    """A small Lite-HRNet as fields of `task.model`."""
    custom = {"width": 8, "modules": [1, 1, 1], "block": block, "stem_width": 8}
    network = {"model_id": "custom", "custom": {**custom, "blocks": 1}}
    return {
        "backbone": {"type": "litehrnet", "litehrnet": network},
        "decoder": {"type": "litehrnet"},
    }


# Small networks, by the names that `build_module` takes.
BACKBONES = {
    "hrnet": {"backbone": TOY_BACKBONE},
    "lite": lite("lite"),
    "naive": lite("naive"),
}
VULKAN_DRIVER = os.environ.get(
    "VK_ICD_FILENAMES", "/usr/lib/chromium/vk_swiftshader_icd.json"
)


def build_model(task: pose.PoseTask) -> PoseModel:
    """A model whose norms have statistics that matter."""
    model = build_pose_model(task.model, 17)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        low, high = (-0.4, 0.4) if "kernel" in variable.name else (0.5, 1.5)
        variable.assign(generator.uniform(low, high, variable.shape))
    return model


@pytest.fixture(scope="session")
def build_module() -> Callable[..., tuple[PoseModule, PoseMetadata]]:
    """Returns a function of codec, flip test and backbone; modules are built once."""

    @functools.cache
    def built(codec: str, flip_test: bool, backbone: str):
        task = pose.PoseTask()
        task.codec.override({"name": codec})
        task.model.override({"input_size": list(CROP_SIZE), **BACKBONES[backbone]})
        metadata = PoseMetadata.of_task(task, load_skeleton("coco17"), flip_test)
        return PoseModule(build_model(task), metadata), metadata

    # However the arguments are given, they are the same to the cache.
    def build(codec: str = "msra", flip_test: bool = False, backbone: str = "hrnet"):
        return built(codec, flip_test, backbone)

    return build


@pytest.fixture(scope="session")
def mobile_file(build_module) -> Callable[..., bytes]:
    """Returns the content of .tflite files, each converted once; 8 bits by CROPS.

    Its arguments are quantisation, whether heatmaps are put out, and `build_module`'s.
    """

    @functools.cache
    def converted(quantize: str, with_maps: bool, *network) -> bytes:
        return tflite.convert(*build_module(*network), quantize, with_maps, CROPS)

    def convert(
        quantize: str = "none",
        with_maps: bool = True,
        codec: str = "msra",
        flip_test: bool = False,
        backbone: str = "hrnet",
    ) -> bytes:
        return converted(quantize, with_maps, codec, flip_test, backbone)

    return convert


@pytest.fixture(scope="session")
def saved_model_dir(build_module, tmp_path_factory) -> Path:
    """A SavedModel in a version directory."""
    folder = tmp_path_factory.mktemp("serving") / "pose" / "1"
    saved_model.write_saved_model(*build_module(), str(folder))
    return folder


@pytest.fixture(scope="session")
def tflite_file(mobile_file, tmp_path_factory) -> Path:
    """A float32 .tflite file with heatmaps."""
    path = tmp_path_factory.mktemp("tflite") / "pose.tflite"
    path.write_bytes(mobile_file())
    return path


@pytest.fixture
def run_on_gpu(tmp_path) -> Callable[..., dict]:
    """Runs a .tflite file on a Vulkan driver; see gpu_runner.py for the answer."""
    if not os.path.exists(VULKAN_DRIVER) or ctypes.util.find_library("vulkan") is None:
        pytest.skip(
            "needs a Vulkan driver and its loader: install chromium and libvulkan1"
        )

    def run(content: bytes, height: int, width: int, *types: str) -> dict:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        program = str(Path(__file__).with_name("gpu_runner.py"))
        arguments = [program, path, str(height), str(width)]
        done = subprocess.run(
            [sys.executable, *arguments, *([",".join(types)] if types else [])],
            env={**os.environ, "VK_ICD_FILENAMES": VULKAN_DRIVER},
            capture_output=True,
            text=True,
            timeout=120,
        )
        # Where drivers fail, their words are last.
        assert done.stdout.endswith("}\n"), done.stdout + done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
