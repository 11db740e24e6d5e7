"""The published networks as rows of numbers; importing this imports no TensorFlow."""

import dataclasses
import types
from collections.abc import Mapping, Sequence

# The lowest of the four resolutions is 1/32 of the image's.
STRIDE = 32

# The name of a network that was not published.
CUSTOM = "custom"


@dataclasses.dataclass(frozen=True)
class Variant:
    """See `configs.backbones.HRNetSpec`, which has the same fields."""

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    layer1_planes: int = 64
    layer1_blocks: int = 4
    stem_width: int = 64


# Official experiments/*.yaml. The two small models are named W18 by their authors;
# small v1 really is 16 wide.
VARIANTS: Mapping[str, Variant] = types.MappingProxyType(
    {
        "w18_small_v1": Variant(
            16, modules=(1, 1, 1), blocks=2, layer1_planes=32, layer1_blocks=1
        ),
        "w18_small_v2": Variant(18, modules=(1, 3, 2), blocks=2, layer1_blocks=2),
        **{f"w{width}": Variant(width) for width in (18, 30, 32, 40, 44, 48, 64)},
    }
)


@dataclasses.dataclass(frozen=True)
class LiteVariant:
    """See `configs.backbones.LiteHRNetSpec`, which has the same fields."""

    width: int
    modules: tuple[int, int, int]
    block: str
    blocks: int = 2
    stem_width: int = 32
    reduction: int = 8


# Official configs/top_down/{lite_hrnet,naive_litehrnet}; the wider naive network is the
# paper's, and PP-TinyPose.
LITE_VARIANTS: Mapping[str, LiteVariant] = types.MappingProxyType(
    {
        "lite18": LiteVariant(40, (2, 4, 2), "lite"),
        "lite30": LiteVariant(40, (3, 8, 3), "lite"),
        "naive18": LiteVariant(30, (2, 4, 2), "naive"),
        "wider_naive18": LiteVariant(40, (2, 4, 2), "naive"),
    }
)

# By the `type` of their backbone.
FAMILIES: Mapping[str, Mapping[str, Variant | LiteVariant]] = types.MappingProxyType(
    {"hrnet": VARIANTS, "litehrnet": LITE_VARIANTS}
)


ALL_VARIANTS: Mapping[str, Variant | LiteVariant] = types.MappingProxyType(
    {**VARIANTS, **LITE_VARIANTS}
)


def family_of(model_id: str) -> str:
    """The `type` of the backbone that has this variant; a `KeyError` if none has."""
    for family, variants in FAMILIES.items():
        if model_id in variants:
            return family
    raise KeyError(model_id)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What the official networks of one task have in common."""

    input_size: tuple[int, int]  # (height, width)
    outputs: str = ""  # of a channel each: `keypoints`, `classes` or none
    num_outputs: int = 0


RECIPES: Mapping[str, Recipe] = types.MappingProxyType(
    {
        "pose": Recipe((256, 192), "keypoints", 17),
        "face": Recipe((256, 256), "keypoints", 98),
        "classification": Recipe((224, 224), "classes", 1000),
        "segmentation": Recipe((1024, 2048), "classes", 19),
        "segmentation_ocr": Recipe((1024, 2048), "classes", 19),
        "detection": Recipe((800, 1344)),
    }
)


def is_published(task: str, model_id: str) -> bool:
    """Whether there are official networks of this variant for a task of `RECIPES`."""
    return family_of(model_id) == "hrnet" or task == "pose"


def check_input_size(input_size: Sequence[int | None]) -> None:
    """Raises `ValueError` if a known side, (height, width), is no multiple of 32."""
    if any(side is not None and (side <= 0 or side % STRIDE) for side in input_size):
        height, width = input_size
        raise ValueError(
            f"HRNet's input sides must be multiples of {STRIDE}, so that its four "
            f"resolutions line up; got height {height} and width {width}."
        )
