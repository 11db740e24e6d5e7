"""Images of a COCO file with their annotations, as items to encode."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

from hrnet_tf.data.converters.encoder import Encoded, RecordEncoder
from hrnet_tf.data.files.coco_annotations import ImageEntry, read_annotated_image
from hrnet_tf.data.files.faults import EntryRef
from hrnet_tf.data.files.images import ImageRules, path_below

Annotation = TypeVar("Annotation")


@dataclasses.dataclass(frozen=True)
class AnnotatedImage(Generic[Annotation]):
    """An image and what is annotated on it."""

    image: ImageEntry
    annotations: Sequence[Annotation]


@dataclasses.dataclass(frozen=True)
class CocoEncoder(RecordEncoder[AnnotatedImage[Annotation]], Generic[Annotation]):
    """Reads an image's file; a subclass makes the record.

    Attributes:
        image_dir: The folder of the images.
        rules: How they are read.
    """

    image_dir: str
    rules: ImageRules

    @abc.abstractmethod
    def make_record(self, item: AnnotatedImage[Annotation], encoded: bytes) -> bytes:
        """The serialised `tf.train.Example`, given the bytes of the image's file."""

    def encode(self, item: AnnotatedImage[Annotation]) -> Encoded:
        encoded = read_annotated_image(item.image, self.image_dir, self.rules)
        return Encoded(self.make_record(item, encoded))

    def paths_of(self, item: AnnotatedImage[Annotation]) -> list[str]:
        name, allow_outside = item.image.file_name, self.rules.allow_outside
        return [path_below(self.image_dir, name, allow_outside)]

    def entry_of(self, item: AnnotatedImage[Annotation]) -> EntryRef:
        return item.image.ref
