"""From annotated people and their images to pose TFRecords, whoever listed them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_tf.data.converters.coco_images import (
    AnnotatedEncoder,
    AnnotatedImage,
    Images,
)
from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.converters.encoder import Orientations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    is_partly_outside,
    shared_names,
)
from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.pose import encode_image_record


@dataclasses.dataclass(kw_only=True)
class PoseSummary(ConversionSummary):
    """What the conversion of people did."""

    images_without_people: int
    empty_images_dropped: int
    people: int
    people_with_keypoints: int
    crowds: int
    boxes_clipped_by_reader: int
    other_category_annotations: int
    people_of_skipped_images: int
    measured_areas: int
    area_from: str | None
    miscounted_people: int
    normalized_people: int
    annotations: str = ""  # the file that was written for evaluations

    def __str__(self) -> str:
        measured = f"area missing or 0, taken from the {self.area_from}"
        if self.area_from == "crowdpose":
            measured = "area 0.53 of the box, as CrowdPose's evaluation has it"
        counts = {
            "  of these without people": self.images_without_people,
            "people": self.people,
            "  of these with keypoints": self.people_with_keypoints,
            "  of these crowds": self.crowds,
            "  box partly beyond the border, clipped by the reader": (
                self.boxes_clipped_by_reader
            ),
            f"  {measured}": self.measured_areas,
            "  num_keypoints wrong, counted instead": self.miscounted_people,
            "  with a length that errors are divided by": self.normalized_people,
            "left out: images without people": self.empty_images_dropped,
            "left out: annotations of other categories": (
                self.other_category_annotations
            ),
            "skipped: people of skipped images": self.people_of_skipped_images,
        }
        lines = self.lines(counts, always=("people", "  of these with keypoints"))
        if self.annotations:
            lines.append(f"For task.evaluation.annotation_file: {self.annotations}")
        return "\n".join(lines)


def write_people(
    conversion: RecordConversion,
    images: Sequence[ImageEntry],
    dataset: CocoPeople,
    source: Images,
    keypoints_per_person: int,
    choices: Choices,
    orientations: Mapping[str, Orientations] | None = None,
) -> PoseSummary:
    """Writes a record for each of `images`, which may be a part of the data set's.

    `orientations` are those of images that do not lie upright, by name, if all have
    been looked at. Raises as `RecordConversion.write_records` does.
    """
    encoder = _PeopleEncoder(
        source, conversion.rules, keypoints_per_person, orientations
    )
    items = [AnnotatedImage(image, dataset.people[image.id]) for image in images]
    items = conversion.write_records(items, encoder, choices=choices)
    written = [item.image for item in items]
    return _summary(conversion.outcome(), images, written, dataset, choices.area_from)


@dataclasses.dataclass(frozen=True)
class _PeopleEncoder(AnnotatedEncoder[Person]):
    keypoints_per_person: int
    known: Mapping[str, Orientations] | None = None

    def orientations(self, item: AnnotatedImage[Person]) -> Orientations:
        if self.known is None:
            return super().orientations(item)
        return self.known.get(item.image.file_name, [])

    def make_record(self, item: AnnotatedImage[Person], encoded: bytes) -> bytes:
        image = item.image
        return encode_image_record(
            encoded=encoded,
            image_id=image.id,
            filename=image.file_name,
            height=image.height,
            width=image.width,
            people=item.annotations,
            keypoints_per_person=self.keypoints_per_person,
        )


def _summary(
    outcome: dict[str, Any],
    images: Sequence[ImageEntry],
    written: Sequence[ImageEntry],
    dataset: CocoPeople,
    area_from: str | None,
) -> PoseSummary:
    by_image = [(image, dataset.people[image.id]) for image in written]
    people = [person for _, some in by_image for person in some]
    num_people = sum(len(dataset.people[image.id]) for image in images)
    # Where the region is given, boxes are not cropped.
    boxes = [(p, image) for image, some in by_image for p in some if p.region is None]
    return PoseSummary(
        **outcome,
        warnings=[*dataset.warnings, *shared_names(dataset.images)],
        images_without_people=sum(not some for _, some in by_image),
        empty_images_dropped=len(dataset.images) - len(images),
        people=len(people),
        people_with_keypoints=sum(person.num_keypoints > 0 for person in people),
        crowds=sum(person.iscrowd for person in people),
        boxes_clipped_by_reader=sum(
            is_partly_outside(person.bbox, image) for person, image in boxes
        ),
        measured_areas=sum(person.area_is_measured for person in people),
        area_from=area_from,
        miscounted_people=sum(person.was_miscounted for person in people),
        normalized_people=sum(person.normalizer > 0 for person in people),
        other_category_annotations=dataset.other_category_annotations,
        people_of_skipped_images=(
            dataset.people_of_unusable_images + num_people - len(people)
        ),
    )
