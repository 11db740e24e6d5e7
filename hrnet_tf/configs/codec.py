"""The codec of heatmaps, which a trained model and an exported one have alike."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class Codec(hyperparams.Config):
    """How keypoints become heatmaps and heatmaps become keypoints.

    Attributes:
        name: `msra` (the paper), `msra_floor` (official weights of faces), `dark` or
            `udp`. A model must be decoded with the codec it was trained with.
        sigma: Standard deviation of a target's Gaussian in heatmap pixels: 2 for
            256x192, 3 for 384x288. In [0.1, 100].
    """

    name: str = "msra"
    sigma: float = 2.0
