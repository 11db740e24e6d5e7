"""The description of a detector."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import hrnet_tf
from hrnet_tf.configs import detection as detection_config
from hrnet_tf.data.inputs.normalization import IMAGE_MEAN
from hrnet_tf.serving.metadata import NORMALIZATION, Labels, model_name, reading

# What detectors see beside an image: training fills up with 0 after normalisation.
CANVAS_COLOR = tuple(round(255 * mean) for mean in IMAGE_MEAN)


@dataclasses.dataclass(frozen=True)
class DetectionMetadata:
    """What one needs to know to use an exported detector.

    Attributes:
        categories: Names by class number. The annotations' ids; 0 is no class.
        input_size: (height, width) of the network's canvas, in pixels: images are made
            to fit, keeping their aspect ratio, and lie at its top left.
        detector: faster_rcnn, mask_rcnn, cascade_rcnn or retinanet.
        has_masks: Whether it has masks.
        max_detections: At most so many objects are found in an image.
        model: What network it stands on, e.g. w32.
        version: The version of this package that exported it.
        task: What the model does.
    """

    categories: Mapping[int, str]
    input_size: tuple[int, int]
    detector: str
    has_masks: bool
    max_detections: int
    model: str
    version: str = hrnet_tf.__version__
    task: str = "detection"

    @classmethod
    def of_task(
        cls,
        task: detection_config.MaskRCNNTask | detection_config.RetinaNetTask,
        categories: Mapping[int, str],
    ) -> "DetectionMetadata":
        """Describes a model that was trained with the configuration `task`."""
        model = task.model
        has_masks = getattr(model, "include_mask", False)
        if isinstance(task, detection_config.RetinaNetTask):
            detector = "retinanet"
        elif model.roi_sampler.cascade_iou_thresholds:
            detector = "cascade_rcnn"
        else:
            detector = "mask_rcnn" if has_masks else "faster_rcnn"
        return cls(
            categories=dict(categories),
            input_size=tuple(model.input_size[:2]),
            detector=detector,
            has_masks=has_masks,
            max_detections=model.detection_generator.max_num_detections,
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
                "detector": self.detector,
                "categories": [
                    {"id": number, "name": name}
                    for number, name in self.categories.items()
                ],
                "input": {
                    "height": height,
                    "width": width,
                    "colors": "RGB",
                    "padding": CANVAS_COLOR,
                },
                "normalization": NORMALIZATION,
                "has_masks": self.has_masks,
                "max_detections": self.max_detections,
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "DetectionMetadata":
        """Reads what `to_json` wrote; see `Metadata.from_json`."""
        with reading(source):
            values: dict[str, Any] = json.loads(text)
            return cls(
                categories={c["id"]: c["name"] for c in values["categories"]},
                input_size=(values["input"]["height"], values["input"]["width"]),
                detector=values["detector"],
                has_masks=values["has_masks"],
                max_detections=values["max_detections"],
                model=values["model"],
                version=values["hrnet_tf_version"],
                task=values["task"],
            )

    @property
    def title(self) -> str:
        return f"HRNet {self.model}, {self.detector.replace('_', ' ')}"

    @property
    def description(self) -> str:
        return "Finds objects in an image."

    @property
    def labels(self) -> Labels:
        names = [
            self.categories.get(number, "-")
            for number in range(max(self.categories, default=0) + 1)
        ]
        return Labels("classes.txt", names, "classes", are_values=True)

    @property
    def tensors(self) -> dict[str, str]:
        """As `Metadata.tensors`."""
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
