"""What other tasks of the Garden need: their data, and HRNet where they use it."""

from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.vision.configs.semantic_segmentation import SemanticSegmentationTask

from hrnet_tf.configs.variants import FAMILIES
from hrnet_tf.training.validation import backbone, inputs


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of any task of the Garden."""
    task = params.task
    yield from backbone.mistakes(task)
    network = getattr(getattr(task, "model", None), "backbone", None)
    if network is not None and network.type in FAMILIES:
        # Segmentation accepts images of any size if the fusion does.
        is_any_size = isinstance(task, SemanticSegmentationTask) and (
            network.type == "hrnet" and network.hrnet.fuse_upsampling != "nearest"
        )
        if not is_any_size:
            yield from backbone.input_size_mistakes(task.model.input_size)
    yield from inputs.data_mistakes(task, trains, evaluates)
