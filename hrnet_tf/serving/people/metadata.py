"""The description of a detector and a pose model in one."""

import dataclasses
import json
from typing import Any

import hrnet_tf
from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.metadata import reading
from hrnet_tf.serving.pose.metadata import Metadata


@dataclasses.dataclass(frozen=True)
class PipelineMetadata:
    """What one needs to know to use a detector and a pose model in one.

    Attributes:
        detector: The detector.
        pose: The pose model.
        category_id: The detector's class that are people.
        box_score_threshold: Boxes that score less are left out.
        max_people: At most so many people are found in an image.
        version: The version of this package that exported it.
        task: What the model does.
    """

    detector: DetectionMetadata
    pose: Metadata
    category_id: int
    box_score_threshold: float
    max_people: int
    version: str = hrnet_tf.__version__
    task: str = "people"

    def to_json(self) -> str:
        """The text of hrnet_tf.json."""
        return json.dumps(
            {
                "hrnet_tf_version": self.version,
                "task": self.task,
                "category_id": self.category_id,
                "box_score_threshold": self.box_score_threshold,
                "max_people": self.max_people,
                "detector": json.loads(self.detector.to_json()),
                "pose": json.loads(self.pose.to_json()),
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "PipelineMetadata":
        """Reads what `to_json` wrote; see `Metadata.from_json`."""
        with reading(source):
            values: dict[str, Any] = json.loads(text)
            return cls(
                detector=DetectionMetadata.from_json(
                    json.dumps(values["detector"]), source
                ),
                pose=Metadata.from_json(json.dumps(values["pose"]), source),
                category_id=values["category_id"],
                box_score_threshold=values["box_score_threshold"],
                max_people=values["max_people"],
                version=values["hrnet_tf_version"],
                task=values["task"],
            )
