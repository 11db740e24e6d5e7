"""Brings published checkpoints to the official repositories' tensor names.

The official code, OpenMMLab (mmpose, mmsegmentation, mmdetection) and timm share the
names of the body: `conv1`, `layer1.0.conv1`, `stage2.0.branches.0.0.conv1`, ..., and in
Lite-HRNet, whose official code is OpenMMLab's, `stem.conv1.conv`, ... They differ in
what stands before them, and OpenMMLab in the names of necks and heads.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

# `backbone` is a network without a head.
TASKS = ("pose", "classification", "segmentation", "detection", "backbone")
# What a file may hold of one model: averages over its training, and its own weights.
STATES = ("ema", "model")

# Tensors that only networks of one task have, by official name.
_TELLTALES = {
    "neck.fpn_conv.0.weight": "detection",
    "last_layer.3.weight": "segmentation",
    "cls_head.weight": "segmentation",
    "classifier.weight": "classification",
    "final_layer.weight": "pose",
    # Faces.
    "head.3.weight": "pose",
}

# A body's first convolution, and one that no other network with such a first one has.
_BODIES = {
    "hrnet": ("conv1.weight", "stage2.0.branches.0.0.conv1.weight"),
    "litehrnet": ("stem.conv1.conv.weight", "stage0.0.fuse_layers.0.1.0.weight"),
}
_BODY = re.compile(r"(conv[12]|bn[12]|layer1|stem|transition[0-3]|stage[0-4])\.")

_OPENMMLAB_BODY = "backbone."

# For OpenMMLab's names, without what stands before `backbone.`; the first match counts.
_OPENMMLAB = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^backbone\.", ""),
        # Faces: convolution, norm and convolution, which mmpose 1.x numbers otherwise.
        (r"^keypoint_head\.final_layer\.([013])\.", r"head.\1."),
        (r"^head\.conv_layers\.([01])\.", r"head.\1."),
        (r"^(?:keypoint_)?head\.final_layer\.", "final_layer."),
        (r"^neck\.reduction_conv\.(?:0|conv)\.", "neck.reduction_conv.0."),
        (r"^neck\.fpn_conv\.(\d+)\.(?:conv\.)?", r"neck.fpn_conv.\1."),
        (r"^decode_head\.convs\.0\.conv\.", "last_layer.0."),
        (r"^decode_head\.convs\.0\.bn\.", "last_layer.1."),
        (r"^decode_head\.conv_seg\.", "last_layer.3."),
        # OCR: a list of two heads, the auxiliary one first.
        (r"^decode_head\.0\.convs\.0\.conv\.", "aux_head.0."),
        (r"^decode_head\.0\.convs\.0\.bn\.", "aux_head.1."),
        (r"^decode_head\.0\.conv_seg\.", "aux_head.3."),
        (r"^decode_head\.1\.bottleneck\.conv\.", "conv3x3_ocr.0."),
        (r"^decode_head\.1\.bottleneck\.bn\.", "conv3x3_ocr.1."),
        (r"^decode_head\.1\.conv_seg\.", "cls_head."),
    )
]
_OPENMMLAB_ATTENTION = re.compile(
    r"^decode_head\.1\.object_context_block\."
    r"(query_project|key_project|value_project|out_project|bottleneck)\."
    r"(?:([01])\.)?(conv|bn)\."
)
_ATTENTION_PARTS = {
    "query_project": "object_context_block.f_pixel",
    "key_project": "object_context_block.f_object",
    "value_project": "object_context_block.f_down",
    "out_project": "object_context_block.f_up",
    "bottleneck": "conv_bn_dropout",
}


def body_prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the names of bodies, e.g. '', 'model.' or 'backbone.'.

    The shortest comes first.
    """
    names = set(names)
    found = {
        prefix
        for start, proof in _BODIES.values()
        for name in names
        if name.endswith(start)
        and (prefix := name.removesuffix(start)) + proof in names
    }
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def network_prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the names of networks: of a body and of what goes with it."""
    outer = [prefix.removesuffix(_OPENMMLAB_BODY) for prefix in body_prefixes(names)]
    return list(dict.fromkeys(outer))


def is_openmmlab(names: Iterable[str]) -> bool:
    """Whether the names are OpenMMLab's, whose body is called `backbone`."""
    return next(iter(body_prefixes(names)), "").endswith(_OPENMMLAB_BODY)


def to_official_names(tensors: Mapping[str, T]) -> dict[str, T] | None:
    """Renames tensors as the official code names them; None if they are of no HRNet.

    Tensors outside the body and the known heads keep their names.
    """
    prefixes = body_prefixes(tensors)
    if not prefixes:
        return None
    is_mm = prefixes[0].endswith(_OPENMMLAB_BODY)
    outer = prefixes[0].removesuffix(_OPENMMLAB_BODY)
    renamed = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(outer)
        renamed[_from_openmmlab(inner) if is_mm else inner] = tensor
    if is_mm and "head.0.weight" in renamed:
        return {_of_head(name): tensor for name, tensor in renamed.items()}
    return renamed


def _of_head(name: str) -> str:
    """The official name of a head's last layer, where mmpose 1.x numbers the others."""
    return re.sub(r"^final_layer\.", "head.3.", name)


def is_body(name: str) -> bool:
    """Whether an official name belongs to the body, which all tasks share."""
    return _BODY.match(name) is not None


def family_of_tensors(names: Iterable[str]) -> str:
    """The `type` of the backbone whose body is among the official names."""
    names = set(names)
    return next(kind for kind, (_, proof) in _BODIES.items() if proof in names)


def find_task(names: Iterable[str]) -> str | None:
    """The task whose head is among the official names; None for a body alone."""
    names = set(names)
    tasks = [task for name, task in _TELLTALES.items() if name in names]
    return tasks[0] if tasks else None


def _from_openmmlab(name: str) -> str:
    if match := _OPENMMLAB_ATTENTION.match(name):
        part, step, kind = match.groups()
        index = 2 * int(step or 0)
        place = f"{index}" if kind == "conv" else f"{index + 1}.0"
        return f"ocr_distri_head.{_ATTENTION_PARTS[part]}.{place}.{name[match.end() :]}"
    for pattern, replacement in _OPENMMLAB:
        if pattern.match(name):
            return pattern.sub(replacement, name)
    return name
