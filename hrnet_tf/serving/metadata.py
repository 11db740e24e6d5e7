"""What an exported model says of itself: hrnet_tf.json.

A SavedModel holds it among its assets, a .tflite file as a file attached to it. Apps in
any language can read it to label and draw what the model predicts.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import hrnet_tf
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.label_sets import LabelSet, LabelSetError, label_set_from_spec
from hrnet_tf.data.normalization import IMAGE_MEAN, IMAGE_STD
from hrnet_tf.data.skeletons import Skeleton, SkeletonError, skeleton_from_spec

FILE_NAME = "hrnet_tf.json"

# Done inside the model: for those who cut the network out of it.
_NORMALIZATION = {
    "scale": 1 / 255,
    "mean": IMAGE_MEAN,
    "standard_deviation": IMAGE_STD,
}


class ModelError(ValueError):
    """No model, or none that this package has exported; the message says which."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What one needs to know to use an exported pose model.

    Attributes:
        skeleton: Its keypoints.
        input_size: (height, width) of the crops that the network sees, in pixels.
        codec: How its heatmaps are decoded.
        box_padding: Factor on a person's box once it has the crop's aspect ratio.
        keypoint_score_threshold: A person's score is the mean of the keypoint scores
            above this.
        flip_test: Whether predictions are averaged with those of the mirrored crop.
        model: What network it is, e.g. w32.
        version: The version of this package that exported it.
        task: What the model does.
    """

    skeleton: Skeleton
    input_size: tuple[int, int]
    codec: pose_config.Codec
    box_padding: float
    keypoint_score_threshold: float
    flip_test: bool
    model: str
    version: str = hrnet_tf.__version__
    task: str = "pose"

    @classmethod
    def of_task(
        cls, task: pose_config.PoseTask, skeleton: Skeleton, flip_test: bool
    ) -> "Metadata":
        """Describes a model that was trained with the configuration `task`."""
        return cls(
            skeleton=skeleton,
            input_size=tuple(task.model.input_size),
            codec=task.codec,
            box_padding=task.validation_data.box_padding,
            keypoint_score_threshold=task.evaluation.keypoint_score_threshold,
            flip_test=flip_test,
            model=_model_name(task),
        )

    def to_json(self) -> str:
        """The text of hrnet_tf.json."""
        height, width = self.input_size
        return json.dumps(
            {
                "hrnet_tf_version": self.version,
                "task": self.task,
                "model": self.model,
                "skeleton": {
                    **self.skeleton.to_spec(),
                    "limb_colors": self.skeleton.limb_colors,
                },
                "input": {"height": height, "width": width, "colors": "RGB"},
                "normalization": _NORMALIZATION,
                "codec": self.codec.as_dict(),
                "box_padding": self.box_padding,
                "keypoint_score_threshold": self.keypoint_score_threshold,
                "flip_test": self.flip_test,
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "Metadata":
        """Reads what `to_json` wrote.

        Args:
            text: The JSON.
            source: The model that it is from, for messages.

        Raises:
            ModelError: If it is something else.
        """
        with _reading(source):
            values: dict[str, Any] = json.loads(text)
            spec = dict(values["skeleton"])
            del spec["limb_colors"]
            return cls(
                skeleton=skeleton_from_spec(spec, source),
                input_size=(values["input"]["height"], values["input"]["width"]),
                codec=pose_config.Codec(**values["codec"]),
                box_padding=values["box_padding"],
                keypoint_score_threshold=values["keypoint_score_threshold"],
                flip_test=values["flip_test"],
                model=values["model"],
                version=values["hrnet_tf_version"],
                task=values["task"],
            )

    # What a .tflite file says of itself besides hrnet_tf.json, see tflite_metadata.

    @property
    def title(self) -> str:
        return f"HRNet {self.model}, {self.skeleton.name}"

    @property
    def description(self) -> str:
        return "Finds the keypoints of the person in a crop."

    @property
    def labels(self) -> tuple[str, Sequence[str], str]:
        """Name of a file of labels, the labels, and the output whose axis they name."""
        return "keypoints.txt", self.skeleton.keypoints, "keypoints"

    @property
    def tensors(self) -> dict[str, str]:
        """Descriptions of inputs and outputs by name."""
        height, width = self.input_size
        return {
            "image": (
                f"uint8 RGB crop of one person, [1, {height}, {width}, 3]; it is "
                "normalised inside the model."
            ),
            "keypoints": (
                "float32 [1, K, 3]: x and y as shares of the crop's width and height, "
                "and the score. The names of the K keypoints are in keypoints.txt."
            ),
            "heatmaps": (
                "float32 [1, height / 4, width / 4, K]: one map per keypoint."
            ),
        }


@dataclasses.dataclass(frozen=True)
class SegmentationMetadata:
    """What one needs to know to use an exported segmentation model.

    Attributes:
        label_set: Its classes.
        resizing: The size that images are brought to before the network sees them.
        input_size: (height, width) of what a .tflite file takes: with `fixed` resizing
            the whole image in it, otherwise the image made to fit, keeping its aspect
            ratio, at the top left, and black around it.
        upsampling: How logits are enlarged, `bilinear` or `bilinear_align_corners`.
        flip_test: Whether predictions are averaged with those of the mirrored image.
        model: What network it is, e.g. w48.
        version: The version of this package that exported it.
        task: What the model does.
    """

    label_set: LabelSet
    resizing: segmentation_config.Resizing
    input_size: tuple[int, int]
    upsampling: str
    flip_test: bool
    model: str
    version: str = hrnet_tf.__version__
    task: str = "segmentation"

    @classmethod
    def of_task(
        cls,
        task: segmentation_config.SegmentationTask,
        label_set: LabelSet,
        flip_test: bool,
        input_size: tuple[int, int] | None = None,
    ) -> "SegmentationMetadata":
        """Describes a model that was trained with the configuration `task`.

        The size of a .tflite file's input is, if None, what any image fits into.
        """
        resizing = task.resizing
        if input_size is None:
            is_fixed = resizing.method == "fixed"
            input_size = resizing.size if is_fixed else [resizing.long_side] * 2
        return cls(
            label_set=label_set,
            resizing=resizing,
            input_size=tuple(input_size),
            upsampling=getattr(task.model.decoder.get(), "upsampling", "bilinear"),
            flip_test=flip_test,
            model=_model_name(task),
        )

    def to_json(self) -> str:
        """The text of hrnet_tf.json."""
        height, width = self.input_size
        return json.dumps(
            {
                "hrnet_tf_version": self.version,
                "task": self.task,
                "model": self.model,
                "label_set": self.label_set.to_spec(),
                "resizing": self.resizing.as_dict(),
                "input": {"height": height, "width": width, "colors": "RGB"},
                "normalization": _NORMALIZATION,
                "upsampling": self.upsampling,
                "flip_test": self.flip_test,
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "SegmentationMetadata":
        """Reads what `to_json` wrote; see `Metadata.from_json`."""
        with _reading(source):
            values: dict[str, Any] = json.loads(text)
            return cls(
                label_set=label_set_from_spec(values["label_set"], source),
                resizing=segmentation_config.Resizing(**values["resizing"]),
                input_size=(values["input"]["height"], values["input"]["width"]),
                upsampling=values["upsampling"],
                flip_test=values["flip_test"],
                model=values["model"],
                version=values["hrnet_tf_version"],
                task=values["task"],
            )

    @property
    def title(self) -> str:
        return f"HRNet {self.model}, {self.label_set.name}"

    @property
    def description(self) -> str:
        return "Finds the class of every pixel of an image."

    @property
    def labels(self) -> tuple[str, Sequence[str], str]:
        """As `Metadata.labels`."""
        return "classes.txt", self.label_set.classes, "logits"

    @property
    def tensors(self) -> dict[str, str]:
        """As `Metadata.tensors`."""
        height, width = self.input_size
        return {
            "image": (
                f"uint8 RGB image, [1, {height}, {width}, 3]; it is normalised inside "
                "the model."
            ),
            "label_map": (
                f"uint8 [1, {height}, {width}]: the class of every pixel, a line of "
                "classes.txt, from 0."
            ),
            "logits": "float32 [1, height / 4, width / 4, C]: one map per class.",
        }


def metadata_from_json(
    text: str | bytes, source: str
) -> Metadata | SegmentationMetadata:
    """Reads hrnet_tf.json of a model of any task.

    Raises:
        ModelError: If it is something else.
    """
    with _reading(source):
        task = json.loads(text)["task"]
        kind = {"pose": Metadata, "segmentation": SegmentationMetadata}[task]
    return kind.from_json(text, source)


@contextlib.contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, SkeletonError, LabelSetError) as error:
        raise ModelError(
            f"{source}: its {FILE_NAME} is not what this version of hrnet_tf "
            f"({hrnet_tf.__version__}) writes ({error!r}); export the model again."
        ) from error


def _model_name(task: Any) -> str:
    backbone = task.model.backbone
    return getattr(backbone.get(), "model_id", backbone.type)
