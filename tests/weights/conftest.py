"""Networks of the official PyTorch code, 4 or 8 channels wide, with what they answer.

tests/testdata/*_c4.npz and *_c8.npz hold weights under `weights/`, official names and
all, an input and outputs; tensors are NCHW, kernels OIHW. Where weights are too large
to keep, they are drawn by `_draw`, from their names alone: those of the classification
head, and all of the network of faces, whose file holds their `shapes`.
"""

import dataclasses
import json
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"


@pytest.fixture(autouse=True)
def always_built_once(built_once):
    """All tests of this room share the networks that they convert."""


@dataclasses.dataclass(frozen=True)
class Official:
    """One network.

    Attributes:
        weights: By official name, as the official checkpoint has them.
        images: The input, [B, H, W, 3].
        outputs: By name, [B, h, w, C] or [B, C].
        path: A .safetensors file with the weights.
    """

    weights: dict[str, np.ndarray]
    images: np.ndarray
    outputs: dict[str, np.ndarray]
    path: str


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> Callable[[str], Official]:
    """Returns networks by the name of their file."""
    folder = tmp_path_factory.mktemp("official")
    loaded: dict[str, Official] = {}

    def load(name: str) -> Official:
        if name not in loaded:
            arrays = dict(np.load(TESTDATA / f"{name}.npz", allow_pickle=False))
            weights = {
                key.removeprefix("weights/"): arrays.pop(key)
                for key in list(arrays)
                if key.startswith("weights/")
            }
            if name.startswith("cls"):
                weights.update(draw_head())
            for key, shape in json.loads(str(arrays.pop("shapes", "{}"))).items():
                weights[key] = _draw(key, tuple(shape))
            path = str(folder / f"{name}.safetensors")
            safetensors.numpy.save_file(weights, path)
            outputs = {key: _channels_last(array) for key, array in arrays.items()}
            loaded[name] = Official(weights, outputs.pop("input"), outputs, path)
        return loaded[name]

    return load


def _channels_last(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def draw_head(num_classes: int = 10) -> dict[str, np.ndarray]:
    """The classification head for branches 4, 8, 16 and 32 wide, always the same.

    The logits in cls_hrnet_c4.npz are what the official head makes of these weights.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_norm(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        shapes[f"{conv}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = shape[:1]

    for branch, planes in enumerate((32, 64, 128, 256)):
        block, width = f"incre_modules.{branch}.0", 4 * 2**branch
        conv_norm(f"{block}.conv1", f"{block}.bn1", (planes, width, 1, 1))
        conv_norm(f"{block}.conv2", f"{block}.bn2", (planes, planes, 3, 3))
        conv_norm(f"{block}.conv3", f"{block}.bn3", (4 * planes, planes, 1, 1))
        shortcut = f"{block}.downsample"
        conv_norm(f"{shortcut}.0", f"{shortcut}.1", (4 * planes, width, 1, 1))
    for branch, width in enumerate((128, 256, 512)):
        name = f"downsamp_modules.{branch}"
        conv_norm(f"{name}.0", f"{name}.1", (2 * width, width, 3, 3))
        shapes[f"{name}.0.bias"] = (2 * width,)
    conv_norm("final_layer.0", "final_layer.1", (2048, 1024, 1, 1))
    shapes["final_layer.0.bias"] = (2048,)
    shapes["classifier.weight"] = (num_classes, 2048)
    shapes["classifier.bias"] = (num_classes,)
    return {name: _draw(name, shape) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform numbers that depend on the name alone, not on a version of numpy.

    The i-th is splitmix64's for the state crc32(name) * 2^31 + i.
    """
    state = np.arange(np.prod(shape), dtype=np.uint64)
    state += np.uint64(zlib.crc32(name.encode())) * np.uint64(2**31)
    state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    uniform = (state >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
    centred = (uniform - np.float32(0.5)).reshape(shape)
    if len(shape) > 1:
        return centred * np.float32(np.sqrt(24.0 / np.prod(shape[1:])))
    # Scales and variances of norms are about 1, everything else about 0.
    return centred + np.float32(name.endswith((".weight", ".running_var")))
