"""The codecs of heatmaps by name; `heatmaps` computes them."""

CODECS = ("msra", "dark", "udp")
