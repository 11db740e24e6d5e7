"""Objects of an annotation file or of records, image by image."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.data.converters.coco_images import AnnotatedImage, FolderImages
from hrnet_tf.data.converters.coco_instances import ObjectsEncoder
from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_objects import read_coco_objects
from hrnet_tf.data.records import instances
from hrnet_tf.data.records.checks import checked
from hrnet_tf.inspection.findings import Findings
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.samples import (
    Annotated,
    FoundFaults,
    Records,
    Sample,
    features_of,
)


@dataclasses.dataclass(frozen=True)
class Objects:
    """The N objects of an image.

    Attributes:
        boxes: [N, 4], x, y, width and height in pixels.
        areas: [N], in square pixels.
        categories: [N], their ids.
        iscrowd: [N], bool.
        numbers: Annotation ids, or from records, which have none, places from 0.
        names: Of categories by id, as far as the image tells.
        record: The record to train on; empty if there is none yet.
    """

    boxes: np.ndarray
    areas: np.ndarray
    categories: np.ndarray
    iscrowd: np.ndarray
    numbers: list[int]
    names: Mapping[int, str]
    record: bytes = b""


class AnnotatedObjects(Annotated[Objects]):
    """COCO annotations of objects and their images."""

    def __init__(self, options: Options, findings: Findings):
        """Reads the annotations; adds what of them is of no use to the findings.

        Raises `ConversionError` if the file as a whole is of no use.
        """
        content = read_coco_objects(
            options.annotations or "",
            options.include_masks,
            FoundFaults(findings),
            options.area_from,
        )
        self._objects, self._categories = content.objects, content.categories
        super().__init__(options, content)
        self._encoder = ObjectsEncoder(
            FolderImages(self._image_dir, self._rules),
            self._rules,
            self._categories,
            1024 if options.include_masks else None,
        )

    def content_of(self, image: ImageEntry) -> Objects:
        objects = self._objects[image.id]
        boxes = [found.annotated_bbox for found in objects]
        return Objects(
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array([found.area for found in objects], np.float64),
            np.array([found.category_id for found in objects], np.int64),
            np.array([found.iscrowd for found in objects], bool),
            [found.id for found in objects],
            self._categories,
        )

    def record(self, sample: Sample[Objects]) -> bytes:
        """The record that the converter would write."""
        image = self._images[sample.place.position]
        item = AnnotatedImage(image, self._objects[image.id])
        return self._encoder.make_record(item, sample.encoded or b"")


class RecordedObjects(Records[Objects]):
    """Records of `python -m hrnet_tf.data.coco_instances`, or the Garden's."""

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = instances.parse_image_record(checked(serialized, _CHECK))
        return {**record, "encoded": record[instances.IMAGE_ENCODED]}

    def fill(
        self, sample: Sample[Objects], record: Mapping[str, Any], serialized: bytes
    ) -> None:
        number = record[instances.IMAGE_ID].decode(errors="replace")
        if number.isdecimal():
            sample.place = dataclasses.replace(sample.place, image_id=int(number))
        sample.size = _size_of(record)
        names = features_of(serialized)[instances.CLASS_NAMES].bytes_list.value
        sample.content = _objects_of(record, names, sample.size, serialized)

    def record(self, sample: Sample[Objects]) -> bytes:
        """The record itself."""
        return sample.content.record if sample.content else b""


# Classes are not looked at: of those that no model counts, the report tells more.
_CHECK = instances.consistency(None, with_masks=False, with_numbers=False)


def _size_of(record: Mapping[str, Any]) -> tuple[int, int]:
    height, width = record[instances.IMAGE_HEIGHT], record[instances.IMAGE_WIDTH]
    if min(height, width) < 1:
        raise ValueError("its image/height or image/width is no size.")
    return int(height), int(width)


def _objects_of(
    record: Mapping[str, np.ndarray],
    names: Sequence[bytes],
    size: tuple[int, int],
    serialized: bytes,
) -> Objects:
    """The objects of a parsed record. Raises `ValueError` if its lists do not agree."""
    categories = record[instances.CLASSES]
    count = len(categories)
    sides = [record[key].astype(np.float64) for key in instances.COORDINATES]
    if any(len(side) != count for side in sides):
        raise ValueError("it has not as many classes as coordinates of boxes.")
    height, width = size
    left, right, top, bottom = sides
    corners = [left * width, top * height, right * width, bottom * height]
    boxes = np.stack(corners, axis=-1)
    boxes[:, 2:] -= boxes[:, :2]
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
        raise ValueError("a box has no extent, or is not finite.")
    areas, crowds = record[instances.AREAS], record[instances.CROWDS]
    if len(record[instances.MASKS]) not in (0, count):
        raise ValueError("it has not as many classes as masks.")
    return Objects(
        boxes,
        areas.astype(np.float64) if len(areas) else boxes[:, 2] * boxes[:, 3],
        categories,
        crowds.astype(bool) if len(crowds) else np.zeros(count, bool),
        list(range(count)),
        {
            int(number): name.decode("utf-8", "replace")
            for number, name in zip(categories, names, strict=False)
        },
        serialized,
    )
