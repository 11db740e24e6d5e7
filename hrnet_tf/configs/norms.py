"""The official settings of batch norms, which differ from the Garden's defaults."""

from official.vision.configs import common


def official_norm_activation() -> common.NormActivation:
    """Returns what official networks use, unless their recipes say otherwise."""
    return common.NormActivation(
        activation="relu", use_sync_bn=False, norm_momentum=0.9, norm_epsilon=1e-5
    )
