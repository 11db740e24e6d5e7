"""The description of a detector and a pose model in one."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

from hrnet_tf.serving.detection.metadata import DetectionMetadata
from hrnet_tf.serving.metadata import Metadata, number_mistakes, stored
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.tensors import IMAGE_BYTES, IMAGES, Interface, TensorType


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

    def mistakes(self) -> Iterator[str]:
        yield from number_mistakes({"max_people": self.max_people}, 0, 10**6)
        threshold = {"box_score_threshold": self.box_score_threshold}
        yield from number_mistakes(threshold, -1e6, 1e6)

    def saved_model_interface(self) -> Interface:
        people = [None, self.max_people]
        found = {
            "boxes": TensorType([*people, 4]),
            "box_scores": TensorType(people),
            "keypoints": TensorType([*people, self.pose.skeleton.num_keypoints, 3]),
            "scores": TensorType(people),
            "num_people": TensorType([None], "int32"),
        }
        return {
            "serving_default": {"image_bytes": IMAGE_BYTES, **found},
            "image": {"images": IMAGES, **found},
        }
