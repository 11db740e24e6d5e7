"""Pairs the official tensors with the variables of our models.

Names are those of the official repositories, without a prefix.
A kernel is [height, width, in, out] here and [out, in, height, width] there; that of a
depthwise convolution is [height, width, channels, 1] and [channels, 1, height, width].
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.backbone import ParallelBackbone
from hrnet_tf.modeling.blocks import ConvNorm, NormedConv, SeparableConvNorm
from hrnet_tf.modeling.classification_neck import ClassificationNeck
from hrnet_tf.modeling.high_resolution_module import HighResolutionModule
from hrnet_tf.modeling.iterative_decoder import IterativeDecoder
from hrnet_tf.modeling.lite_blocks import ChannelWeighting, ShuffleUnits
from hrnet_tf.modeling.lite_module import LiteModule
from hrnet_tf.modeling.litehrnet import LiteHRNet, StemUnit
from hrnet_tf.modeling.ocr import HRNetV2OCR
from hrnet_tf.modeling.representations import HRNetV1, HRNetV2, HRNetV2p

Named = Iterator[tuple[str, tf.Variable]]


def from_official(tensor: np.ndarray, variable: tf.Variable) -> np.ndarray:
    """Turns an official tensor into the value of a variable."""
    if _is_depthwise(variable):
        return tensor.transpose(2, 3, 0, 1) if tensor.ndim == 4 else tensor
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T if tensor.ndim == 2 else tensor


def official_shape(variable: tf.Variable) -> tuple[int, ...]:
    """The shape of the official tensor for a variable."""
    shape = tuple(variable.shape)
    if len(shape) == 4:
        height, width, channels, filters = shape
        if _is_depthwise(variable):
            return channels, filters, height, width
        return filters, channels, height, width
    return tuple(reversed(shape))


def _is_depthwise(variable: tf.Variable) -> bool:
    """Whether it is a kernel [height, width, channels, 1], officially [out, 1, ...]."""
    return "depthwise_kernel" in variable.name


def backbone_variables(backbone: ParallelBackbone) -> Named:
    """Yields every variable of a body, and of its classification neck if it has one."""
    layers = {layer.name: layer for layer in backbone.layers}
    is_lite = isinstance(backbone, LiteHRNet)
    if is_lite:
        yield from _conv_module(layers["stem_conv"], "stem.conv1")
        yield from _stem_unit(layers["stem_unit"])
    else:
        yield from _numbered([layers["stem_conv1"], layers["stem_conv2"]])
    # Lite-HRNet's stages 2 to 4 are officially 0 to 2.
    first = 2 if is_lite else 0
    for name, layer in layers.items():
        kind, _, rest = name.partition("_")
        if kind == "layer1":
            block = rest.removeprefix("block")
            yield from _residual_block(layer, f"layer1.{block}")
        elif kind.startswith("transition"):
            branch, number = rest.removeprefix("branch"), int(kind[-1])
            place = f"transition{number - is_lite}.{branch}"
            # Officially a list, since several convolutions could lead to a new branch.
            is_new = int(branch) == number
            yield from _sequence(layer, place + (".0" if is_new else ""))
        elif isinstance(layer, HighResolutionModule | LiteModule):
            module = rest.removeprefix("module")
            yield from _module(layer, f"stage{int(kind[-1]) - first}.{module}")
        elif isinstance(layer, ClassificationNeck):
            yield from _classification_neck(layer)


def decoder_variables(decoder: tf_keras.layers.Layer, mix: str = "last_layer") -> Named:
    """Yields every variable of one of HRNet's representations.

    `mix` is what HRNetV2 and the last layer are called together: `last_layer` in
    segmentation, `head` of faces.
    """
    if isinstance(decoder, HRNetV1):
        return
    elif isinstance(decoder, HRNetV2):
        yield from _pair(decoder.mix, mix)
    elif isinstance(decoder, HRNetV2p):
        yield from _conv(decoder.reduction_conv, "neck.reduction_conv.0")
        for number, conv in enumerate(decoder.level_convs.values()):
            yield from _conv(conv, f"neck.fpn_conv.{number}")
    elif isinstance(decoder, HRNetV2OCR):
        yield from _ocr(decoder)
    elif isinstance(decoder, IterativeDecoder):
        for step, conv in enumerate(decoder.convs):
            project = f"head_layer.projects.{step}"
            yield from _conv_module(conv.depthwise, f"{project}.depthwise_conv")
            yield from _conv_module(conv.pointwise, f"{project}.pointwise_conv")
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
    is_depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
    yield f"{name}.weight", layer.depthwise_kernel if is_depthwise else layer.kernel
    if layer.use_bias:
        yield f"{name}.bias", layer.bias


def _conv_norm(layer: NormedConv, conv: str, norm: str) -> Named:
    yield from _conv(layer.conv, conv)
    yield f"{norm}.weight", layer.norm.gamma
    yield f"{norm}.bias", layer.norm.beta
    yield f"{norm}.running_mean", layer.norm.moving_mean
    yield f"{norm}.running_var", layer.norm.moving_variance


def _pair(layer: NormedConv, name: str) -> Named:
    """Convolution and norm as items 0 and 1 of a torch Sequential."""
    yield from _conv_norm(layer, f"{name}.0", f"{name}.1")


def _sequence(layer: ConvNorm | SeparableConvNorm, name: str) -> Named:
    """Convolutions and norms as items 0, 1, ... of a torch Sequential."""
    if isinstance(layer, SeparableConvNorm):
        yield from _pair(layer.depthwise, name)
        yield from _conv_norm(layer.pointwise, f"{name}.2", f"{name}.3")
    else:
        yield from _pair(layer, name)


def _conv_module(layer: NormedConv, name: str) -> Named:
    """Convolution and norm as OpenMMLab's ConvModule names them."""
    yield from _conv_norm(layer, f"{name}.conv", f"{name}.bn")


def _numbered(layers: Iterable[ConvNorm], prefix: str = "") -> Named:
    """Convolutions and norms as conv1, bn1, conv2, bn2, ..."""
    for number, layer in enumerate(layers, start=1):
        yield from _conv_norm(layer, f"{prefix}conv{number}", f"{prefix}bn{number}")


def _residual_block(block: tf_keras.layers.Layer, name: str) -> Named:
    yield from _numbered(block.convs, f"{name}.")
    if block.shortcut is not None:
        yield from _pair(block.shortcut, f"{name}.downsample")


def _module(module: HighResolutionModule | LiteModule, name: str) -> Named:
    if isinstance(module, LiteModule):
        for place, block in enumerate(module.block_layers):
            yield from _lite_block(block, f"{name}.layers", place)
    else:
        for key, block in module.branch_blocks.items():
            branch, number = key.split("_")
            yield from _residual_block(block, f"{name}.branches.{branch}.{number}")
    for path in module.fuse_paths.values():
        fuse = f"{name}.fuse_layers.{path.target}.{path.source}"
        if path.source > path.target:
            yield from _pair(path.convs[0], fuse)
        else:
            for step, conv in enumerate(path.convs):
                yield from _sequence(conv, f"{fuse}.{step}")


def _stem_unit(unit: StemUnit) -> Named:
    yield from _conv_module(unit.first.depthwise, "stem.branch1.0")
    yield from _conv_module(unit.first.pointwise, "stem.branch1.1")
    yield from _conv_module(unit.expand, "stem.expand_conv")
    yield from _conv_module(unit.depthwise, "stem.depthwise_conv")
    yield from _conv_module(unit.project, "stem.linear_conv")


def _lite_block(
    block: ChannelWeighting | ShuffleUnits, layers: str, number: int
) -> Named:
    if isinstance(block, ShuffleUnits):
        chains = zip(
            block.expand_convs, block.depthwise_convs, block.project_convs, strict=True
        )
        for branch, convs in enumerate(chains):
            for step, conv in enumerate(convs):
                place = f"{layers}.{branch}.{number}.branch2.{step}"
                yield from _conv_module(conv, place)
        return
    place = f"{layers}.{number}"
    weighting = f"{place}.cross_resolution_weighting"
    yield from _conv_module(block.cross_resolution.squeeze_conv, f"{weighting}.conv1")
    yield from _conv_module(block.cross_resolution.excite_conv, f"{weighting}.conv2")
    for branch, conv in enumerate(block.depthwise_convs):
        yield from _conv_module(conv, f"{place}.depthwise_convs.{branch}")
    for branch, spatial in enumerate(block.spatial):
        weighting = f"{place}.spatial_weighting.{branch}"
        yield from _conv(spatial.squeeze_conv, f"{weighting}.conv1.conv")
        yield from _conv(spatial.excite_conv, f"{weighting}.conv2.conv")


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
