"""The description of a segmentation model."""

import dataclasses
import json
from typing import Any

import hrnet_tf
from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.vocabularies.label_sets import LabelSet, label_set_from_spec
from hrnet_tf.serving.metadata import NORMALIZATION, Labels, model_name, reading


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
            model=model_name(task),
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
                "normalization": NORMALIZATION,
                "upsampling": self.upsampling,
                "flip_test": self.flip_test,
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "SegmentationMetadata":
        """Reads what `to_json` wrote; see `Metadata.from_json`."""
        with reading(source):
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
    def labels(self) -> Labels:
        return Labels("classes.txt", self.label_set.classes, "logits")

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
