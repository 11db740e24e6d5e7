"""The published HRNets as rows of numbers; importing this imports no TensorFlow."""

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
class Recipe:
    """What the official networks of one task have in common."""

    input_size: tuple[int, int]  # (height, width)
    outputs: str = ""  # of a channel each: `keypoints`, `classes` or none
    num_outputs: int = 0


RECIPES: Mapping[str, Recipe] = types.MappingProxyType(
    {
        "pose": Recipe((256, 192), "keypoints", 17),
        "classification": Recipe((224, 224), "classes", 1000),
        "segmentation": Recipe((1024, 2048), "classes", 19),
        "segmentation_ocr": Recipe((1024, 2048), "classes", 19),
        "detection": Recipe((800, 1344)),
    }
)


def check_input_size(input_size: Sequence[int | None]) -> None:
    """Raises `ValueError` if a known side, (height, width), is no multiple of 32."""
    if any(side is not None and (side <= 0 or side % STRIDE) for side in input_size):
        height, width = input_size
        raise ValueError(
            f"HRNet's input sides must be multiples of {STRIDE}, so that its four "
            f"resolutions line up; got height {height} and width {width}."
        )
