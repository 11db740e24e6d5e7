"""The loop of every converter: read ahead, encode, write, count faults.

A fault of one image or annotation is an `Unusable`; `Faults` lets the first one end
the conversion, or counts them. Threads read and encode the images, in order.
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from hrnet_tf.data.converters.command import IMAGES_PER_SHARD, LEAST_SHARDS
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.images import ImageRules
from hrnet_tf.data.records import conversions, names
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.writing import RecordShards, check_output_prefix
from hrnet_tf.input_files import MAX_PIXELS
from hrnet_tf.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

_NO_CHOICES = Choices()


class RecordConversion:
    """Writes PREFIX-00000-of-0000N.tfrecord, all files or none; counts `faults`."""

    def __init__(
        self,
        output_prefix: str,
        *,
        num_shards: int | None = None,
        on_error: str = "fail",
        overwrite: bool = False,
        exif: str | None = None,
        max_pixels: int = MAX_PIXELS,
        allow_outside: bool = False,
    ):
        """Checks the prefix; writes nothing yet. `ConverterFlags` tells the arguments.

        Raises `OutputError` if files of this prefix exist already, or it names none.
        """
        check_output_prefix(output_prefix, overwrite)
        self.faults = Faults(on_error)
        self.rules = ImageRules(exif, max_pixels, allow_outside)
        self._prefix = names.normalized(output_prefix)
        self._num_shards = num_shards
        self._overwrite = overwrite
        self._outcome: dict[str, Any] = {}

    def write_records(
        self,
        items: Sequence[Item],
        encode: Callable[[Item], bytes],
        paths_of: Callable[[Item], Iterable[str]],
        check: Callable[[list[Item]], None] = lambda written: None,
        choices: Choices = _NO_CHOICES,
    ) -> list[Item]:
        """Writes a record for each item, in order; returns the items that were written.

        `encode` runs in several threads and may raise `Unusable`. `paths_of` tells an
        item's image files, or raises the same: `encode` is expected to heed their EXIF
        orientation. `check` may refuse everything before it appears; `choices` are kept
        for evaluations.
        Raises `ConversionError` if the first fault ends the conversion, all items were
        skipped, or --exif is missing, and `OutputError` if another process writes
        records of this prefix.
        """
        self._check_orientations(items, paths_of)
        written: list[Item] = []
        with (
            RecordShards(
                self._prefix, self._count_shards(len(items)), self._overwrite
            ) as shards,
            Progress(len(items), "Converting") as progress,
        ):
            for item, record in read_ahead(items, encode):
                try:
                    shards.write(record.result())
                except Unusable as fault:
                    entry = item.ref if isinstance(item, ImageEntry) else None
                    self.faults.report(fault, entry)
                    progress.advance(skipped=self.faults.counts.total())
                else:
                    written.append(item)
                    progress.advance()
            if not written:
                raise ConversionError(
                    f"All {len(items)} images were skipped, so nothing is written; the "
                    f"first fault: {self.faults.sentences[0]}"
                )
            check(written)
            left_out = self.faults.left_out
            shards.publish(lambda files: conversions.describe(choices, left_out, files))
        self._outcome |= {"images": len(written), "files": shards.files}
        if left_out or choices.area_from or choices.category_ids:
            self._outcome["description"] = conversions.path_of(self._prefix)
        return written

    def outcome(self) -> dict[str, Any]:
        """What every `ConversionSummary` tells, once the records are written."""
        return {
            **self._outcome,
            "skipped": dict(self.faults.counts),
            "faults": self.faults.sentences,
        }

    def _check_orientations(
        self, items: Sequence[Item], paths_of: Callable[[Item], Iterable[str]]
    ) -> None:
        """Looks into all images for orientations that need a decision."""

        def find(item: Item) -> list[tuple[str, int]]:
            try:
                looked = [(path, pictures.look_at(path)) for path in paths_of(item)]
            except Unusable:  # `encode` will tell.
                return []
            found = [(path, header.orientation) for path, header in looked if header]
            return [(path, by) for path, by in found if by != 1]

        turned = [
            found for _, some in read_ahead(items, find) for found in some.result()
        ]
        if turned and self.rules.exif is None:
            path, by = turned[0]
            raise ConversionError(
                f"{len(turned)} image files have an EXIF orientation, by which viewers "
                f"turn them; the first is {path} ({by}). Say what was annotated: "
                "--exif=apply if pictures as viewers show them, --exif=ignore if the "
                "pixels as they are stored. Nothing was written."
            )
        self._outcome["turned"] = len(turned) if self.rules.exif == "apply" else 0
        self._outcome["not_turned"] = len(turned) if self.rules.exif == "ignore" else 0

    def _count_shards(self, num_images: int) -> int:
        default = max(LEAST_SHARDS, num_images // IMAGES_PER_SHARD)
        return min(self._num_shards or default, num_images)


def read_ahead(
    items: Sequence[Item], read: Callable[[Item], Result]
) -> Iterator[tuple[Item, concurrent.futures.Future[Result]]]:
    """Yields each item with the result of `read`, which may still be on its way.

    Threads read a few items ahead; the order stays that of `items`.
    """
    num_threads = min(os.cpu_count() or 1, 16)
    pending: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(read, item)))
                if len(pending) > 4 * num_threads:
                    yield pending.popleft()
            yield from pending
        finally:
            pool.shutdown(cancel_futures=True)


def require_folder(path: str, name: str = "folder") -> None:
    """Refuses a folder that does not exist. Raises `ConversionError`."""
    if not tf.io.gfile.isdir(path):
        raise ConversionError(f"The {name} {path} does not exist.")
