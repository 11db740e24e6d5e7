"""Reads the numbers of a network, of either family, off its official tensors."""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_tf.configs import backbones
from hrnet_tf.weights import official_names
from hrnet_tf.weights.errors import WeightsError

Tensors = Mapping[str, np.ndarray]
Spec = backbones.HRNetSpec | backbones.LiteHRNetSpec

# Modules of a stage, blocks of a branch, levels of a pyramid.
MOST_PARTS = 32
_MOST_FILTERS = 2**13

# Of Lite-HRNet's cross-resolution weighting: as published, and what may be.
_REDUCTIONS = (8, *range(1, 65))


def infer_spec(tensors: Tensors) -> Spec:
    """Reads the numbers of a body off its official tensors. Raises `WeightsError`."""
    reader = _Reader(tensors)
    if official_names.family_of_tensors(tensors) == "litehrnet":
        return _lite_spec(reader)
    return backbones.HRNetSpec(
        width=reader.filters("stage2.0.branches.0.0.conv1.weight"),
        modules=[reader.count(rf"stage{stage}\.(\d+)\.") for stage in (2, 3, 4)],
        blocks=reader.count(r"stage2\.0\.branches\.0\.(\d+)\."),
        layer1_planes=reader.filters("layer1.0.conv1.weight"),
        layer1_blocks=reader.count(r"layer1\.(\d+)\."),
        stem_width=reader.filters("conv1.weight"),
    )


def infer_model_id(spec: Spec) -> str:
    """The name of the published variant with these numbers, or `custom`."""
    published: dict[str, Spec] = {**backbones.VARIANTS, **backbones.LITE_VARIANTS}
    for model_id, variant in published.items():
        if variant.as_dict() == spec.as_dict():
            return model_id
    return backbones.CUSTOM


def _lite_spec(reader: "_Reader") -> backbones.LiteHRNetSpec:
    width = reader.filters("stage0.0.fuse_layers.0.1.0.weight")
    squeeze = "layers.0.cross_resolution_weighting.conv1.conv.weight"
    is_lite = f"stage0.0.{squeeze}" in reader.tensors
    blocks = (
        r"stage0\.0\.layers\.(\d+)\." if is_lite else r"stage0\.0\.layers\.0\.(\d+)\."
    )
    spec = backbones.LiteHRNetSpec(
        width=width,
        modules=[reader.count(rf"stage{stage}\.(\d+)\.") for stage in range(3)],
        block="lite" if is_lite else "naive",
        blocks=reader.count(blocks),
        stem_width=reader.filters("stem.conv1.conv.weight"),
    )
    if is_lite:
        hidden = [reader.filters(f"stage{stage}.0.{squeeze}") for stage in range(3)]
        spec.reduction = _reduction(width, hidden)
    return spec


def _reduction(width: int, hidden: Sequence[int]) -> int:
    """What the halves of 2, 3 and 4 branches were divided by; as published if nothing.

    Several numbers may give the same widths, and then the same network.
    """
    totals = [width * (2**branches - 1) // 2 for branches in (2, 3, 4)]
    fitting = (
        reduction
        for reduction in _REDUCTIONS
        if [total // reduction for total in totals] == list(hidden)
    )
    return next(fitting, _REDUCTIONS[0])


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Counts and measures tensors."""

    tensors: Tensors

    @functools.cached_property
    def total(self) -> int:
        """How many numbers the file holds."""
        return sum(tensor.size for tensor in self.tensors.values())

    def count(self, pattern: str) -> int:
        """How many numbers stand in one place of names."""
        matches = (re.match(pattern, name) for name in self.tensors)
        number = len({match.group(1) for match in matches if match})
        if not 1 <= number <= MOST_PARTS:
            names = pattern.replace(r"(\d+)", "NUMBER").replace("\\", "")
            raise WeightsError(
                f"There are tensors {names}... of {number} numbers; an HRNet has 1 to "
                f"{MOST_PARTS}."
            )
        return number

    def filters(self, name: str) -> int:
        """How many channels come out of a convolution."""
        if name not in self.tensors:
            raise WeightsError(f"The tensor {name} is missing.")
        number = shape_of(self.tensors, name)[0]
        # Convolutions of so many channels follow, in the file as in the network.
        if number**2 > self.total:
            raise WeightsError(
                f"The tensor {name} is {list(self.tensors[name].shape)}, too wide for "
                f"a network of the file's {self.total:,} numbers."
            )
        return number


def shape_of(
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
