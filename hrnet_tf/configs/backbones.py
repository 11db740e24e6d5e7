"""HRNet and Lite-HRNet as Model Garden backbones: variants and configurations.

Every published variant is the same network with other numbers, so a variant is a
row of data: the width C of the highest-resolution branch (branch i is C * 2^i wide),
and how many modules and blocks each stage holds. A network of your own is a row too:
set `model_id: custom` and describe it under `custom`.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from official.modeling import hyperparams
from official.vision.configs import backbones, common

from hrnet_tf.configs import variants
from hrnet_tf.configs.variants import CUSTOM

FUSE_UPSAMPLING = ("nearest", "bilinear", "bilinear_align_corners")
KERNEL_INITIALIZERS = ("normal", "kaiming")
LITE_BLOCKS = ("lite", "naive")


@dataclasses.dataclass
class HRNetSpec(hyperparams.Config):
    """The numbers that make one HRNet differ from another.

    Attributes:
        width: Channels C of the highest-resolution branch; branch i has C * 2^i. In [1,
            1024].
        modules: High-resolution modules in stages 2, 3 and 4. Each in [0, 100].
        blocks: Residual blocks of each branch within one module. In [1, 100].
        layer1_planes: Bottleneck width of stage 1; its output is four times as wide. In
            [1, 1024].
        layer1_blocks: Bottleneck blocks of stage 1. In [1, 100].
        stem_width: Channels of the two stride-2 convolutions in front. In [1, 1024].
    """

    width: int = 32
    modules: list[int] = dataclasses.field(default_factory=lambda: [1, 4, 3])
    blocks: int = 4
    layer1_planes: int = 64
    layer1_blocks: int = 4
    stem_width: int = 64


VARIANTS: Mapping[str, HRNetSpec] = types.MappingProxyType(
    {
        name: HRNetSpec(**{**vars(variant), "modules": list(variant.modules)})
        for name, variant in variants.VARIANTS.items()
    }
)


@dataclasses.dataclass
class LiteHRNetSpec(hyperparams.Config):
    """The numbers that make one Lite-HRNet differ from another.

    Attributes:
        width: Channels C of the highest-resolution branch, an even number; branch i has
            C * 2^i. In [8, 1024].
        modules: Modules in stages 2, 3 and 4. Each in [1, 100].
        block: `lite` for conditional channel weighting, `naive` for ShuffleNetV2's
            units.
        blocks: Blocks within one module. In [1, 100].
        stem_width: Channels of the stem, an even number. In [2, 1024].
        reduction: How many times narrower than the halves of all branches the hidden
            layer of the cross-resolution weighting is; only for `lite`. In [1, 64].
    """

    width: int = 40
    modules: list[int] = dataclasses.field(default_factory=lambda: [2, 4, 2])
    block: str = "lite"
    blocks: int = 2
    stem_width: int = 32
    reduction: int = 8


LITE_VARIANTS: Mapping[str, LiteHRNetSpec] = types.MappingProxyType(
    {
        name: LiteHRNetSpec(**{**vars(variant), "modules": list(variant.modules)})
        for name, variant in variants.LITE_VARIANTS.items()
    }
)


@dataclasses.dataclass
class HRNet(hyperparams.Config):
    """The `hrnet` backbone.

    Attributes:
        model_id: A name from `VARIANTS`, or `custom`.
        custom: The network when `model_id` is `custom`; ignored otherwise.
        multi_scale_output: Whether the last module computes all four branches
            (endpoints '2' to '5'). False computes the highest-resolution one alone:
            what the HRNetV1 representation needs and what official pose checkpoints
            contain.
        fuse_upsampling: How a fusion brings a low-resolution branch up: `nearest`
            (official pose, classification and detection code), `bilinear` (official
            segmentation code) or `bilinear_align_corners` (its OCR branch).
        classification_neck: Whether the backbone ends in the classification networks'
            neck, which merges the four branches from high to low resolution; its
            one endpoint is then '5', 2048 channels. Needs `multi_scale_output`.
        kernel_initializer: `normal` draws from N(0, 0.001) as the official pose and
            segmentation code does, `kaiming` scales by fan-out as its classification
            code does.
        freeze_norm_statistics: Whether training, too, normalises by the moving
            statistics of the weights that it started from (official detection code,
            `norm_eval`): batches of two large images have poor statistics of their
            own. Scales and offsets are trained.
    """

    model_id: str = "w32"
    custom: HRNetSpec = dataclasses.field(default_factory=HRNetSpec)
    multi_scale_output: bool = True
    fuse_upsampling: str = "nearest"
    classification_neck: bool = False
    kernel_initializer: str = "normal"
    freeze_norm_statistics: bool = False


@dataclasses.dataclass
class LiteHRNet(hyperparams.Config):
    """The `litehrnet` backbone.

    Attributes:
        model_id: A name from `LITE_VARIANTS`, or `custom`.
        custom: The network when `model_id` is `custom`; ignored otherwise.
        kernel_initializer: As for `hrnet`; `normal` is the official one.
        freeze_norm_statistics: As for `hrnet`.
    """

    model_id: str = "lite18"
    custom: LiteHRNetSpec = dataclasses.field(default_factory=LiteHRNetSpec)
    kernel_initializer: str = "normal"
    freeze_norm_statistics: bool = False


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """The Model Garden's choice of backbones with `hrnet` and `litehrnet` added."""

    hrnet: HRNet = dataclasses.field(default_factory=HRNet)
    litehrnet: LiteHRNet = dataclasses.field(default_factory=LiteHRNet)


def hrnet_spec(config: HRNet) -> HRNetSpec:
    """Returns the numbers of the network that `config` names.

    Raises `ValueError` if `model_id` names no variant, or a number of a custom network
    is not a positive integer.
    """
    return _chosen("hrnet", config, VARIANTS)


def litehrnet_spec(config: LiteHRNet) -> LiteHRNetSpec:
    """Returns the numbers of the network that `config` names.

    Raises `ValueError` as `hrnet_spec` does, or if a custom network's block is unknown,
    or its channels cannot be halved and divided as its block needs.
    """
    spec = _chosen("litehrnet", config, LITE_VARIANTS)
    if spec.block not in LITE_BLOCKS:
        raise ValueError(
            f"litehrnet.custom.block is {spec.block!r}; it must be one of "
            f"{', '.join(LITE_BLOCKS)}."
        )
    for name in ("width", "stem_width"):
        if getattr(spec, name) % 2:
            raise ValueError(
                f"litehrnet.custom.{name} is {getattr(spec, name)}; it must be even, "
                "since blocks halve the channels."
            )
    # The halves of the first two branches together, and of the first alone.
    if spec.block == "lite" and (
        3 * spec.width // 2 < spec.reduction or spec.width < 8
    ):
        raise ValueError(
            f"litehrnet.custom.width is {spec.width}; with custom.reduction "
            f"{spec.reduction} it must be at least "
            f"{max(8, -(-2 * spec.reduction // 3))}, or the weightings' hidden layers "
            "would have no channels."
        )
    return spec


def _chosen(family: str, config: Any, published: Mapping[str, Any]) -> Any:
    """The variant that a configuration names, or its custom numbers if they can be."""
    if config.model_id != CUSTOM:
        if config.model_id not in published:
            raise ValueError(
                f"{family}.model_id is {config.model_id!r}; it must be one of "
                f"{', '.join([*published, CUSTOM])}."
            )
        return published[config.model_id]
    spec = config.custom
    if len(spec.modules) != 3:
        raise ValueError(
            f"{family}.custom.modules needs three numbers, for stages 2, 3 and 4; got "
            f"{list(spec.modules)}."
        )
    for name, value in spec.as_dict().items():
        if name == "block":
            continue
        for number in value if name == "modules" else [value]:
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"{family}.custom.{name} must hold positive integers; got "
                    f"{value!r}."
                )
    return spec


def official_norm_activation() -> common.NormActivation:
    """Returns what official networks use, unless their recipes say otherwise."""
    return common.NormActivation(
        activation="relu", use_sync_bn=False, norm_momentum=0.9, norm_epsilon=1e-5
    )
