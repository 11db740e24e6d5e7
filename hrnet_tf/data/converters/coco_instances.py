"""From COCO object annotations and their images to the Garden's TFRecords.

The Garden's own functions make the features (official/vision/data/
create_coco_tf_record.py). Around them, everything is checked first, boxes are clipped
and masks are stored in a smaller size.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from official.vision.data import tfrecord_lib
from pycocotools import mask as coco_mask

from hrnet_tf.data.converters.coco_images import (
    AnnotatedEncoder,
    AnnotatedImage,
    FolderImages,
)
from hrnet_tf.data.converters.command import ConversionSummary
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.files.coco_annotations import shared_names
from hrnet_tf.data.files.coco_objects import CocoObject, read_coco_objects
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.examples import serialize
from hrnet_tf.data.records.instances import MASKS


@dataclasses.dataclass(kw_only=True)
class InstancesSummary(ConversionSummary):
    """What the conversion of objects did."""

    categories: dict[int, str]
    images_without_objects: int
    objects: dict[int, int]  # by category
    crowds: int
    clipped_boxes: int
    objects_of_skipped_images: int
    measured_areas: int
    area_from: str

    def __str__(self) -> str:
        counts = {
            "  of these without objects": self.images_without_objects,
            "objects": sum(self.objects.values()),
            **{
                f"  {self.categories[number]} (class {number})": count
                for number, count in sorted(self.objects.items())
            },
            "  of these crowds": self.crowds,
            "  box beyond the border, clipped": self.clipped_boxes,
            f"  area missing, taken from the {self.area_from}": self.measured_areas,
            "skipped: objects of skipped images": self.objects_of_skipped_images,
        }
        lines = self.lines(counts, always=("objects",))
        if self.categories:
            lines.append(f"For training: task.model.num_classes={self.num_classes}")
        return "\n".join(lines)

    @property
    def num_classes(self) -> int:
        """The number of a network's classes; 0 is the background."""
        return max(self.categories, default=0) + 1


def convert(
    image_dir: str,
    annotations: str,
    output_prefix: str,
    *,
    include_masks: bool = True,
    area_from: str | None = None,
    max_mask_side: int = 1024,
    **options: Any,
) -> InstancesSummary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all files or none.

    The flags of `hrnet_tf.data.coco_instances` describe the arguments. Raises
    `ConversionError` if the input cannot be used, and `OutputError` if files of this
    prefix exist already, or it names none.
    """
    conversion = RecordConversion(output_prefix, **options)
    source = FolderImages(image_dir, conversion.rules)
    dataset = read_coco_objects(
        annotations, include_masks, conversion.faults, area_from
    )
    if not dataset.images:
        raise ConversionError(f"{annotations} lists no image that can be used.")
    images = [
        AnnotatedImage(image, dataset.objects[image.id]) for image in dataset.images
    ]
    written = conversion.write_records(
        images,
        ObjectsEncoder(
            source,
            conversion.rules,
            dataset.categories,
            max_mask_side if include_masks else None,
        ),
        choices=Choices(annotations, area_from=area_from),
    )
    objects = [found for item in written for found in item.annotations]
    num_objects = sum(len(item.annotations) for item in images)
    return InstancesSummary(
        **conversion.outcome(),
        categories=dataset.categories,
        images_without_objects=sum(not item.annotations for item in written),
        objects=dict(collections.Counter(found.category_id for found in objects)),
        crowds=sum(found.iscrowd for found in objects),
        warnings=[*dataset.warnings, *shared_names(dataset.images)],
        measured_areas=sum(found.area_is_measured for found in objects),
        area_from=area_from or ("mask" if include_masks else "box"),
        clipped_boxes=sum(found.was_clipped for found in objects),
        objects_of_skipped_images=(
            dataset.objects_of_unusable_images + num_objects - len(objects)
        ),
    )


@dataclasses.dataclass(frozen=True)
class ObjectsEncoder(AnnotatedEncoder[CocoObject]):
    """Makes the record of an image and its objects.

    Attributes:
        categories: Their names by id.
        max_mask_side: The most that a side of a mask has; None leaves masks out.
    """

    categories: Mapping[int, str]
    max_mask_side: int | None

    def make_record(self, item: AnnotatedImage[CocoObject], encoded: bytes) -> bytes:
        image, objects = item.image, item.annotations
        features, num_skipped = _features_function()(
            [dataclasses.asdict(found) for found in objects],
            image.height,
            image.width,
            self.categories,
            include_masks=False,
        )
        if num_skipped:
            raise AssertionError(f"The Garden left out {num_skipped} checked objects.")
        features |= tfrecord_lib.image_info_to_feature_dict(
            image.height, image.width, image.file_name, image.id, encoded, "jpg"
        )
        if self.max_mask_side is not None and objects:
            masks = [_mask_png(found, self.max_mask_side) for found in objects]
            features[MASKS] = tfrecord_lib.convert_to_feature(masks)
        return serialize(features)


@functools.cache
def _features_function() -> Callable[..., tuple[dict[str, tf.train.Feature], int]]:
    """The Garden's function from annotations to features."""
    # Importing its module makes TensorFlow's own log more talkative.
    log = tf.get_logger()
    level = log.level
    try:
        from official.vision.data import create_coco_tf_record
    finally:
        log.setLevel(level)
    return create_coco_tf_record.bbox_annotations_to_feature_dict


def _mask_png(found: CocoObject, max_side: int) -> bytes:
    """A mask as a PNG file of zeros and ones, as the Garden's parser expects."""
    mask = coco_mask.decode(found.rle)
    scale = max_side / max(mask.shape)
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in mask.shape)
        shares = cv2.resize(
            mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        mask = (shares >= 0.5).astype(np.uint8)
    return tfrecord_lib.encode_mask_as_png(np.ascontiguousarray(mask))
