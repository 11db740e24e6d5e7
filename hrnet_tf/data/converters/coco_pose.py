"""From COCO keypoint annotations and their images to pose TFRecords."""

import dataclasses
from typing import Any

from hrnet_tf.data.converters.coco_images import AnnotatedImage, CocoEncoder
from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion, require_folder
from hrnet_tf.data.files.coco_annotations import is_partly_outside, shared_names
from hrnet_tf.data.files.coco_people import Person, read_coco_people
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.pose import encode_image_record
from hrnet_tf.data.vocabularies.skeletons import Skeleton


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

    def __str__(self) -> str:
        counts = {
            "  of these without people": self.images_without_people,
            "people": self.people,
            "  of these with keypoints": self.people_with_keypoints,
            "  of these crowds": self.crowds,
            "  box partly beyond the border, clipped by the reader": (
                self.boxes_clipped_by_reader
            ),
            f"  area missing or 0, taken from the {self.area_from}": (
                self.measured_areas
            ),
            "  num_keypoints wrong, counted instead": self.miscounted_people,
            "left out: images without people": self.empty_images_dropped,
            "left out: annotations of other categories": (
                self.other_category_annotations
            ),
            "skipped: people of skipped images": self.people_of_skipped_images,
        }
        return "\n".join(
            self.lines(counts, always=("people", "  of these with keypoints"))
        )


@dataclasses.dataclass(frozen=True)
class _PeopleEncoder(CocoEncoder[Person]):
    keypoints_per_person: int

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


def convert(
    image_dir: str,
    annotations: str,
    output_prefix: str,
    skeleton: Skeleton,
    *,
    category: str | None = None,
    area_from: str | None = None,
    keep_empty: bool = True,
    **options: Any,
) -> PoseSummary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all files or none.

    The flags of `hrnet_tf.data.coco_pose` describe the arguments. Raises
    `ConversionError` if the input cannot be used, and `OutputError` if files of this
    prefix exist already, or it names none.
    """
    conversion = RecordConversion(output_prefix, **options)
    require_folder(image_dir, "image folder")
    dataset = read_coco_people(
        annotations, skeleton, category, conversion.faults, area_from
    )
    images = [
        AnnotatedImage(image, dataset.people[image.id])
        for image in dataset.images
        if keep_empty or dataset.people[image.id]
    ]
    if not images:
        raise ConversionError(
            f"{annotations} leaves no image to write: it lists "
            f"{len(dataset.images)} usable images, none of them with people."
        )
    written = conversion.write_records(
        images,
        _PeopleEncoder(image_dir, conversion.rules, skeleton.num_keypoints),
        choices=Choices(
            annotations, dataset.category_ids if category else None, area_from
        ),
    )
    people = [person for item in written for person in item.annotations]
    num_people = sum(len(item.annotations) for item in images)
    return PoseSummary(
        **conversion.outcome(),
        warnings=[*dataset.warnings, *shared_names(dataset.images)],
        images_without_people=sum(not item.annotations for item in written),
        empty_images_dropped=len(dataset.images) - len(images),
        people=len(people),
        people_with_keypoints=sum(person.num_keypoints > 0 for person in people),
        crowds=sum(person.iscrowd for person in people),
        boxes_clipped_by_reader=sum(
            is_partly_outside(person.bbox, item.image)
            for item in written
            for person in item.annotations
        ),
        measured_areas=sum(person.area_is_measured for person in people),
        area_from=area_from,
        miscounted_people=sum(person.was_miscounted for person in people),
        other_category_annotations=dataset.other_category_annotations,
        people_of_skipped_images=(
            dataset.people_of_unusable_images + num_people - len(people)
        ),
    )
