"""What networks checkpoints hold and models are, in words: for messages."""

import re
from collections.abc import Iterable, Mapping

import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.heads import HeatmapHead
from hrnet_tf.modeling.high_resolution_module import HighResolutionModule
from hrnet_tf.modeling.lite_module import LiteModule

# Of a module's variables in a checkpoint, and what the module is a part of.
_HRNET = "an HRNet"
_LITE = {
    "lite": "a Lite-HRNet of lite blocks",
    "naive": "a Lite-HRNet of naive blocks",
}
_KINDS = {
    "/branch_blocks/": _HRNET,
    "/block_layers/0/cross_resolution/": _LITE["lite"],
    "/block_layers/0/expand_convs/": _LITE["naive"],
}
_WIDTH = re.compile(r"fuse_paths/1_to_0/convs/0/conv/kernel/")
_KEYPOINTS = re.compile(r"(model/)?head/conv/bias/")


def of_checkpoint(shapes: Mapping[str, list[int]]) -> str | None:
    """Describes the network whose variables, by key, have these shapes."""
    kinds = [
        kind for part, kind in _KINDS.items() if any(part in key for key in shapes)
    ]
    if len(kinds) != 1:
        return None
    width = next((shape[-1] for key, shape in shapes.items() if _WIDTH.search(key)), 0)
    keypoints = [shape[0] for key, shape in shapes.items() if _KEYPOINTS.match(key)]
    return _told(kinds[0], width, keypoints)


def of_parts(parts: Iterable[tf_keras.layers.Layer]) -> str | None:
    """Describes the network whose parts these are."""
    layers = [layer for part in parts for layer in _layers(part)]
    modules = [x for x in layers if isinstance(x, HighResolutionModule | LiteModule)]
    if not modules:
        return None
    module = modules[0]
    kind = _LITE[module.block] if isinstance(module, LiteModule) else _HRNET
    keypoints = [x.num_keypoints for x in layers if isinstance(x, HeatmapHead)]
    return _told(kind, module.width, keypoints)


def _layers(part: tf.Module | None) -> list[tf.Module]:
    return [] if part is None else [part, *part.submodules]


def _told(kind: str, width: int, keypoints: list[int]) -> str:
    head = f", with {keypoints[0]} keypoints" if keypoints else ""
    return f"{kind}, {width} channels wide{head}"
