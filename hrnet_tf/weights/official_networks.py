"""Builds the model whose weights a published checkpoint holds.

All sizes are read off the tensors: the variant, the keypoints or classes, the widths
of heads. Tensors do not show how branches are enlarged; that follows from the task.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.modeling import hyperparams

from hrnet_tf.configs import backbones, decoders
from hrnet_tf.modeling import task_models
from hrnet_tf.modeling.hrnet import HRNet, build_hrnet
from hrnet_tf.weights import official_layout
from hrnet_tf.weights.errors import WeightsError

Tensors = Mapping[str, np.ndarray]

# Modules of a stage, blocks of a branch, levels of a pyramid.
_MOST_PARTS = 32
# Of a convolution, and of one whose filters are keypoints or classes.
_MOST_FILTERS, _MOST_OUTPUTS = 2**13, 2**16
# Of the last convolution of a pose network; those published have 1 or 3.
_LARGEST_KERNEL = 31


@dataclasses.dataclass(frozen=True)
class Network:
    """A model and the official names of its weights.

    Attributes:
        task: `pose`, `classification`, `segmentation`, `detection` or `backbone`.
        model_id: The variant, or `custom`.
        model: Maps normalised images [B, H, W, 3] to the task's outputs: heatmaps,
            logits, {'logits': ...}, the pyramid, or the backbone's endpoints.
        parts: What a checkpoint names: `backbone` and, where the task has them,
            `decoder`, `head` and `model`.
        variables: All variables by official name.
        config: The fields of `task.model` that the weights need, as plain values.
    """

    task: str
    model_id: str
    model: tf_keras.Model
    parts: dict[str, tf_keras.layers.Layer]
    variables: dict[str, tf.Variable]
    config: dict[str, Any]


def infer_spec(tensors: Tensors) -> backbones.HRNetSpec:
    """Reads the numbers of an HRNet off its official tensors. Raises `WeightsError`."""
    total = sum(tensor.size for tensor in tensors.values())

    def count(pattern: str) -> int:
        matches = (re.match(pattern, name) for name in tensors)
        number = len({match.group(1) for match in matches if match})
        if not 1 <= number <= _MOST_PARTS:
            names = pattern.replace(r"(\d+)", "NUMBER").replace("\\", "")
            raise WeightsError(
                f"There are tensors {names}... of {number} numbers; an HRNet has 1 to "
                f"{_MOST_PARTS}."
            )
        return number

    def filters(name: str) -> int:
        if name not in tensors:
            raise WeightsError(f"The tensor {name} is missing.")
        number = _shape(tensors, name)[0]
        # Convolutions of so many channels follow, in the file as in the network.
        if number**2 > total:
            raise WeightsError(
                f"The tensor {name} is {list(tensors[name].shape)}, too wide for a "
                f"network of the file's {total:,} numbers."
            )
        return number

    return backbones.HRNetSpec(
        width=filters("stage2.0.branches.0.0.conv1.weight"),
        modules=[count(rf"stage{stage}\.(\d+)\.") for stage in (2, 3, 4)],
        blocks=count(r"stage2\.0\.branches\.0\.(\d+)\."),
        layer1_planes=filters("layer1.0.conv1.weight"),
        layer1_blocks=count(r"layer1\.(\d+)\."),
        stem_width=filters("conv1.weight"),
    )


def _shape(
    tensors: Tensors, name: str, rank: int = 4, most: int = _MOST_FILTERS
) -> tuple[int, ...]:
    """The shape of a tensor that decides sizes; a `KeyError` if there is none."""
    shape = tensors[name].shape
    if len(shape) != rank or not all(shape):
        raise WeightsError(
            f"The tensor {name} is {list(shape)}; it must have {rank} dimensions, none "
            "of them 0."
        )
    if shape[0] > most:
        raise WeightsError(
            f"The tensor {name} is {list(shape)}; it may have at most {most} filters."
        )
    return shape


def infer_model_id(spec: backbones.HRNetSpec) -> str:
    """The name of the published variant with these numbers, or `custom`."""
    for model_id, variant in backbones.VARIANTS.items():
        if variant.as_dict() == spec.as_dict():
            return model_id
    return backbones.CUSTOM


def build_network(task: str, tensors: Tensors, align_corners: bool) -> Network:
    """Builds the model of a task for tensors in official names.

    The tensors decide all sizes; their values are not loaded here. `align_corners` says
    how a segmentation network enlarges its branches. Raises `WeightsError` if a tensor
    that decides a size is missing.
    """
    backbone = _backbone_config(task, tensors, align_corners)
    try:
        return _BUILDERS[task](backbone, tensors)
    except KeyError as error:
        raise WeightsError(
            f"The tensor {error.args[0]} is missing, which shows how large the {task} "
            "network is."
        ) from None


def _backbone_config(
    task: str, tensors: Tensors, align_corners: bool
) -> backbones.Backbone:
    spec = infer_spec(tensors)
    model_id = infer_model_id(spec)
    proof = f"stage4.{spec.modules[2] - 1}.fuse_layers.1.0.0.0.weight"
    if proof not in tensors and task not in ("pose", "backbone"):
        raise WeightsError(
            f"The tensor {proof} is missing; {task} networks need all branches."
        )
    upsampling = "nearest"
    if "last_layer.3.weight" in tensors or "cls_head.weight" in tensors:
        upsampling = _bilinear(align_corners)
    return backbones.Backbone(
        type="hrnet",
        hrnet=backbones.HRNet(
            model_id=model_id,
            custom=spec if model_id == backbones.CUSTOM else backbones.HRNetSpec(),
            multi_scale_output=proof in tensors,
            fuse_upsampling=upsampling,
            classification_neck=task == "classification",
        ),
    )


def _bilinear(align_corners: bool) -> str:
    return "bilinear_align_corners" if align_corners else "bilinear"


def _build_backbone(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    del tensors
    model = build_hrnet(
        task_models.images(), backbone, backbones.official_norm_activation()
    )
    return _network("backbone", backbone, model, {"backbone": model}, {})


def _build_pose(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    num_keypoints, _, kernel_size, _ = _shape(
        tensors, "final_layer.weight", most=_MOST_OUTPUTS
    )
    if kernel_size > _LARGEST_KERNEL:
        raise WeightsError(
            f"The tensor final_layer.weight has a kernel {kernel_size} high; the most "
            f"is {_LARGEST_KERNEL}."
        )
    model = task_models.build_pose(backbone, num_keypoints, kernel_size).model
    return _network(
        "pose",
        backbone,
        model,
        {**model.checkpoint_items, "model": model},
        {"head": {"kernel_size": kernel_size}},
        {"final_layer": model.head.conv},
    )


def _build_classification(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    num_classes = _shape(tensors, "classifier.weight", 2, _MOST_OUTPUTS)[0]
    built = task_models.build_classification(backbone, num_classes)
    return _network(
        "classification",
        backbone,
        built.model,
        {"backbone": built.backbone, "model": built.model},
        {"num_classes": num_classes},
        {"classifier": built.head},
    )


def _build_segmentation(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    decoder = decoders.Decoder(type="hrnetv2")
    classifier = "last_layer.3"
    if "cls_head.weight" in tensors:
        decoder = decoders.Decoder(type="hrnetv2_ocr")
        keys = "ocr_distri_head.object_context_block.f_pixel.0.weight"
        decoder.hrnetv2_ocr.num_filters = _shape(tensors, "conv3x3_ocr.0.weight")[0]
        decoder.hrnetv2_ocr.key_filters = _shape(tensors, keys)[0]
        classifier = "cls_head"
    decoder.get().upsampling = backbone.hrnet.fuse_upsampling
    num_classes = _shape(tensors, f"{classifier}.weight", most=_MOST_OUTPUTS)[0]
    model = task_models.build_segmentation(backbone, decoder, num_classes).model
    return _network(
        "segmentation",
        backbone,
        model,
        {**model.checkpoint_items, "model": model},
        {
            "num_classes": num_classes,
            "decoder": _chosen(decoder),
            "head": {"level": 2, "num_convs": 0, "feature_fusion": None},
        },
        # The Garden's head hides its layers, but without convolutions of its own it
        # has only one.
        {classifier: _OutputLayer(*model.head.weights)},
    )


def _build_detection(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    num_levels = sum(
        re.fullmatch(r"neck\.fpn_conv\.\d+\.weight", name) is not None
        for name in tensors
    )
    if num_levels > _MOST_PARTS:
        raise WeightsError(
            f"The pyramid has {num_levels} levels; the most is {_MOST_PARTS}."
        )
    decoder = decoders.Decoder(type="hrnetv2p")
    reduction = _shape(tensors, "neck.reduction_conv.0.weight")
    decoder.hrnetv2p.num_filters = reduction[0]
    built = task_models.build_detection(backbone, decoder, max_level=1 + num_levels)
    return _network(
        "detection",
        backbone,
        built.model,
        {"backbone": built.backbone, "decoder": built.decoder},
        {"min_level": 2, "max_level": 1 + num_levels, "decoder": _chosen(decoder)},
    )


@dataclasses.dataclass(frozen=True)
class _OutputLayer:
    """Kernel and bias of a layer that its model hides."""

    kernel: tf.Variable
    bias: tf.Variable
    use_bias: bool = True


def _network(
    task: str,
    backbone: backbones.Backbone,
    model: tf_keras.Model,
    parts: dict[str, tf_keras.layers.Layer],
    config: dict[str, Any],
    outputs: Mapping[str, Any] | None = None,
) -> Network:
    """Names all variables of the parts."""
    body: HRNet = parts["backbone"]
    norm_activation = backbones.official_norm_activation()
    variables = dict(official_layout.backbone_variables(body))
    if "decoder" in parts:
        variables.update(official_layout.decoder_variables(parts["decoder"]))
    for name, layer in (outputs or {}).items():
        variables.update(official_layout.output_variables(layer, name))
    return Network(
        task=task,
        model_id=backbone.hrnet.model_id,
        model=model,
        parts=parts,
        variables=variables,
        config={
            "backbone": _chosen_backbone(backbone),
            "norm_activation": {
                "activation": norm_activation.activation,
                "norm_epsilon": norm_activation.norm_epsilon,
            },
            **config,
        },
    )


def _chosen(one_of: hyperparams.Config) -> dict[str, Any]:
    """A choice as YAML has it: the type, and the settings of that type only."""
    return {"type": one_of.type, one_of.type: one_of.get().as_dict()}


def _chosen_backbone(backbone: backbones.Backbone) -> dict[str, Any]:
    """The part of the backbone's configuration that its weights need."""
    chosen = _chosen(backbone)
    hrnet = chosen["hrnet"]
    # It draws weights that are about to be replaced.
    del hrnet["kernel_initializer"]
    if backbone.hrnet.model_id != backbones.CUSTOM:
        del hrnet["custom"]
    # Weights for all branches also fit a network that computes only the first.
    if backbone.hrnet.multi_scale_output:
        del hrnet["multi_scale_output"]
    if not backbone.hrnet.classification_neck:
        del hrnet["classification_neck"]
    return chosen


_BUILDERS = {
    "backbone": _build_backbone,
    "pose": _build_pose,
    "classification": _build_classification,
    "segmentation": _build_segmentation,
    "detection": _build_detection,
}
