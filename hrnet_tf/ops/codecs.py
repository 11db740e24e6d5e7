"""The codecs of heatmaps by name; `heatmaps` computes them."""

CODECS = ("msra", "msra_floor", "dark", "udp")
