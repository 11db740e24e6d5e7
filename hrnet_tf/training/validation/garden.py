"""What other tasks of the Garden need: their data, and HRNet where they use it."""

from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.vision.configs.semantic_segmentation import SemanticSegmentationTask

from hrnet_tf.training.validation.backbone import backbone_mistakes, input_size_mistakes
from hrnet_tf.training.validation.inputs import data_mistakes


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks an experiment of any task of the Garden."""
    task = params.task
    yield from backbone_mistakes(task)
    backbone = getattr(getattr(task, "model", None), "backbone", None)
    if backbone is not None and backbone.type == "hrnet":
        # Segmentation accepts images of any size if the fusion does.
        is_any_size = isinstance(task, SemanticSegmentationTask) and (
            backbone.hrnet.fuse_upsampling != "nearest"
        )
        if not is_any_size:
            yield from input_size_mistakes(task.model.input_size)
    yield from data_mistakes(task, trains, evaluates)
