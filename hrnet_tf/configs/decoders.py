"""HRNet's representations (paper section 3.3) as Model Garden decoders."""

import dataclasses

from official.modeling import hyperparams
from official.vision.configs import decoders


@dataclasses.dataclass
class HRNetV1(hyperparams.Config):
    """The `hrnetv1` decoder: the highest-resolution branch alone. No settings."""


@dataclasses.dataclass
class Decoder(decoders.Decoder):
    """The Model Garden's choice of decoders with HRNet's representations added.

    Attributes:
        hrnetv1: The highest-resolution branch alone, for pose.
    """

    hrnetv1: HRNetV1 = dataclasses.field(default_factory=HRNetV1)
