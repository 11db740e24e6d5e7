"""`hrnet_tf.create_model` and `hrnet_tf.list_models`: networks as tf_keras models."""

import fnmatch
import logging
import operator
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.api.loading import WEIGHTS_SUFFIXES, read_official
from hrnet_tf.configs.variants import (
    ALL_VARIANTS,
    RECIPES,
    check_input_size,
    is_published,
)
from hrnet_tf.messages import UserError, did_you_mean, listed, shown
from hrnet_tf.modeling import task_models
from hrnet_tf.modeling.backbone import ParallelBackbone
from hrnet_tf.modeling.task_models import TaskModel
from hrnet_tf.weights import official_layout, restoring
from hrnet_tf.weights.official_networks import Network

_PREFIX = "hrnet_"

_BACKBONE = "backbone"

# What official weights of a task are called if not by its name.
_TRAINED_AS = {"segmentation_ocr": "segmentation", "face": "pose"}

_log = logging.getLogger(__name__)


class CreationError(UserError):
    """A model that cannot be created as asked."""


def list_models(pattern: str = "*") -> list[str]:
    """The names that `create_model` knows, those that match a pattern of * and ?.

    Examples:
        >>> import hrnet_tf
        >>> hrnet_tf.list_models("*w18*")
        ['hrnet_w18', 'hrnet_w18_small_v1', 'hrnet_w18_small_v2']
    """
    names = sorted(f"{_PREFIX}{variant}" for variant in ALL_VARIANTS)
    return fnmatch.filter(names, pattern)


def create_model(
    name: str,
    task: str | None = None,
    *,
    num_keypoints: int | None = None,
    num_classes: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    features_only: bool = False,
    input_shape: tuple[int | None, int | None, int] | None = None,
) -> tf_keras.Model:
    """Builds one of the published networks, with random weights or given ones.

    Examples:
        >>> import hrnet_tf
        >>> model = hrnet_tf.create_model("w18_small_v1", "pose", num_keypoints=5)
        >>> model.count_params()
        1290005

    Args:
        name: The network, see `list_models`; its "hrnet_" may be left out.
        task: pose, face (landmarks), classification, segmentation, segmentation_ocr or
            detection (the backbone and its pyramid, which all detectors share). If
            None, classification, unless `features_only`.
        num_keypoints: Keypoints of a pose network, COCO's 17 if None, or landmarks of a
            face, WFLW's 98 if None.
        num_classes: Classes; if None, ImageNet's 1000, or Cityscapes' 19.
        weights: An official .pth or .safetensors file of this network, or the prefix of
            a checkpoint that `hrnet_tf.convert_weights` or a training of this network
            wrote; a folder stands for its newest checkpoint. If they are for another
            task, or another number of keypoints or classes, the backbone alone takes
            them, and a line of the log says so.
        features_only: Whether to end at the backbone's four resolutions.
        input_shape: (height, width, 3) of images in pixels, multiples of 32; any size
            if None.

    Returns:
        A model of images float32 [B, H, W, 3], RGB / 255 less the mean (0.485, 0.456,
        0.406), over the deviation (0.229, 0.224, 0.225). It gives, not normalised by a
        softmax:

        - pose and face: heatmaps [B, H/4, W/4, K];
        - classification: logits [B, classes];
        - segmentation: {"logits": [B, H/4, W/4, classes]};
        - detection: levels {"2": [B, H/4, W/4, 256], ..., "6"};
        - features only: {"2": [B, H/4, W/4, C], "3", "4", "5": [B, H/32, W/32, 8C]}.

    Raises:
        UserError: If there is no such network, or the weights do not fit it.
    """
    model_id = _model_id(name)
    if features_only and task is not None:
        raise CreationError(
            "features_only ends at the backbone, which all tasks share: leave out "
            f"task={task!r}."
        )
    task = "backbone" if features_only else task or "classification"
    _check_published(name, task, model_id)
    count = _num_outputs(task, num_keypoints=num_keypoints, num_classes=num_classes)
    size = _input_size(input_shape)
    source = None if weights is None else _find(weights, model_id)
    built = _build(task, model_id, count, size)
    if source is not None:
        _load(built, task, os.fsdecode(weights or ""), source)
    return built.model


def _model_id(name: str) -> str:
    model_id = str(name).removeprefix(_PREFIX)
    if model_id not in ALL_VARIANTS:
        known = list_models()
        meant = did_you_mean(f"{_PREFIX}{model_id}", known)
        raise CreationError(
            f"There is no model {name!r}{meant}; there are {', '.join(known)}."
        )
    return model_id


def _check_published(name: str, task: str, model_id: str) -> None:
    if task in RECIPES and not is_published(task, model_id):
        tasks = [task for task in RECIPES if is_published(task, model_id)]
        raise CreationError(
            f"There is no official {task} network {name!r}: give task="
            f"{' or '.join(map(repr, tasks))}, or features_only=True for its backbone."
        )


def _num_outputs(task: str, **given: int | None) -> int:
    """The number of keypoints or classes: as given, or as published."""
    if task not in (*RECIPES, _BACKBONE):
        raise CreationError(
            f"There is no task {task!r}{did_you_mean(task, RECIPES)}; there are "
            f"{', '.join(RECIPES)}."
        )
    outputs = RECIPES[task].outputs if task in RECIPES else ""
    for name, number in given.items():
        if number is None:
            continue
        if name != f"num_{outputs}":
            raise CreationError(f"A {task} network has no {name}: leave it out.")
        is_whole = hasattr(number, "__index__") and not isinstance(number, bool)
        if not is_whole or number < 1:
            raise CreationError(
                f"{name} must be a whole number from 1; got {shown(number)}."
            )
        return operator.index(number)
    return RECIPES[task].num_outputs if task in RECIPES else 0


def _input_size(shape: Sequence[int | None] | None) -> task_models.ImageSize:
    if shape is None:
        return task_models.ANY_SIZE
    try:
        height, width, channels = (
            side if side is None else operator.index(side) for side in shape
        )
        check_input_size((height, width))
    except (TypeError, ValueError):
        raise CreationError(
            f"input_shape must be (height, width, 3); got {shown(shape)}. Height and "
            "width must be multiples of 32, or None for any."
        ) from None
    if channels != 3:
        raise CreationError(f"Images have 3 channels; input_shape is {shape!r}.")
    return height, width


def _build(
    task: str, model_id: str, num_outputs: int, size: task_models.ImageSize
) -> TaskModel:
    if task == _BACKBONE:
        return task_models.build_backbone(task_models.named_backbone(model_id), size)
    return task_models.build(task, model_id, num_outputs, size)


def _find(weights: str | os.PathLike[str], model_id: str) -> Network | str:
    """Official weights of a network, or the checkpoint that is meant, a path."""
    if not isinstance(weights, (str, bytes, os.PathLike)):
        raise CreationError(f"weights must be a path; got {shown(weights)}.")
    path = os.fsdecode(weights)
    if path.endswith(WEIGHTS_SUFFIXES):
        found = read_official(path).network
        if found.model_id != model_id:
            other = _named(found.model_id)
            raise CreationError(
                f"{path} is not of {_PREFIX}{model_id}, but of {other}."
            )
        return found
    checkpoint = restoring.find_checkpoint(path.removesuffix(".index"))
    if checkpoint is None:
        raise CreationError(
            f"There are no weights {path!r}: give an official .pth or .safetensors "
            "file, or the prefix of a checkpoint."
        )
    return checkpoint


def _load(built: TaskModel, task: str, path: str, source: Network | str) -> None:
    """Loads all weights if they are for this network, or else those of the backbone."""
    if not isinstance(source, str):
        theirs = source.model.weights
        is_same = [v.shape for v in theirs] == [v.shape for v in built.model.weights]
        if source.task == _TRAINED_AS.get(task, task) and is_same:
            built.model.set_weights([v.numpy() for v in theirs])
        else:
            _load_body(built.backbone, source.variables, path)
        return
    try:
        restoring.restore(_parts(built), source)
    except restoring.CheckpointError:
        restoring.restore({"backbone": built.backbone}, source)
        _tell_of_body(path)


def _named(model_id: str) -> str:
    is_published = model_id in ALL_VARIANTS
    return f"{_PREFIX}{model_id}" if is_published else "a network that has no name"


def _load_body(
    body: ParallelBackbone, tensors: Mapping[str, tf.Variable], path: str
) -> None:
    variables = dict(official_layout.backbone_variables(body))
    missing = [name for name in variables if name not in tensors]
    if missing:
        raise CreationError(
            f"{path} lacks {len(missing)} tensors of this backbone: {listed(missing)}. "
            "Pose networks are published without what makes the lower resolutions."
        )
    for name, variable in variables.items():
        variable.assign(tensors[name])
    _tell_of_body(path)


def _tell_of_body(path: str) -> None:
    _log.warning(
        "%s is for another task or number of outputs: the backbone has its weights, "
        "all else starts afresh.",
        path,
    )


def _parts(built: TaskModel) -> dict[str, tf_keras.layers.Layer]:
    """The modules as checkpoints name them."""
    parts = {
        "backbone": built.backbone,
        "decoder": built.decoder,
        "head": built.head,
    }
    is_whole = built.decoder is None and built.head is not None
    if is_whole:  # Classification.
        parts = {"backbone": built.backbone, "model": built.model}
    return {name: part for name, part in parts.items() if part is not None}
