"""Pairs the official tensors with the variables of our models.

Names are those of the official repositories, without a prefix.
A kernel is [height, width, in, out] here and [out, in, height, width] there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.blocks import ConvNorm
from hrnet_tf.modeling.classification_neck import ClassificationNeck
from hrnet_tf.modeling.high_resolution_module import HighResolutionModule
from hrnet_tf.modeling.hrnet import HRNet
from hrnet_tf.modeling.ocr import HRNetV2OCR
from hrnet_tf.modeling.representations import HRNetV1, HRNetV2, HRNetV2p

Named = Iterator[tuple[str, tf.Variable]]


def from_official(tensor: np.ndarray) -> np.ndarray:
    """Turns an official tensor into the value of a variable."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T if tensor.ndim == 2 else tensor


def official_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the official tensor for a variable's shape."""
    if len(shape) == 4:
        height, width, channels, filters = shape
        return filters, channels, height, width
    return tuple(reversed(shape))


def backbone_variables(backbone: HRNet) -> Named:
    """Yields every variable of HRNet, and of its classification neck if it has one."""
    layers = {layer.name: layer for layer in backbone.layers}
    yield from _numbered([layers["stem_conv1"], layers["stem_conv2"]])
    for name, layer in layers.items():
        kind, _, rest = name.partition("_")
        if kind == "layer1":
            block = rest.removeprefix("block")
            yield from _residual_block(layer, f"layer1.{block}")
        elif kind.startswith("transition"):
            branch = rest.removeprefix("branch")
            # Officially a list, since several convolutions could lead to a new branch.
            is_new = int(branch) == int(kind.removeprefix("transition"))
            yield from _pair(layer, f"{kind}.{branch}" + (".0" if is_new else ""))
        elif isinstance(layer, HighResolutionModule):
            yield from _module(layer, f"{kind}.{rest.removeprefix('module')}")
        elif isinstance(layer, ClassificationNeck):
            yield from _classification_neck(layer)


def decoder_variables(decoder: tf_keras.layers.Layer) -> Named:
    """Yields every variable of one of HRNet's representations."""
    if isinstance(decoder, HRNetV1):
        return
    elif isinstance(decoder, HRNetV2):
        yield from _conv_norm(decoder.mix, "last_layer.0", "last_layer.1")
    elif isinstance(decoder, HRNetV2p):
        yield from _conv(decoder.reduction_conv, "neck.reduction_conv.0")
        for number, conv in enumerate(decoder.level_convs.values()):
            yield from _conv(conv, f"neck.fpn_conv.{number}")
    elif isinstance(decoder, HRNetV2OCR):
        yield from _ocr(decoder)
    else:
        raise TypeError(f"{type(decoder).__name__} has no official counterpart.")


def output_variables(layer: tf_keras.layers.Layer, name: str) -> Named:
    """Yields kernel and bias of a network's last layer."""
    yield from _conv(layer, name)


def normed_biases(names: Iterable[str]) -> list[str]:
    """The names of biases in convolutions that a norm follows.

    Such a bias does nothing that the norm's offset could not do, and some published
    networks leave all of them out.
    """
    names = set(names)
    return sorted(
        f"{stem}.0.bias"
        for stem in {name.removesuffix(".1.running_mean") for name in names}
        if f"{stem}.0.bias" in names
    )


def _conv(layer: tf_keras.layers.Layer, name: str) -> Named:
    yield f"{name}.weight", layer.kernel
    if layer.use_bias:
        yield f"{name}.bias", layer.bias


def _conv_norm(layer: ConvNorm, conv: str, norm: str) -> Named:
    yield from _conv(layer.conv, conv)
    yield f"{norm}.weight", layer.norm.gamma
    yield f"{norm}.bias", layer.norm.beta
    yield f"{norm}.running_mean", layer.norm.moving_mean
    yield f"{norm}.running_var", layer.norm.moving_variance


def _pair(layer: ConvNorm, name: str) -> Named:
    """Convolution and norm as items 0 and 1 of a torch Sequential."""
    yield from _conv_norm(layer, f"{name}.0", f"{name}.1")


def _numbered(layers: Iterable[ConvNorm], prefix: str = "") -> Named:
    """Convolutions and norms as conv1, bn1, conv2, bn2, ..."""
    for number, layer in enumerate(layers, start=1):
        yield from _conv_norm(layer, f"{prefix}conv{number}", f"{prefix}bn{number}")


def _residual_block(block: tf_keras.layers.Layer, name: str) -> Named:
    yield from _numbered(block.convs, f"{name}.")
    if block.shortcut is not None:
        yield from _pair(block.shortcut, f"{name}.downsample")


def _module(module: HighResolutionModule, name: str) -> Named:
    for key, block in module.branch_blocks.items():
        branch, number = key.split("_")
        yield from _residual_block(block, f"{name}.branches.{branch}.{number}")
    for path in module.fuse_paths.values():
        fuse = f"{name}.fuse_layers.{path.target}.{path.source}"
        if path.source > path.target:
            yield from _pair(path.convs[0], fuse)
        else:
            for step, conv in enumerate(path.convs):
                yield from _pair(conv, f"{fuse}.{step}")


def _classification_neck(neck: ClassificationNeck) -> Named:
    for branch, block in enumerate(neck.widen_blocks):
        yield from _residual_block(block, f"incre_modules.{branch}.0")
    for branch, conv in enumerate(neck.downsample_convs):
        yield from _pair(conv, f"downsamp_modules.{branch}")
    yield from _pair(neck.final_conv, "final_layer")


def _ocr(decoder: HRNetV2OCR) -> Named:
    yield from _conv_norm(decoder.auxiliary_mix, "aux_head.0", "aux_head.1")
    yield from _conv(decoder.auxiliary_classifier, "aux_head.3")
    yield from _pair(decoder.pixel_conv, "conv3x3_ocr")
    attention = decoder.attention
    chains: Mapping[str, list[ConvNorm]] = {
        "object_context_block.f_pixel": attention.pixel_convs,
        "object_context_block.f_object": attention.object_convs,
        "object_context_block.f_down": [attention.value_conv],
        "object_context_block.f_up": [attention.context_conv],
        "conv_bn_dropout": [decoder.fuse_conv],
    }
    for part, convs in chains.items():
        for step, conv in enumerate(convs):
            place = f"ocr_distri_head.{part}"
            yield from _conv_norm(
                conv, f"{place}.{2 * step}", f"{place}.{2 * step + 1}.0"
            )
