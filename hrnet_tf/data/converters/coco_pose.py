"""From COCO keypoint annotations and their images to pose TFRecords."""

from typing import Any

from hrnet_tf.data.converters.coco_images import FolderImages
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.converters.people import PoseSummary, write_people
from hrnet_tf.data.files.coco_people import read_coco_people
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.vocabularies.skeletons import Skeleton


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
    source = FolderImages(image_dir, conversion.rules)
    dataset = read_coco_people(
        annotations, skeleton, category, conversion.faults, area_from
    )
    images = [
        image for image in dataset.images if keep_empty or dataset.people[image.id]
    ]
    if not images:
        raise ConversionError(
            f"{annotations} leaves no image to write: it lists "
            f"{len(dataset.images)} usable images, none of them with people."
        )
    choices = Choices(
        annotations, dataset.category_ids if category else None, area_from
    )
    return write_people(
        conversion, images, dataset, source, skeleton.num_keypoints, choices
    )
