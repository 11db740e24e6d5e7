"""The codecs of heatmaps by name; `heatmaps` computes them."""

CODECS = ("msra", "msra_floor", "dark", "udp")


def counts_between_centers(codec: str) -> bool:
    """Whether lengths are counted between pixel centres, of crops and of heatmaps.

    A side of w pixels is then w - 1 long (Huang et al., "The Devil is in the Details",
    CVPR 2020).
    """
    return codec == "udp"
