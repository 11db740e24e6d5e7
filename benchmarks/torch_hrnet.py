"""HRNet for pose in PyTorch, written small, to measure ours against.

The layers of the paper's section 3 in channels_last, random weights: a stem, four
bottleneck blocks, and stages of two, three and four branches, of which the last module
keeps the first, as in official lib/models/pose_hrnet.py.
"""

import torch
from torch import nn

NUM_KEYPOINTS = 17


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless switched off, ReLU."""

    def __init__(
        self, inputs: int, filters: int, size: int, stride: int = 1, relu: bool = True
    ):
        layers = [
            nn.Conv2d(inputs, filters, size, stride, (size - 1) // 2, bias=False),
            nn.BatchNorm2d(filters),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """A chain of layers plus its input, then ReLU."""

    def __init__(self, inputs: int, filters: int, chain: list[nn.Module]):
        super().__init__()
        self.chain = nn.Sequential(*chain)
        same = inputs == filters
        self.shortcut = (
            nn.Identity() if same else ConvNorm(inputs, filters, 1, relu=False)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.chain(x) + self.shortcut(x))


def basic(width: int) -> Residual:
    """The block of stages 2 to 4."""
    return Residual(
        width, width, [ConvNorm(width, width, 3), ConvNorm(width, width, 3, relu=False)]
    )


def bottleneck(inputs: int, planes: int) -> Residual:
    """The block of stage 1."""
    chain = [
        ConvNorm(inputs, planes, 1),
        ConvNorm(planes, planes, 3),
        ConvNorm(planes, 4 * planes, 1, relu=False),
    ]
    return Residual(inputs, 4 * planes, chain)


def fuse_path(source: int, target: int, widths: list[int]) -> nn.Module:
    """Brings one branch to another's resolution and width."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            ConvNorm(widths[source], widths[target], 1, relu=False),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = target - source
    return nn.Sequential(
        *(ConvNorm(widths[source], widths[source], 3, 2) for _ in range(steps - 1)),
        ConvNorm(widths[source], widths[target], 3, 2, relu=False),
    )


class Module(nn.Module):
    """Blocks on every branch, then all branches fused into each of the outputs."""

    def __init__(self, widths: list[int], blocks: int, outputs: int):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(basic(width) for _ in range(blocks))) for width in widths
        )
        self.paths = nn.ModuleList(
            nn.ModuleList(
                fuse_path(source, target, widths) for source in range(len(widths))
            )
            for target in range(outputs)
        )
        self.relu = nn.ReLU()

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        features = [
            branch(x) for branch, x in zip(self.branches, features, strict=True)
        ]
        fused = []
        for paths in self.paths:
            total = paths[0](features[0])
            for path, x in zip(paths[1:], features[1:], strict=True):
                total = total + path(x)
            fused.append(self.relu(total))
        return fused


class HRNet(nn.Module):
    """Images [B, 3, H, W] to heatmaps [B, K, H / 4, W / 4]."""

    def __init__(
        self,
        width: int,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        layer1_planes: int = 64,
        layer1_blocks: int = 4,
        stem_width: int = 64,
    ):
        super().__init__()
        channels = 4 * layer1_planes
        self.stem = nn.Sequential(
            ConvNorm(3, stem_width, 3, 2),
            ConvNorm(stem_width, stem_width, 3, 2),
            bottleneck(stem_width, layer1_planes),
            *(bottleneck(channels, layer1_planes) for _ in range(layer1_blocks - 1)),
        )
        widths = [width * 2**branch for branch in range(4)]
        self.transitions = nn.ModuleList(
            [
                ConvNorm(channels, widths[0], 3),
                ConvNorm(channels, widths[1], 3, 2),
                ConvNorm(widths[1], widths[2], 3, 2),
                ConvNorm(widths[2], widths[3], 3, 2),
            ]
        )
        self.stages = nn.ModuleList()
        for stage, count in enumerate(modules, start=2):
            outputs = [stage] * count
            if stage == 4:
                outputs[-1] = 1
            self.stages.append(
                nn.Sequential(*(Module(widths[:stage], blocks, n) for n in outputs))
            )
        self.head = nn.Conv2d(width, NUM_KEYPOINTS, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images)
        features = [self.transitions[0](stem)]
        lowest = stem
        for transition, stage in zip(self.transitions[1:], self.stages, strict=True):
            features = stage([*features, transition(lowest)])
            lowest = features[-1]
        return self.head(features[0])


def freeze_norms(model: nn.Module) -> None:
    """Lets norms use their moving statistics, and leave them unchanged."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
