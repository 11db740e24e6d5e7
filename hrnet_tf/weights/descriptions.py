"""What networks checkpoints hold and models are, in words: for messages."""

import re
from collections.abc import Iterable, Mapping

import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.heads import HeatmapHead
from hrnet_tf.modeling.high_resolution_module import HighResolutionModule
from hrnet_tf.modeling.lite_module import LiteModule

# Of a module's variables in a checkpoint, and what the module is a part of.
_HRNET = "an HRNet of {} modules of {} {}"
_LITE = {
    "lite": "a Lite-HRNet of {} modules of {} lite {}",
    "naive": "a Lite-HRNet of {} modules of {} naive {}",
}
_KINDS = {
    "/branch_blocks/": _HRNET,
    "/block_layers/0/cross_resolution/": _LITE["lite"],
    "/block_layers/0/expand_convs/": _LITE["naive"],
}
# A module and the number of a block in it, whatever the branch.
_BLOCK = re.compile(r"(.+?)/(?:branch_blocks/\d+_|block_layers/)(\d+)/")
_WIDTH = re.compile(r"fuse_paths/1_to_0/convs/0/conv/kernel/")
_KEYPOINTS = re.compile(r"(model/)?head/conv/bias/")


def of_checkpoint(shapes: Mapping[str, list[int]]) -> str | None:
    """Describes the network whose variables, by key, have these shapes."""
    kinds = [
        kind for part, kind in _KINDS.items() if any(part in key for key in shapes)
    ]
    found = [match.groups() for key in shapes if (match := _BLOCK.match(key))]
    if len(kinds) != 1 or not found:
        return None
    width = next((shape[-1] for key, shape in shapes.items() if _WIDTH.search(key)), 0)
    keypoints = [shape[0] for key, shape in shapes.items() if _KEYPOINTS.match(key)]
    modules, blocks = (len(set(places)) for places in zip(*found, strict=True))
    return _told(kinds[0], modules, blocks, width, keypoints)


def of_parts(parts: Iterable[tf_keras.layers.Layer]) -> str | None:
    """Describes the network whose parts these are."""
    # Cascades are lists of layers, and what a model does without is None.
    layers = [
        layer
        for part in tf.nest.flatten(list(parts))
        if part is not None
        for layer in (part, *part.submodules)
    ]
    modules = {
        id(x): x for x in layers if isinstance(x, HighResolutionModule | LiteModule)
    }
    if not modules:
        return None
    module = next(iter(modules.values()))
    kind = _LITE[module.block] if isinstance(module, LiteModule) else _HRNET
    keypoints = [x.num_keypoints for x in layers if isinstance(x, HeatmapHead)]
    return _told(kind, len(modules), module.blocks, module.width, keypoints)


def _told(
    kind: str, modules: int, blocks: int, width: int, keypoints: list[int]
) -> str:
    body = kind.format(modules, blocks, "blocks" if blocks > 1 else "block")
    head = f", with {keypoints[0]} keypoints" if keypoints else ""
    return f"{body}, {width} channels wide{head}"
