"""The published HRNets as rows of numbers; importing this imports no TensorFlow."""

import dataclasses
import types
from collections.abc import Mapping

# The lowest of the four resolutions is 1/32 of the image's.
STRIDE = 32

# The name of a network that is none of the published ones.
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
