"""Random changes of colours in training, for pose and segmentation."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class Color(hyperparams.Config):
    """Random changes of an image's colours, drawn anew each time, in this order.

    All are off by default: the official recipes have none.

    Attributes:
        brightness: Pixels are multiplied by a factor in 1 - brightness to
            1 + brightness. In [0, 1), like the next two.
        contrast: Differences from the image's mean colour are multiplied by such a
            factor. In [0, 1).
        saturation: So are differences from grey. In [0, 1).
        hue: Colours are turned on the colour circle by -hue to hue of a full turn. In
            [0, 0.5].
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
