"""The description of a detector and a pose model in one."""

import dataclasses
from typing import ClassVar

from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.metadata import Metadata, stored
from hrnet_tf.serving.pose.metadata import PoseMetadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeopleMetadata(Metadata):
    """What one needs to know to use a detector and a pose model in one.

    Attributes:
        category_id: The detector's class for people.
        box_score_threshold: Boxes that score less are left out.
        max_people: The most people that are found in an image.
        detector: The detector.
        pose: The pose model.
    """

    task: ClassVar[str] = "people"

    category_id: int
    box_score_threshold: float
    max_people: int
    detector: DetectionMetadata = stored(
        DetectionMetadata.to_dict, DetectionMetadata.from_dict
    )
    pose: PoseMetadata = stored(PoseMetadata.to_dict, PoseMetadata.from_dict)
