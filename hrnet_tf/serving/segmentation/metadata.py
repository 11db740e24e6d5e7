"""The description of a segmentation model."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from hrnet_tf.data.vocabularies.label_sets import LabelSet, label_set_from_spec
from hrnet_tf.messages import shown
from hrnet_tf.serving.metadata import (
    Labels,
    NetworkMetadata,
    model_name,
    stored,
    stored_section,
)
from hrnet_tf.serving.tensors import IMAGE_BYTES, IMAGES, Interface, TensorType

if TYPE_CHECKING:
    from hrnet_tf.configs.segmentation import SegmentationTask

_RESIZING_METHODS = ("long_side", "fixed")


@dataclasses.dataclass(frozen=True)
class Resizing:
    """How images are resized, as `configs.segmentation` has it, without the Garden."""

    method: str = "long_side"
    long_side: int = 512
    size: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationMetadata(NetworkMetadata):
    """What one needs to know to use an exported segmentation model.

    Attributes:
        label_set: Its classes.
        resizing: The size that images are brought to before the network sees them.
        input_size: (height, width) of what a .tflite file takes, in pixels: with
            `fixed` resizing the whole image in it, otherwise the image made to fit,
            keeping its aspect ratio, at the top left, and black around it.
        upsampling: How logits are enlarged, `bilinear` or `bilinear_align_corners`.
        flip_test: Whether predictions are averaged with those of the mirrored image.
    """

    task: ClassVar[str] = "segmentation"
    description: ClassVar[str] = "Finds the class of every pixel of an image."

    label_set: LabelSet = stored(LabelSet.to_spec, label_set_from_spec)
    resizing: Resizing = stored_section(Resizing)
    upsampling: str
    flip_test: bool

    @classmethod
    def of_task(
        cls,
        task: "SegmentationTask",
        label_set: LabelSet,
        flip_test: bool,
        input_size: tuple[int, int] | None = None,
    ) -> "SegmentationMetadata":
        """Describes a model that was trained with the configuration `task`.

        If `input_size` is None, any resized image fits into a .tflite file's input.
        """
        resizing = task.resizing
        if input_size is None:
            is_fixed = resizing.method == "fixed"
            height, width = resizing.size if is_fixed else [resizing.long_side] * 2
            input_size = height, width
        return cls(
            label_set=label_set,
            resizing=Resizing(**resizing.as_dict()),
            input_size=input_size,
            upsampling=getattr(task.model.decoder.get(), "upsampling", "bilinear"),
            flip_test=flip_test,
            model=model_name(task),
            backbone=task.model.backbone.type,
        )

    def mistakes(self) -> Iterator[str]:
        if self.resizing.method not in _RESIZING_METHODS:
            yield (
                f"resizing.method is {shown(self.resizing.method)}; it must be "
                f"{' or '.join(_RESIZING_METHODS)}"
            )

    def saved_model_interface(self) -> Interface:
        sizes = TensorType([None, 2], "int32")
        labels = {"label_map": TensorType([None, None, None], "uint8")}
        logits = TensorType([None, None, None, self.label_set.num_classes])
        return {
            "serving_default": {
                "image_bytes": IMAGE_BYTES,
                **labels,
                "image_sizes": sizes,
            },
            "logits": {
                "image_bytes": IMAGE_BYTES,
                "logits": logits,
                "image_sizes": sizes,
            },
            "image": {"images": IMAGES, **labels},
        }

    def tflite_interface(self) -> Mapping[str, TensorType]:
        return {
            "image": TensorType([1, *self.input_size, 3], "uint8"),
            "label_map": TensorType([1, *self.input_size], "uint8"),
        }

    @property
    def title(self) -> str:
        return f"{self.network}, {self.label_set.name}"

    @property
    def labels(self) -> Labels:
        return Labels("classes.txt", self.label_set.classes, "logits")

    @property
    def tensors(self) -> dict[str, str]:
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
