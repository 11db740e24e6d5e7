"""Annotated images, as items to encode, and where their files are."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.converters.encoder import Encoded, Orientations, RecordEncoder
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.coco_annotations import ImageEntry, read_annotated_image
from hrnet_tf.data.files.faults import EntryRef
from hrnet_tf.data.files.images import ImageRules, path_below, read_image_file

Annotation = TypeVar("Annotation")


class Images(Protocol):
    """Where annotated images are. All raise `Unusable`."""

    def look(self, name: str) -> tuple[tuple[int, int], Orientations]:
        """An image's height and width, and how its file lies, without decoding it."""

    def read(self, image: ImageEntry) -> bytes:
        """The bytes of an image that decodes to its annotated size."""

    def paths(self, name: str) -> list[str]:
        """The files whose EXIF orientation counts."""


@dataclasses.dataclass(frozen=True)
class FolderImages:
    """The image files of a folder. Raises `ConversionError` without the folder."""

    folder: str
    rules: ImageRules

    def __post_init__(self) -> None:
        require_folder(self.folder, "image folder")

    def look(self, name: str) -> tuple[tuple[int, int], Orientations]:
        (path,) = self.paths(name)
        header = pictures.look_at(path)
        if header is None:
            # It says why, or else it is a picture all the same.
            return read_image_file(path, rules=self.rules)[1:], []
        by = header.orientation
        found = [(path, by)] if by != 1 else []
        if self.rules.exif == "apply" and by >= 5:
            return (header.width, header.height), found
        return (header.height, header.width), found

    def read(self, image: ImageEntry) -> bytes:
        return read_annotated_image(image, self.folder, self.rules)

    def paths(self, name: str) -> list[str]:
        return [path_below(self.folder, name, self.rules.allow_outside)]


@dataclasses.dataclass(frozen=True)
class AnnotatedImage(Generic[Annotation]):
    """An image and what is annotated on it."""

    image: ImageEntry
    annotations: Sequence[Annotation]


@dataclasses.dataclass(frozen=True)
class AnnotatedEncoder(RecordEncoder[AnnotatedImage[Annotation]], Generic[Annotation]):
    """Reads an image's file; a subclass makes the record.

    Attributes:
        source: Where the images are.
        rules: How they are read.
    """

    source: Images
    rules: ImageRules

    @abc.abstractmethod
    def make_record(self, item: AnnotatedImage[Annotation], encoded: bytes) -> bytes:
        """The serialised `tf.train.Example`, given the bytes of the image's file."""

    def encode(self, item: AnnotatedImage[Annotation]) -> Encoded:
        return Encoded(self.make_record(item, self.source.read(item.image)))

    def paths_of(self, item: AnnotatedImage[Annotation]) -> list[str]:
        return self.source.paths(item.image.file_name)

    def entry_of(self, item: AnnotatedImage[Annotation]) -> EntryRef:
        return item.image.ref
