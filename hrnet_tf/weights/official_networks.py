"""Builds the model whose weights a published checkpoint holds.

All sizes are read off the tensors: the variant, the keypoints or classes, the widths
of heads. Tensors do not show how branches are enlarged; that follows from the task.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams

from hrnet_tf.configs import backbones, decoders
from hrnet_tf.configs.variants import CUSTOM, RECIPES
from hrnet_tf.modeling import task_models
from hrnet_tf.weights import official_layout, official_names
from hrnet_tf.weights.errors import WeightsError
from hrnet_tf.weights.official_specs import (
    MOST_PARTS,
    Tensors,
    infer_model_id,
    infer_spec,
    shape_of,
)

# Of a convolution whose filters are keypoints or classes.
_MOST_OUTPUTS = 2**16
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
        finds_faces: Whether it is the network of landmarks of faces.
    """

    task: str
    model_id: str
    model: tf_keras.Model
    parts: dict[str, tf_keras.layers.Layer]
    variables: dict[str, tf.Variable]
    config: dict[str, Any]
    finds_faces: bool = False


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
    backbone = backbones.Backbone(type=official_names.family_of_tensors(tensors))
    chosen = backbone.get()
    chosen.model_id = infer_model_id(spec)
    if chosen.model_id == CUSTOM:
        chosen.custom = spec
    if backbone.type == "litehrnet":
        if task not in ("pose", "backbone"):
            raise WeightsError(
                f"Its body is Lite-HRNet's, of which no {task} networks are known: use "
                "--task=backbone."
            )
        try:
            backbones.litehrnet_spec(chosen)
        except ValueError as error:
            raise WeightsError(f"Its network cannot be built: {error}") from error
        return backbone
    proof = f"stage4.{spec.modules[2] - 1}.fuse_layers.1.0.0.0.weight"
    kind = "face" if task == "pose" and _is_face(tensors) else task
    if proof not in tensors and kind not in ("pose", "backbone"):
        raise WeightsError(
            f"The tensor {proof} is missing; {kind} networks need all branches."
        )
    chosen.multi_scale_output = proof in tensors
    chosen.classification_neck = task == "classification"
    if "last_layer.3.weight" in tensors or "cls_head.weight" in tensors:
        chosen.fuse_upsampling = _bilinear(align_corners)
    elif _is_face(tensors):
        chosen.fuse_upsampling = _bilinear(align_corners=False)
    return backbone


def _is_face(tensors: Tensors) -> bool:
    """Whether a pose network finds landmarks of faces: all branches, mixed."""
    return "head.3.weight" in tensors


def _bilinear(align_corners: bool) -> str:
    return "bilinear_align_corners" if align_corners else "bilinear"


def _build_backbone(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    del tensors
    model = task_models.build_backbone(backbone).model
    return _network("backbone", backbone, model, {"backbone": model}, {})


def _build_pose(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    is_face = backbone.type == "hrnet" and _is_face(tensors)
    last = "head.3" if is_face else "final_layer"
    num_keypoints, _, kernel_size, _ = shape_of(
        tensors, f"{last}.weight", most=_MOST_OUTPUTS
    )
    if kernel_size > _LARGEST_KERNEL:
        raise WeightsError(
            f"The tensor {last}.weight has a kernel {kernel_size} high; the most is "
            f"{_LARGEST_KERNEL}."
        )
    kind = "hrnetv2" if is_face else task_models.POSE_DECODERS[backbone.type]
    decoder = decoders.Decoder(type=kind)
    model = task_models.build_pose(
        backbone, num_keypoints, kernel_size, decoder=decoder
    ).model
    # HRNetV1's is the one that pose networks have unless told otherwise.
    chosen = {} if kind == "hrnetv1" else {"decoder": _chosen(decoder)}
    network = _network(
        "pose",
        backbone,
        model,
        {**model.checkpoint_items, "model": model},
        {**chosen, "head": {"kernel_size": kernel_size}},
        {last: model.head.conv},
    )
    if is_face:
        # Of pose networks, which otherwise compute the first branch alone.
        network.config["backbone"]["hrnet"]["multi_scale_output"] = True
        network.config["input_size"] = list(RECIPES["face"].input_size)
    return dataclasses.replace(network, finds_faces=is_face)


def _build_classification(backbone: backbones.Backbone, tensors: Tensors) -> Network:
    num_classes = shape_of(tensors, "classifier.weight", 2, _MOST_OUTPUTS)[0]
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
        decoder.hrnetv2_ocr.num_filters = shape_of(tensors, "conv3x3_ocr.0.weight")[0]
        decoder.hrnetv2_ocr.key_filters = shape_of(tensors, keys)[0]
        classifier = "cls_head"
    decoder.get().upsampling = backbone.hrnet.fuse_upsampling
    num_classes = shape_of(tensors, f"{classifier}.weight", most=_MOST_OUTPUTS)[0]
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
    if num_levels > MOST_PARTS:
        raise WeightsError(
            f"The pyramid has {num_levels} levels; the most is {MOST_PARTS}."
        )
    decoder = decoders.Decoder(type="hrnetv2p")
    reduction = shape_of(tensors, "neck.reduction_conv.0.weight")
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
    norm_activation = backbones.official_norm_activation()
    variables = dict(official_layout.backbone_variables(parts["backbone"]))
    if "decoder" in parts:
        mix = "head" if task == "pose" else "last_layer"
        variables.update(official_layout.decoder_variables(parts["decoder"], mix))
    for name, layer in (outputs or {}).items():
        variables.update(official_layout.output_variables(layer, name))
    return Network(
        task=task,
        model_id=backbone.get().model_id,
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
    settings = chosen[backbone.type]
    # It draws weights that are about to be replaced.
    del settings["kernel_initializer"]
    if settings["model_id"] != CUSTOM:
        del settings["custom"]
    # Weights for all branches also fit a network that computes only the first.
    if settings.get("multi_scale_output"):
        del settings["multi_scale_output"]
    if not settings.get("classification_neck", True):
        del settings["classification_neck"]
    return chosen


_BUILDERS = {
    "backbone": _build_backbone,
    "pose": _build_pose,
    "classification": _build_classification,
    "segmentation": _build_segmentation,
    "detection": _build_detection,
}
