"""The description of a detector."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hrnet_tf.data.inputs.normalization import IMAGE_MEAN
from hrnet_tf.messages import shown
from hrnet_tf.serving.metadata import (
    Labels,
    NetworkMetadata,
    model_name,
    number_mistakes,
    stored,
    stored_input_size,
)
from hrnet_tf.serving.tensors import IMAGE_BYTES, IMAGES, Interface, TensorType
from hrnet_tf.value_types import fits

if TYPE_CHECKING:
    from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask

# Of a category: a .tflite file has a line for each number up to it.
_LARGEST_ID = 10**5
# Of what is found in an image.
_MOST_DETECTIONS = 10**6

# What detectors see beside an image: training fills up with 0 after normalisation.
CANVAS_COLOR = tuple(round(255 * mean) for mean in IMAGE_MEAN)


def _write_categories(categories: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in categories.items()]


def _read_categories(values: list[Any], _: str) -> dict[int, str]:
    categories: dict[int, str] = {}
    for entry in values:
        category = entry if isinstance(entry, dict) else {}
        number: Any = category.get("id")
        name: Any = category.get("name")
        if not (fits(number, int) and 0 <= number <= _LARGEST_ID and fits(name, str)):
            raise ValueError(
                f"categories holds {shown(entry)}; it must hold an id from 0 to "
                f"{_LARGEST_ID} and a name"
            )
        categories[number] = name
    return categories


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionMetadata(NetworkMetadata):
    """What one needs to know to use an exported detector.

    Attributes:
        detector: faster_rcnn, mask_rcnn, cascade_rcnn or retinanet.
        categories: Names by class number, the annotations' ids; 0 is no class.
        input_size: (height, width) of the network's canvas, in pixels: images are made
            to fit, keeping their aspect ratio, and lie at its top left.
        has_masks: Whether it has masks.
        max_detections: The most objects that it finds in an image.
    """

    task: ClassVar[str] = "detection"
    description: ClassVar[str] = "Finds objects in an image."

    detector: str
    categories: Mapping[int, str] = stored(
        _write_categories, _read_categories, json_type=list
    )
    input_size: tuple[int, int] = stored_input_size(padding=CANVAS_COLOR)
    has_masks: bool
    max_detections: int

    @classmethod
    def of_task(
        cls,
        task: "MaskRCNNTask | RetinaNetTask",
        categories: Mapping[int, str],
    ) -> "DetectionMetadata":
        """Describes a model that was trained with the configuration `task`."""
        model = task.model
        has_masks = getattr(model, "include_mask", False)
        if not hasattr(model, "roi_sampler"):
            detector = "retinanet"
        elif model.roi_sampler.cascade_iou_thresholds:
            detector = "cascade_rcnn"
        else:
            detector = "mask_rcnn" if has_masks else "faster_rcnn"
        height, width, _ = model.input_size
        return cls(
            categories=dict(categories),
            input_size=(height, width),
            detector=detector,
            has_masks=has_masks,
            max_detections=model.detection_generator.max_num_detections,
            model=model_name(task),
            backbone=task.model.backbone.type,
        )

    def mistakes(self) -> Iterator[str]:
        most = {"max_detections": self.max_detections}
        yield from number_mistakes(most, 0, _MOST_DETECTIONS)

    def saved_model_interface(self) -> Interface:
        found = self._outputs(None)
        return {
            "serving_default": {"image_bytes": IMAGE_BYTES, **found},
            "image": {"images": IMAGES, **found},
        }

    def tflite_interface(self) -> Mapping[str, TensorType]:
        return {
            "image": TensorType([1, *self.input_size, 3], "uint8"),
            **self._outputs(1),
        }

    def _outputs(self, batch: int | None) -> dict[str, TensorType]:
        objects = [batch, self.max_detections]
        outputs = {
            "boxes": TensorType([*objects, 4]),
            "classes": TensorType(objects, "int32"),
            "scores": TensorType(objects),
            "num_detections": TensorType([batch], "int32"),
        }
        masks = TensorType([*objects, None, None])
        return {**outputs, "masks": masks} if self.has_masks else outputs

    @property
    def title(self) -> str:
        return f"{self.network}, {self.detector.replace('_', ' ')}"

    @property
    def labels(self) -> Labels:
        names = [
            self.categories.get(number, "-")
            for number in range(max(self.categories, default=0) + 1)
        ]
        return Labels("classes.txt", names, "classes", are_values=True)

    @property
    def tensors(self) -> dict[str, str]:
        height, width = self.input_size
        return {
            "image": (
                f"uint8 RGB image, [1, {height}, {width}, 3]: made to fit, at the top "
                "left, the rest in the padding's colour; it is normalised inside."
            ),
            "boxes": "float32 [1, N, 4]: x, y, width and height, pixels of the input.",
            "classes": "int32 [1, N]: lines of classes.txt, from 0.",
            "scores": "float32 [1, N], falling.",
            "num_detections": "int32 [1]: how many of the N there are.",
            "masks": "float32 [1, N, h, w]: probabilities within the boxes.",
        }
