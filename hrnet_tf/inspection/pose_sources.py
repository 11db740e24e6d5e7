"""People of an annotation file or of records, image by image."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_people import ALL, Person, read_coco_people
from hrnet_tf.data.inputs.pose import clean_boxes
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.inspection.findings import Findings
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.samples import (
    Annotated,
    FoundFaults,
    Records,
    Sample,
)


@dataclasses.dataclass(frozen=True)
class People:
    """The P people of an image, each with K keypoints; pixels of the image.

    Attributes:
        people: As converters write them.
        boxes: [P, 4], x, y, width and height.
        keypoints: [P, K, 3], x, y and visibility.
        is_learned: Whether training makes a crop of each, bool [P].
    """

    people: list[Person]
    boxes: np.ndarray
    keypoints: np.ndarray
    is_learned: np.ndarray


@tf.function(
    input_signature=[
        tf.TensorSpec([None, 4], tf.float32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.int32),
    ],
    autograph=False,
)
def _have_extent(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    _, is_valid = clean_boxes(boxes, height, width)
    return is_valid


def make_people(
    people: list[Person], num_keypoints: int, size: tuple[int, int]
) -> People:
    """Arrays of people on an image of a height and width."""
    boxes = np.array([person.bbox for person in people], np.float64).reshape(-1, 4)
    shape = len(people), num_keypoints, 3
    keypoints = np.array([p.keypoints for p in people], np.float64).reshape(shape)
    # As `PoseInput` chooses.
    has_box = _have_extent(tf.constant(boxes, tf.float32), *map(tf.constant, size))
    is_cropped = np.array([person.region is not None for person in people], bool)
    is_cropped |= has_box.numpy()
    counts = np.array([person.counts for person in people], bool)
    areas = np.array([person.area for person in people], np.float32)
    return People(people, boxes, keypoints, is_cropped & counts & (areas > 0))


class AnnotatedPeople(Annotated[People]):
    """COCO keypoint annotations and their images."""

    def __init__(self, options: Options, skeleton: Skeleton, findings: Findings):
        """Reads the annotations; adds what of them is of no use to the findings.

        Raises `ConversionError` if the file as a whole is of no use.
        """
        self._skeleton = skeleton
        content = read_coco_people(
            options.annotations or "",
            skeleton,
            options.category or ALL,
            FoundFaults(findings),
            options.area_from,
        )
        self._people = content.people
        super().__init__(options, content)

    def content_of(self, image: ImageEntry) -> People:
        size = image.height, image.width
        people = self._people[image.id]
        return make_people(people, self._skeleton.num_keypoints, size)


class RecordedPeople(Records[People]):
    """Records of `python -m hrnet_tf.data.coco_pose`."""

    def __init__(self, pattern: str, skeleton: Skeleton):
        """Reads nothing yet."""
        super().__init__(pattern)
        self._skeleton = skeleton

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return pose_records.parse_image_record(serialized, self._skeleton.num_keypoints)

    def fill(
        self, sample: Sample[People], record: Mapping[str, Any], serialized: bytes
    ) -> None:
        del serialized
        number = int(record["image_id"])
        sample.place = dataclasses.replace(sample.place, image_id=number)
        sample.size = int(record["height"]), int(record["width"])
        people, num_keypoints = _people_of(record), self._skeleton.num_keypoints
        sample.content = make_people(people, num_keypoints, sample.size)


def _people_of(record: Mapping[str, Any]) -> list[Person]:
    """The people of a parsed record."""
    names = "person_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints"
    lists = [record[name] for name in (*names, "normalizer")]
    regions: list[list[float] | None] = record["region"].tolist()
    regions = regions or [None] * len(lists[0])
    people = []
    for (number, bbox, area, iscrowd, keypoints, count, normalizer), region in zip(
        zip(*lists, strict=True), regions, strict=True
    ):
        person = Person(
            int(number),
            bbox.tolist(),
            float(area),
            bool(iscrowd),
            keypoints.ravel().tolist(),
            region=region,
            normalizer=float(normalizer),
        )
        is_wrong = int(count) != person.num_keypoints
        people.append(dataclasses.replace(person, was_miscounted=is_wrong))
    return people
