"""The size of images for segmentation, in training and in an exported model."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class Resizing(hyperparams.Config):
    """How images are resized for the network.

    Training then scales them at random; evaluation and exported models do not. It
    belongs to a model like its weights.

    Attributes:
        method: `long_side` brings the longer side to `long_side` pixels, `fixed` both
            to `size`, whatever the aspect ratio (official LIP).
        long_side: Pixels, with `long_side`. In [32, 16384].
        size: [height, width], with `fixed`. Each in [32, 16384].
    """

    method: str = "long_side"
    long_side: int = 512
    size: list[int] = dataclasses.field(default_factory=list)
