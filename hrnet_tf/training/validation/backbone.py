"""What any task needs of its backbone and decoder, and HRNet of its input."""

from collections.abc import Iterator, Sequence

from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.configs import backbones, decoders
from hrnet_tf.configs.variants import check_input_size
from hrnet_tf.training.validation import choices

_PATH = "task.model.backbone"
_READ_ALL_BRANCHES = ("hrnetv2", "hrnetv2_ocr", "hrnetv2p", "litehrnet")


def mistakes(task: cfg.TaskConfig, classifies: bool = False) -> Iterator[str]:
    """Checks the backbone, if the task has one; classification merges its branches."""
    backbone = getattr(getattr(task, "model", None), "backbone", None)
    if backbone is None:
        return
    yield from choices.unset_type_mistakes(_PATH, backbone)
    if backbone.type == "hrnet":
        yield from _neck_mistakes(backbone.hrnet, classifies)
    if backbone.type == "litehrnet":
        yield from _lite_mistakes(backbone.litehrnet, classifies)


def decoder_mistakes(model: hyperparams.Config) -> Iterator[str]:
    """Checks the decoder, and that it enlarges branches as the backbone does."""
    path, kind = "task.model.decoder", model.decoder.type
    yield from choices.unset_type_mistakes(path, model.decoder)
    if (
        model.backbone.type == "hrnet"
        and not model.backbone.hrnet.multi_scale_output
        and kind in _READ_ALL_BRANCHES
    ):
        yield (
            f"{_PATH}.hrnet.multi_scale_output is false; it must be true with the "
            f"decoder {kind}, which reads all branches."
        )
    upsampling = getattr(getattr(model.decoder, kind or "", None), "upsampling", None)
    if upsampling is None:
        return
    key = f"{path}.{kind}.upsampling"
    if model.backbone.type == "hrnet":
        fusion = model.backbone.hrnet.fuse_upsampling
        # Fusion by nearest neighbours goes with either, as in the detection networks.
        if fusion in decoders.UPSAMPLING and fusion != upsampling:
            yield (
                f"{key} is {upsampling!r} and {_PATH}.hrnet.fuse_upsampling is "
                f"{fusion!r}; both must be the same, or branches are not "
                "aligned."
            )


def input_size_mistakes(input_size: Sequence[int | None]) -> Iterator[str]:
    """Checks that height and width, the first of the numbers, are multiples of 32."""
    if len(input_size) < 2:
        return
    try:
        check_input_size(input_size[:2])
    except ValueError as error:
        yield f"task.model.input_size: {error}"


def image_shape_mistakes(size: Sequence[int | None]) -> Iterator[str]:
    """Checks that `task.model.input_size` is the shape of a colour image."""
    if len(size) != 3 or None in size or size[2] != 3:
        yield f"task.model.input_size is {size}; it must be [height, width, 3]."


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


def _lite_mistakes(litehrnet: backbones.LiteHRNet, classifies: bool) -> Iterator[str]:
    if classifies:
        yield (
            f"{_PATH}.type is 'litehrnet'; it must be hrnet for image classification, "
            "with classification_neck: Lite-HRNet has no network that merges its "
            "branches."
        )
    try:
        backbones.litehrnet_spec(litehrnet)
    except ValueError as error:
        yield f"{_PATH}.{error}"
