"""HRNet's representations (paper section 3.3), and Lite-HRNet's, as Garden decoders."""

import dataclasses

from official.modeling import hyperparams
from official.vision.configs import decoders

UPSAMPLING = ("bilinear", "bilinear_align_corners")


@dataclasses.dataclass
class HRNetV1(hyperparams.Config):
    """The `hrnetv1` decoder: the highest-resolution branch alone. No settings."""


@dataclasses.dataclass
class HRNetV2(hyperparams.Config):
    """The `hrnetv2` decoder: all branches at the highest resolution, mixed.

    Attributes:
        upsampling: How a branch is enlarged: `bilinear`, or `bilinear_align_corners`
            as in weights of the official OCR branch. Must be the same as
            `backbone.hrnet.fuse_upsampling`, unless that is `nearest`.
    """

    upsampling: str = "bilinear"


@dataclasses.dataclass
class HRNetV2OCR(hyperparams.Config):
    """The `hrnetv2_ocr` decoder: HRNetV2 with object-contextual representations.

    Attributes:
        upsampling: As for `hrnetv2`.
        num_filters: Channels of the pixel features, and of the decoder's output. In [1,
            65536].
        key_filters: Channels in which pixels and object regions are compared. In [1,
            65536].
        dropout_rate: Share of output channels that training drops. In [0, 1).
    """

    upsampling: str = "bilinear_align_corners"
    num_filters: int = 512
    key_filters: int = 256
    dropout_rate: float = 0.05


@dataclasses.dataclass
class HRNetV2p(hyperparams.Config):
    """The `hrnetv2p` decoder: a feature pyramid pooled from HRNetV2's features.

    Attributes:
        num_filters: Channels of every level. In [1, 65536].
        upsampling: As for `hrnetv2`.
    """

    num_filters: int = 256
    upsampling: str = "bilinear"


@dataclasses.dataclass
class LiteHRNet(hyperparams.Config):
    """The `litehrnet` decoder: branches added up one by one. No settings."""


@dataclasses.dataclass
class Decoder(decoders.Decoder):
    """The Model Garden's choice of decoders with HRNet's representations added."""

    hrnetv1: HRNetV1 = dataclasses.field(default_factory=HRNetV1)
    hrnetv2: HRNetV2 = dataclasses.field(default_factory=HRNetV2)
    hrnetv2_ocr: HRNetV2OCR = dataclasses.field(default_factory=HRNetV2OCR)
    hrnetv2p: HRNetV2p = dataclasses.field(default_factory=HRNetV2p)
    litehrnet: LiteHRNet = dataclasses.field(default_factory=LiteHRNet)
