"""What any task needs of its backbone, and HRNet of its settings and its input."""

from collections.abc import Iterator, Sequence

from official.core import config_definitions as cfg
from official.vision.configs.image_classification import ImageClassificationTask
from official.vision.configs.semantic_segmentation import SemanticSegmentationTask

from hrnet_tf.configs import backbones
from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.configs.pose import PoseTask
from hrnet_tf.modeling.hrnet import check_input_size
from hrnet_tf.training.validation.choices import (
    choice_mistakes,
    not_one_of,
    unset_type_mistakes,
)

_PATH = "task.model.backbone"
# Their sizes are checked, and must be multiples of more, with any backbone.
_OWN_SIZE_CHECKS = (PoseTask, MaskRCNNTask, RetinaNetTask)


def backbone_mistakes(task: cfg.TaskConfig) -> Iterator[str]:
    """Checks the backbone, if the task has one, and HRNet's input size."""
    model = getattr(task, "model", None)
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        return
    yield from unset_type_mistakes(_PATH, backbone)
    if backbone.type != "hrnet":
        return
    yield from _hrnet_mistakes(backbone.hrnet)
    yield from _neck_mistakes(backbone.hrnet, isinstance(task, ImageClassificationTask))
    # Segmentation takes images of any size where the branches do.
    takes_any_size = (
        isinstance(task, SemanticSegmentationTask)
        and backbone.hrnet.fuse_upsampling != "nearest"
    )
    if not isinstance(task, _OWN_SIZE_CHECKS) and not takes_any_size:
        yield from input_size_mistakes(model.input_size)


def input_size_mistakes(input_size: Sequence[int | None]) -> Iterator[str]:
    """Checks that height and width, the first of the numbers, are multiples of 32."""
    if len(input_size) < 2:
        return
    try:
        check_input_size(input_size[:2])
    except ValueError as error:
        yield f"task.model.input_size: {error}"


def _hrnet_mistakes(hrnet: backbones.HRNet) -> Iterator[str]:
    known_models = [*backbones.VARIANTS, backbones.CUSTOM]
    if hrnet.model_id not in known_models:
        yield not_one_of(f"{_PATH}.hrnet.model_id", hrnet.model_id, known_models)
    else:
        try:
            backbones.hrnet_spec(hrnet)
        except ValueError as error:
            yield f"{_PATH}: {error}"
    yield from choice_mistakes(
        f"{_PATH}.hrnet.fuse_upsampling",
        hrnet.fuse_upsampling,
        backbones.FUSE_UPSAMPLING,
    )
    yield from choice_mistakes(
        f"{_PATH}.hrnet.kernel_initializer",
        hrnet.kernel_initializer,
        backbones.KERNEL_INITIALIZERS,
    )


def _neck_mistakes(hrnet: backbones.HRNet, classifies: bool) -> Iterator[str]:
    key = f"{_PATH}.hrnet.classification_neck"
    if classifies and not hrnet.classification_neck:
        yield (
            f"{key} is false; it must be true for image classification, or the network "
            "would look at the branch of lowest resolution alone."
        )
    elif hrnet.classification_neck and not classifies:
        yield (
            f"{key} is true; it must be false for any task but image classification, "
            "since it merges the branches into one."
        )
    elif hrnet.classification_neck and not hrnet.multi_scale_output:
        yield (
            f"{_PATH}.hrnet.multi_scale_output is false; it must be true with "
            "classification_neck, which merges all four branches."
        )
