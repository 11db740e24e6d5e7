"""The description of a pose model."""

import dataclasses
import json
from typing import Any

import hrnet_tf
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.vocabularies.skeletons import Skeleton, skeleton_from_spec
from hrnet_tf.serving.metadata import NORMALIZATION, Labels, model_name, reading


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
                "skeleton": {
                    **self.skeleton.to_spec(),
                    "limb_colors": self.skeleton.limb_colors,
                },
                "input": {"height": height, "width": width, "colors": "RGB"},
                "normalization": NORMALIZATION,
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
        with reading(source):
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
    def labels(self) -> Labels:
        return Labels("keypoints.txt", self.skeleton.keypoints, "keypoints")

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
