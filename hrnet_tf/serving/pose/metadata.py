"""The description of a pose model."""

import dataclasses
from typing import Any, ClassVar

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.vocabularies.skeletons import Skeleton, skeleton_from_spec
from hrnet_tf.serving.metadata import (
    Labels,
    NetworkMetadata,
    model_name,
    stored,
)


def _write_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    return {**skeleton.to_spec(), "limb_colors": skeleton.limb_colors}


def _read_skeleton(values: dict[str, Any], source: str) -> Skeleton:
    spec = dict(values)
    del spec["limb_colors"]
    return skeleton_from_spec(spec, source)


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
    """

    task: ClassVar[str] = "pose"
    description: ClassVar[str] = "Finds the keypoints of the person in a crop."

    skeleton: Skeleton = stored(_write_skeleton, _read_skeleton)
    codec: pose_config.Codec = stored(
        lambda codec: codec.as_dict(), lambda values, _: pose_config.Codec(**values)
    )
    box_padding: float
    keypoint_score_threshold: float
    flip_test: bool

    @classmethod
    def of_task(
        cls, task: pose_config.PoseTask, skeleton: Skeleton, flip_test: bool
    ) -> "PoseMetadata":
        """Describes a model that was trained with the configuration `task`."""
        height, width = task.model.input_size
        return cls(
            skeleton=skeleton,
            input_size=(height, width),
            codec=task.codec,
            box_padding=task.validation_data.box_padding,
            keypoint_score_threshold=task.evaluation.keypoint_score_threshold,
            flip_test=flip_test,
            model=model_name(task),
        )

    @property
    def title(self) -> str:
        return f"HRNet {self.model}, {self.skeleton.name}"

    @property
    def labels(self) -> Labels:
        return Labels("keypoints.txt", self.skeleton.keypoints, "keypoints")

    @property
    def tensors(self) -> dict[str, str]:
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
