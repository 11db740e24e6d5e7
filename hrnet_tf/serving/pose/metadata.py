"""The description of a pose model."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hrnet_tf.data.vocabularies.skeletons import Skeleton, skeleton_from_spec
from hrnet_tf.messages import shown
from hrnet_tf.ops.codecs import CODECS
from hrnet_tf.serving.formats import MAX_BATCH_SIZE
from hrnet_tf.serving.metadata import (
    Labels,
    NetworkMetadata,
    model_name,
    number_mistakes,
    optional,
    stored,
    stored_section,
)
from hrnet_tf.serving.tensors import IMAGE_BYTES, IMAGES, Interface, TensorType

if TYPE_CHECKING:
    from hrnet_tf.configs.pose import PoseTask


def _write_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    # Also colours that follow from the sides, for apps that draw.
    colors = [list(color) for color in skeleton.limb_colors]
    return {**skeleton.to_spec(), "limb_colors": colors}


@dataclasses.dataclass(frozen=True)
class Codec:
    """How heatmaps are decoded, as `configs.pose` has it, without the Garden."""

    name: str = "msra"
    sigma: float = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseMetadata(NetworkMetadata):
    """What one needs to know to use an exported pose model.

    Attributes:
        skeleton: Its keypoints.
        input_size: (height, width) of the crops that the network sees, in pixels.
        codec: How its heatmaps are decoded.
        box_padding: Factor on a person's box once it has the crop's aspect ratio.
        keypoint_score_threshold: A person's score is the mean of the keypoint scores
            above this.
        flip_test: Whether predictions are averaged with those of the mirrored crop.
        batch_size: How many crops a .tflite file takes at once.
    """

    task: ClassVar[str] = "pose"
    description: ClassVar[str] = "Finds the keypoints of the person in a crop."

    skeleton: Skeleton = stored(_write_skeleton, skeleton_from_spec)
    codec: Codec = stored_section(Codec)
    box_padding: float
    keypoint_score_threshold: float
    flip_test: bool
    batch_size: int = optional(1)

    @classmethod
    def of_task(
        cls,
        task: "PoseTask",
        skeleton: Skeleton,
        flip_test: bool,
        batch_size: int = 1,
    ) -> "PoseMetadata":
        """Describes a model that was trained with the configuration `task`."""
        height, width = task.model.input_size
        return cls(
            skeleton=skeleton,
            input_size=(height, width),
            codec=Codec(**task.codec.as_dict()),
            box_padding=task.validation_data.box_padding,
            keypoint_score_threshold=task.evaluation.keypoint_score_threshold,
            flip_test=flip_test,
            batch_size=batch_size,
            model=model_name(task),
            backbone=task.model.backbone.type,
        )

    def mistakes(self) -> Iterator[str]:
        yield from number_mistakes(
            {"codec.sigma": self.codec.sigma, "box_padding": self.box_padding}, 0, 100
        )
        threshold = {"keypoint_score_threshold": self.keypoint_score_threshold}
        yield from number_mistakes(threshold, -1e6, 1e6)
        yield from number_mistakes({"batch_size": self.batch_size}, 0, MAX_BATCH_SIZE)
        if self.codec.name not in CODECS:
            yield (
                f"codec.name is {shown(self.codec.name)}; it must be one of "
                f"{', '.join(CODECS)}"
            )

    def saved_model_interface(self) -> Interface:
        num_keypoints = self.skeleton.num_keypoints
        people = {
            "boxes": TensorType([None, None, 4]),
            "keypoints": TensorType([None, None, num_keypoints, 3]),
            "scores": TensorType([None, None]),
        }
        return {
            "serving_default": {"image_bytes": IMAGE_BYTES, **people},
            "image": {"images": IMAGES, **people},
            "crops": {
                "crops": TensorType([None, *self.input_size, 3], "uint8"),
                "keypoints": TensorType([None, num_keypoints, 3]),
                "heatmaps": TensorType([None, None, None, num_keypoints]),
            },
        }

    def tflite_interface(self) -> Mapping[str, TensorType]:
        return {
            "image": TensorType([self.batch_size, *self.input_size, 3], "uint8"),
            "keypoints": TensorType([self.batch_size, self.skeleton.num_keypoints, 3]),
        }

    @property
    def title(self) -> str:
        return f"{self.network}, {self.skeleton.name}"

    @property
    def labels(self) -> Labels:
        return Labels("keypoints.txt", self.skeleton.keypoints, "keypoints")

    @property
    def tensors(self) -> dict[str, str]:
        height, width = self.input_size
        count = self.batch_size
        whose = "one person" if count == 1 else "one person each"
        return {
            "image": (
                f"uint8 RGB crop of {whose}, [{count}, {height}, {width}, 3]; it is "
                "normalised inside the model."
            ),
            "keypoints": (
                f"float32 [{count}, K, 3]: x and y as shares of the crop's width and "
                "height, and the score. The names of the K keypoints are in "
                "keypoints.txt."
            ),
            "heatmaps": (
                f"float32 [{count}, height / 4, width / 4, K]: one map per keypoint."
            ),
        }
