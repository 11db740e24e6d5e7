"""The images of a data set, read one by one, and what all kinds of data have in common.

A source lists items and reads each: threads read a few ahead, so that memory does not
grow with the data set but for some hundred bytes an image.
"""

import abc
import contextlib
import dataclasses
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.converters.reading_ahead import read_ahead
from hrnet_tf.data.files import picture_headers, pictures
from hrnet_tf.data.files.coco_annotations import ImageEntry, read_annotated_image
from hrnet_tf.data.files.faults import EntryRef, Faults, Unusable
from hrnet_tf.data.files.images import check_encoded, path_below
from hrnet_tf.data.records import examples, names, sets
from hrnet_tf.data.records.shards import RecordError, read_serialized, sentence_of
from hrnet_tf.inspection.duplicates import Duplicates, fingerprint
from hrnet_tf.inspection.findings import Finding, Findings, Place
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.report import Distribution, Section
from hrnet_tf.messages import UserError
from hrnet_tf.ops.images import decode_image
from hrnet_tf.progress import Progress

Content = TypeVar("Content")

NOT_WHOLE = "records that are not whole"
OTHER_RECORD = "record that training cannot read"
EXIF = "EXIF orientation that viewers follow and training ignores"


@dataclasses.dataclass
class Sample(Generic[Content]):
    """One image.

    Attributes:
        place: Which.
        size: Its annotated height and width.
        encoded: The bytes of the image file, checked; None if they are of no use.
        content: What is annotated; None if that is of no use.
        faults: What is of no use.
        orientation: EXIF's.
        fingerprint: See `duplicates`.
    """

    place: Place
    size: tuple[int, int] = (0, 0)
    encoded: bytes | None = None
    content: Content | None = None
    faults: list[Unusable] = dataclasses.field(default_factory=list)
    orientation: int = 1
    fingerprint: tuple[bytes, int, bytes] | None = None

    def pixels(self) -> np.ndarray:
        """The image as it is stored, RGB. Raises `ValueError` if it is of no use."""
        if self.encoded is None:
            raise ValueError(f"{self.place} is of no use.")
        return np.asarray(decode_image(self.encoded))

    def annotated(self) -> Content:
        """What is annotated. Raises `ValueError` if it is of no use."""
        if self.content is None:
            raise ValueError(f"{self.place} is of no use.")
        return self.content

    def look(self) -> None:
        """Fills in what the bytes say."""
        if self.encoded is not None:
            self.fingerprint = fingerprint(self.encoded)
            header = picture_headers.read_header(io.BytesIO(self.encoded))
            self.orientation = header.orientation if header else 1


class Source(abc.ABC, Generic[Content]):
    """A data set.

    Attributes:
        name: What the user called it.
        total: How many images it has, if that is known.
        notes: Sentences for the report.
    """

    name: str
    total: int | None = None
    notes: Sequence[str] = ()

    @abc.abstractmethod
    def items(self, findings: Findings) -> Iterator[tuple[int, Any]]:
        """Yields what `read` reads, with its place; adds what cannot be listed."""

    @abc.abstractmethod
    def read(self, position: int, item: Any) -> Sample[Content]:
        """Reads one image; called by several threads."""

    def samples(self, findings: Findings) -> Iterator[Sample[Content]]:
        """All images in their order, with a progress bar."""

        def read(item: tuple[int, Any]) -> Sample[Content]:
            sample = self.read(*item)
            sample.look()
            return sample

        with Progress(self.total, "Inspecting") as progress:
            for _, sample in read_ahead(self.items(findings), read):
                yield sample.result()
                progress.advance()

    def fetch(self, positions: Collection[int]) -> dict[int, Sample[Content]]:
        """Reads some images again."""
        ignored = Findings(0)
        return {
            position: self.read(position, item)
            for position, item in self.items(ignored)
            if position in positions
        }


class AnnotationFile(Protocol):
    """What the readers of annotation files return."""

    @property
    def images(self) -> Sequence[ImageEntry]:
        """In the order of the file."""

    @property
    def warnings(self) -> Sequence[str]:
        """What looks odd but is used."""


class Annotated(Source[Content]):
    """COCO annotations and their images."""

    def __init__(self, options: Options, content: AnnotationFile):
        """Takes what a reader found. Raises `ConversionError` without the images."""
        self.name = options.annotations or ""
        self._image_dir = options.image_dir
        self._rules = options.rules
        require_folder(self._image_dir, "image folder")
        self._images = content.images
        self.notes = content.warnings
        self.total = len(content.images)

    @abc.abstractmethod
    def content_of(self, image: ImageEntry) -> Content:
        """What is annotated of an image."""

    def items(self, findings: Findings) -> Iterator[tuple[int, ImageEntry]]:
        del findings
        yield from enumerate(self._images)

    def read(self, position: int, item: ImageEntry) -> Sample[Content]:
        place = Place(position, item.file_name, item.id)
        sample = Sample[Content](place, (item.height, item.width))
        sample.content = self.content_of(item)
        try:
            sample.encoded = read_annotated_image(item, self._image_dir, self._rules)
        except Unusable as fault:
            sample.faults.append(fault)
            # Pictures that lie on their side often are why.
            with contextlib.suppress(Unusable):
                rules = self._rules
                path = path_below(self._image_dir, item.file_name, rules.allow_outside)
                header = pictures.look_at(path)
                sample.orientation = header.orientation if header else 1
        return sample


class Records(Source[Content]):
    """Records, as `match_files` finds them.

    Attributes:
        size_from: What says the size of an image, as a message begins.
    """

    size_from: ClassVar[str] = "the record says"

    def __init__(self, pattern: str):
        """Opens nothing yet. Raises `UserError` if there are no such files."""
        self.name = pattern
        self.files = find_records(pattern)
        # A graph parses ten times as fast as TensorFlow does step by step.
        self._parse_quickly = tf.function(
            self.parse, [tf.TensorSpec([], tf.string)], autograph=False
        )

    @abc.abstractmethod
    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a record, its image as `encoded`; fails where training does."""

    @abc.abstractmethod
    def fill(
        self, sample: Sample[Content], record: Mapping[str, Any], serialized: bytes
    ) -> None:
        """Fills in what a parsed record says, but for the image.

        Raises `ValueError`, with a sentence, at what is of no use.
        """

    def items(self, findings: Findings) -> Iterator[tuple[int, Any]]:
        for sentence in sets.faults(self.name, reads=False):
            findings.add(NOT_WHOLE, Finding(sentence))
        position = 0
        for path in self.files:
            try:
                for number, serialized in enumerate(read_serialized(path), 1):
                    yield position, (f"{path}: record {number}", serialized)
                    position += 1
            except RecordError as error:
                findings.add(
                    NOT_WHOLE,
                    Finding(f"{error.message} What follows in it is not inspected."),
                )

    def read(self, position: int, item: Any) -> Sample[Content]:
        source, serialized = item
        name = text(features_of(serialized)[examples.IMAGE_FILENAME]) or source
        sample = Sample[Content](Place(position, name))
        try:
            parsed = self._parse_quickly(serialized)
            record = {key: value.numpy() for key, value in parsed.items()}
            self.fill(sample, record, serialized)
        except tf.errors.InvalidArgumentError:
            sample.faults.append(misfit(source, lambda: self.parse(serialized)))
        except ValueError as error:
            sample.faults.append(Unusable(OTHER_RECORD, f"{source}: {error}"))
        else:
            check_image(sample, record["encoded"], source, self.size_from)
        return sample


def find_records(pattern: str) -> Sequence[str]:
    """The files that a pattern, or several with commas, match. Raises `UserError`."""
    try:
        files = names.match(names.patterns_of(pattern))
    except tf.errors.OpError:
        files = []
    if not files:
        raise UserError(
            f"--records={pattern} matches no file; give a path or a pattern in quotes, "
            "such as 'records/train-*'."
        )
    return files


def features_of(serialized: bytes) -> Any:
    """The features of a record by name; none if it is damaged."""
    try:
        return tf.train.Example.FromString(serialized).features.feature
    except DecodeError:
        return tf.train.Example().features.feature


def text(feature: tf.train.Feature) -> str:
    """The text in a feature of a record, or ""."""
    values = feature.bytes_list.value
    return values[0].decode("utf-8", "replace") if values else ""


def misfit(source: str, parse: Callable[[], object]) -> Unusable:
    """The fault of a record that a parser refuses, run eagerly.

    In graphs its sentence is lost among names of operations.
    """
    sentence = "it cannot be read."
    try:
        parse()
    except tf.errors.InvalidArgumentError as error:
        sentence = sentence_of(error)
    return Unusable(OTHER_RECORD, f"{source}: {sentence}")


def check_image(sample: Sample[Any], encoded: bytes, source: str, other: str) -> None:
    """Fills in the bytes of a record's image, if they are of any use.

    `other` begins what a message says of the sample's size: "the record says".
    """
    try:
        _, height, width = check_encoded(encoded, f"{source} ({sample.place})")
    except Unusable as fault:
        sample.faults.append(fault)
        return
    if (height, width) == sample.size:
        sample.encoded = encoded
        return
    sample.faults.append(
        Unusable(
            "wrong image size",
            f"{source}: {sample.place} is {width}x{height} pixels, but {other} "
            f"{sample.size[1]}x{sample.size[0]} (width x height).",
        )
    )


class FoundFaults(Faults):
    """What the reader of an annotation file cannot use becomes findings."""

    def __init__(self, findings: Findings):
        """Starts without a fault."""
        super().__init__("skip")
        self._findings = findings

    def report(self, fault: Unusable, entry: EntryRef | None = None) -> None:
        """Adds a finding."""
        is_of_annotation = entry is not None and entry.group == "annotations"
        number = entry.id if entry and is_of_annotation else None
        self._findings.add(fault.kind, Finding(fault.sentence, annotation_id=number))


class ImageStatistics:
    """Counts images and finds what is wrong with them."""

    def __init__(self) -> None:
        """Starts without images."""
        self.count = 0
        self.unusable = 0
        self._widths, self._heights = Distribution(), Distribution()
        self._turned = 0
        self._duplicates = Duplicates()

    def add(self, sample: Sample[Any], findings: Findings, exif: str | None) -> None:
        """Takes one more; `exif` says whether orientations have been heeded."""
        self.count += 1
        self.unusable += sample.encoded is None
        for fault in sample.faults:
            findings.add(fault.kind, Finding(fault.sentence, sample.place))
        by = sample.orientation
        self._turned += by != 1
        if by != 1 and exif is None:
            told = f"{sample.place} has the orientation {by}{_fitting_rule(sample)}."
            findings.add(EXIF, Finding(told, sample.place))
        if sample.encoded is None:
            return
        self._heights.add([sample.size[0]])
        self._widths.add([sample.size[1]])
        if sample.fingerprint:
            self._duplicates.add(sample.place, sample.fingerprint)

    def section(self, findings: Findings, counts: Mapping[str, int]) -> Section:
        """What there is to say at the end; `counts` are the kind's own."""
        self._duplicates.report(findings)
        return Section(
            "images",
            {
                "images": self.count,
                "of these of no use to training": self.unusable,
                **counts,
                "with an EXIF orientation other than 1": self._turned,
            },
            {"width": self._widths, "height": self._heights},
        )


def _fitting_rule(sample: Sample[Any]) -> str:
    """For which --exif of the converters the annotated size speaks."""
    height, width = sample.size
    if sample.orientation < 5 or height == width:
        return ""
    rule = "apply" if sample.encoded is None else "ignore"
    return f"; its annotated size speaks for --exif={rule}"
