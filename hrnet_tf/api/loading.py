"""`hrnet_tf.load`: a trained model, whatever kind of file it is in."""

import dataclasses
import json
import operator
import os
import re
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hrnet_tf.configs.variants import ALL_VARIANTS, check_input_size
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.input_files import is_remote, is_text, names_in, read_yaml
from hrnet_tf.messages import UserError, did_you_mean, one_line, shown
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.predictor import DEFAULT_STYLE, Predictor, Style
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.weights.errors import WeightsError

if TYPE_CHECKING:
    from hrnet_tf.weights.conversion import Conversion

WEIGHTS_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".safetensors")

# Number of keypoints or classes of the published data sets.
SKELETONS = {
    17: "coco17",
    16: "mpii16",
    14: "crowdpose14",
    133: "coco_wholebody133",
    98: "wflw98",
    68: "300w68",
    29: "cofw29",
    19: "aflw19",
    21: "hand21",
}
_LABEL_SETS = {
    19: "cityscapes",
    20: "lip",
    59: "pascal_context",
    60: "pascal_context_60",
}

# (height, width) in the names of published files: pose_hrnet_w32_256x192.pth.
_SIZE = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")

_POSE_OUTPUT = "head/conv/bias/.ATTRIBUTES/VARIABLE_VALUE"

_FORMS = (
    "a SavedModel's folder or a .tflite file (of hrnet_tf.export or hrnet_tf.join), "
    "the directory of a run (hrnet_tf.train), the prefix of a checkpoint, or an "
    "official .pth or .safetensors file"
)


class LoadingError(UserError):
    """Something that `load` cannot load as asked."""


def load(
    path: str | os.PathLike[str],
    *,
    skeleton: str | os.PathLike[str] | None = None,
    label_set: str | os.PathLike[str] | None = None,
    input_size: Sequence[int] | None = None,
    flip_test: bool = False,
    num_threads: int | None = None,
    verify: bool = True,
    style: Style = DEFAULT_STYLE,
) -> Predictor[Any]:
    """Loads a trained model to predict with.

    Examples:
        >>> import hrnet_tf
        >>> pose = hrnet_tf.load("exported/pose/1")
        >>> people = pose.predict("photo.jpg", boxes=[[50, 40, 120, 160]])
        >>> people.keypoints.shape, people.scores.shape
        ((1, 17, 3), (1,))

    Args:
        path: A SavedModel's folder, or one of numbered SavedModels, or a .tflite file,
            from `hrnet_tf.export` or `hrnet_tf.join`; the directory of a run, of which
            the best checkpoint is taken, or else the latest; the prefix of a checkpoint
            in a run, or of one that `hrnet_tf.convert_weights` wrote, with its YAML
            beside it; an official .pth or .safetensors file.
        skeleton: The keypoints of official pose weights: a name or the path of a YAML
            file. If None, that of the published data set with as many (COCO's of 17).
        label_set: The classes of official segmentation weights, likewise. If None,
            those of the published data set with as many.
        input_size: (height, width) of the crops that official pose weights are for. If
            None, as the file's name says (256x192), or 256x192.
        flip_test: Whether predictions are averaged with those of the mirrored image. Of
            exported models that is decided already.
        num_threads: CPU threads for a .tflite file; as many as there are cores if None.
        verify: Whether an exported model is refused whose files are not as they were
            written.
        style: How predictions are told and drawn.

    Returns:
        The model; see `Predictor.predict`.

    Raises:
        UserError: If it cannot be loaded; the message says why.
    """
    path = _text_of(path)
    if not isinstance(style, Style):
        raise LoadingError(f"style must be a hrnet_tf.Style; got {shown(style)}.")
    asked = _Asked.of(skeleton, label_set, input_size)
    if path.endswith(WEIGHTS_SUFFIXES) and not os.path.isdir(path):
        from hrnet_tf.weights import conversion

        converted = read_official(path)
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "ckpt")
            conversion.write_checkpoint(converted, prefix)
            return _load_converted(path, prefix, asked, flip_test, style)
    prefix = path.removesuffix(".index")
    run = _run_of(prefix)
    if run is None and _exists(f"{prefix}.yaml"):
        return _load_converted(prefix, prefix, asked, flip_test, style)
    asked.refuse(path)
    if run is not None:
        checkpoint = None if run == prefix else prefix
        return _load_in_memory(run, checkpoint, flip_test, style)
    if not os.path.exists(path):
        raise LoadingError(f"There is no model {path!r}{_meant(path)}. Give {_FORMS}.")
    if flip_test:
        raise LoadingError(
            f"{path} is an exported model, which has the flip test or not: export it "
            "with --flip_test instead of giving flip_test."
        )
    try:
        return load_predictor(path, num_threads, style, verify)
    except ModelError as error:
        if error.is_there:
            raise
        raise LoadingError(f"{error} Give {_FORMS}.") from None


def _load_in_memory(
    run: str | None,
    checkpoint: str | None,
    flip_test: bool,
    style: Style,
    config_files: Sequence[str] = (),
    overrides: Sequence[str] = (),
    name: str | None = None,
) -> Predictor[Any]:
    """`in_memory.load_checkpoint`; what it imports, exported models do without."""
    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.serving.exporter import Options
    from hrnet_tf.serving.in_memory import load_checkpoint

    options = Options(flip_test=flip_test)
    return load_checkpoint(
        run, checkpoint, config_files, overrides, options, style, name
    )


def _text_of(path: Any) -> str:
    """A path as text that TensorFlow takes."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise LoadingError(f"A model is loaded from a path; got {shown(path)}.")
    text = os.fsdecode(path)
    if not is_text(text):
        raise LoadingError(
            f"{text!r} is no UTF-8 text, as the path of a model must be."
        )
    return text


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What official weights do not say about themselves; None where nobody does."""

    skeleton: str | None
    label_set: str | None
    input_size: tuple[int, int] | None

    @classmethod
    def of(cls, skeleton: Any, label_set: Any, input_size: Any) -> "_Asked":
        """As given to `load`; raises `LoadingError` if that can be none of these."""
        names = {"skeleton": skeleton, "label_set": label_set}
        for key, name in names.items():
            if not isinstance(name, (str, os.PathLike, type(None))):
                raise LoadingError(
                    f"{key} must be a name, or the path of a YAML file; got "
                    f"{shown(name)}."
                )
            names[key] = name if name is None else os.fspath(name)
        if input_size is not None:
            try:
                height, width = map(operator.index, input_size)
                check_input_size((height, width))
                input_size = height, width
            except (TypeError, ValueError):
                raise LoadingError(
                    "input_size must be (height, width), multiples of 32; got "
                    f"{shown(input_size)}."
                ) from None
        return cls(**names, input_size=input_size)

    def refuse(self, path: str) -> None:
        """Refuses what is given, since a model says it by itself."""
        for name, value in vars(self).items():
            if value is not None:
                raise LoadingError(
                    f"{name}={value!r} goes with official weights; {path} has its own: "
                    "leave it out."
                )


def read_official(path: str) -> "Conversion":
    """Reads a file of official weights; raises `LoadingError` if it has to be told how.

    What the command for that can be told is more than `load` and `create_model` can be.
    """
    from hrnet_tf.weights import conversion

    try:
        return conversion.load_pytorch_checkpoint(path)
    except WeightsError as error:
        if "--" not in str(error):
            raise
        raise LoadingError(
            f"{error} These are flags of hrnet_tf.convert_weights, whose checkpoint "
            "can be given instead."
        ) from error


def _run_of(prefix: str) -> str | None:
    """The run that a directory is, or that a checkpoint lies in; None without one."""
    folder = os.path.dirname(prefix)
    is_checkpoint = _exists(f"{prefix}.index")
    candidates = [folder, os.path.dirname(folder)] if is_checkpoint else [prefix]
    for candidate in candidates:
        if _exists(os.path.join(candidate, "params.yaml")):
            return candidate
    return None


def _exists(path: str) -> bool:
    """Whether there is such a file, here or at an address such as gs://bucket/name."""
    if not is_remote(path):
        return os.path.exists(path)
    import tensorflow as tf

    try:
        return tf.io.gfile.exists(path)
    except tf.errors.OpError as error:
        raise LoadingError(
            f"{path} cannot be looked for: {one_line(error.message)}."
        ) from error


def _meant(path: str) -> str:
    """What may have been meant by a path that does not exist, or nothing."""
    if path.removeprefix("hrnet_") in ALL_VARIANTS:
        return ", but a network without weights, for hrnet_tf.create_model"
    folder, name = os.path.split(os.path.normpath(path))
    try:
        return did_you_mean(name, names_in(folder))
    except OSError:
        return ""


def _load_converted(
    path: str, prefix: str, asked: _Asked, flip_test: bool, style: Style
) -> Predictor[Any]:
    """Loads what `conversion.write_checkpoint` wrote; messages call it `path`."""
    config_file = f"{prefix}.yaml"
    try:
        model = read_yaml(config_file)["task"]["model"]
    except (LookupError, TypeError, ValueError) as error:
        raise LoadingError(
            f"{config_file} is not what hrnet_tf.convert_weights writes beside a "
            f"checkpoint: {one_line(error)}. Convert the weights again."
        ) from error
    if "decoder" in model and "num_classes" in model:
        task = _segmentation(path, model["num_classes"], asked)
    elif "head" in model:
        import tensorflow as tf

        (count,) = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()[
            _POSE_OUTPUT
        ]
        task = _pose(path, count, asked)
    else:
        raise LoadingError(
            f"{path} holds no network whose answers could be drawn, but one of "
            "classification, or parts of a network: give it to hrnet_tf.create_model "
            "as weights."
        )
    overrides = [json.dumps({"task": task})]
    return _load_in_memory(
        None, prefix, flip_test, style, [config_file], overrides, name=path
    )


def _pose(path: str, num_keypoints: int, asked: _Asked) -> dict[str, Any]:
    """The fields of the task that say how a pose network is to be used."""
    if asked.label_set:
        raise LoadingError(f"{path} is a pose network: leave out label_set.")
    skeleton = asked.skeleton or SKELETONS.get(num_keypoints)
    finds = f"{path} finds {num_keypoints} keypoints"
    if skeleton is None:
        raise LoadingError(
            f"{finds}, which no published data set has: name them with "
            "skeleton='my_skeleton.yaml'."
        )
    named = load_skeleton(skeleton).num_keypoints
    if named != num_keypoints:
        raise LoadingError(f"{finds}, and skeleton={skeleton!r} names {named}.")
    size = asked.input_size or size_in_name(path)
    model = {"model": {"input_size": list(size)}} if size else {}
    return {"skeleton": skeleton, **model}


def size_in_name(path: str) -> tuple[int, int] | None:
    """(height, width) of the crops that official pose weights are for, as named."""
    match = _SIZE.search(os.path.basename(path))
    return (int(match[1]), int(match[2])) if match else None


def _segmentation(path: str, num_classes: int, asked: _Asked) -> dict[str, Any]:
    """The fields of the task that say how a segmentation network is to be used."""
    for name, value in (("skeleton", asked.skeleton), ("input_size", asked.input_size)):
        if value is not None:
            raise LoadingError(f"{path} is a segmentation network: leave out {name}.")
    label_set = asked.label_set or _LABEL_SETS.get(num_classes)
    tells = f"{path} tells {num_classes} classes apart"
    if label_set is None:
        raise LoadingError(
            f"{tells}, as no published data set does: name them with "
            "label_set='my_classes.yaml'."
        )
    named = load_label_set(label_set).num_classes
    if named != num_classes:
        raise LoadingError(f"{tells}, and label_set={label_set!r} names {named}.")
    return {"label_set": label_set}
