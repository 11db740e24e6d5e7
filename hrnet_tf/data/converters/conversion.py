"""The loop of every converter: encode, write, count faults.

A fault of one image or annotation is an `Unusable`; `Faults` lets the first one end
the conversion, or counts them. Threads make the records of the items ahead of what is
written, in order; other processes, and workers of Beam, write whole files. The records
are the same, and the files, to the byte.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import tensorflow as tf

from hrnet_tf.beam import BeamOptions
from hrnet_tf.data.converters import beam_pipeline, process_pool
from hrnet_tf.data.converters.command import IMAGES_PER_SHARD, LEAST_SHARDS
from hrnet_tf.data.converters.encoder import Orientations, RecordEncoder, Tally
from hrnet_tf.data.converters.reading_ahead import read_ahead
from hrnet_tf.data.converters.shard_work import ShardWork, in_turn
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.images import ImageRules
from hrnet_tf.data.records import conversions, names
from hrnet_tf.data.records.conversions import Choices, Shard
from hrnet_tf.data.records.writing import (
    RecordSet,
    RecordShards,
    check_output_prefix,
)
from hrnet_tf.input_files import MAX_PIXELS
from hrnet_tf.progress import Progress

Item = TypeVar("Item")

_NO_CHOICES = Choices()


class RecordConversion:
    """Writes PREFIX-00000-of-0000N.tfrecord, all files or none; counts `faults`."""

    def __init__(
        self,
        output_prefix: str,
        *,
        num_shards: int | None = None,
        num_processes: int = 1,
        beam: BeamOptions | None = None,
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
        self._num_processes = num_processes
        self._beam = beam
        self._stops = on_error == "fail"
        self._overwrite = overwrite
        self._outcome: dict[str, Any] = {}

    def write_records(
        self,
        items: Sequence[Item],
        encoder: RecordEncoder[Item],
        tally: Tally[Item] | None = None,
        choices: Choices = _NO_CHOICES,
    ) -> list[Item]:
        """Writes a record for each item, in order; returns the items that were written.

        `choices` are kept for evaluations.
        Raises `ConversionError` if the first fault ends the conversion, all items were
        skipped, or --exif is missing, `OutputError` if another process writes records
        of this prefix, `WorkerError` if a process was killed, and `BeamError` if a
        pipeline failed.
        """
        counts = _Counts(encoder, tally or Tally(), self.faults)
        is_shared = self._beam or self._num_processes > 1
        write = self._write_in_pieces if is_shared else self._write_here
        self._outcome["files"] = write(items, counts, choices)
        self._outcome["images"] = len(counts.written)
        if self.faults.left_out or choices.area_from or choices.category_ids:
            self._outcome["description"] = conversions.path_of(self._prefix)
        return counts.written

    def outcome(self) -> dict[str, Any]:
        """What every `ConversionSummary` tells, once the records are written."""
        return {
            **self._outcome,
            "skipped": dict(self.faults.counts),
            "faults": self.faults.sentences,
        }

    def _write_here(
        self, items: Sequence[Item], counts: "_Counts[Item]", choices: Choices
    ) -> list[str]:
        looked = read_ahead(items, counts.encoder.orientations)
        self._judge_orientations(found.result() for _, found in looked)
        num_shards = self._count_shards(len(items))
        with (
            RecordShards(self._prefix, num_shards, self._overwrite) as shards,
            Progress(len(items), "Converting") as progress,
        ):
            for item, made in read_ahead(items, counts.encoder.encode):
                try:
                    encoded = made.result()
                except Unusable as fault:
                    shards.skip()
                    counts.skip(item, fault)
                    progress.advance(skipped=self.faults.counts.total())
                else:
                    shards.write(encoded.record)
                    counts.add(item, encoded.facts)
                    progress.advance()
            counts.check(len(items))
            shards.publish(lambda files: self._describe(choices, files))
        return shards.files

    def _write_in_pieces(
        self, items: Sequence[Item], counts: "_Counts[Item]", choices: Choices
    ) -> list[str]:
        with RecordSet(self._prefix, self._overwrite) as files:
            work = ShardWork(
                files.folder,
                self._count_shards(len(items)),
                len(items),
                self._stops,
                num_threads=None if self._beam else 1,
            )
            work.prepare(counts.encoder, items)
            if self._beam:
                beam_pipeline.run(work, self._beam, files.close)
            else:
                process_pool.run(work, self._num_processes, len(items))
            results = work.results()
            self._judge_orientations(in_turn([r.orientations for r in results]))
            outcomes = in_turn([result.outcomes for result in results])
            for item, outcome in zip(items, outcomes, strict=False):
                if outcome.fault:
                    counts.skip(item, outcome.fault)
                else:
                    counts.add(item, outcome.facts)
            counts.check(len(items))
            shards = [result.shard for result in results if result.shard]
            files.publish_files(shards, lambda files: self._describe(choices, files))
        return files.files

    def _describe(self, choices: Choices, files: list[Shard]) -> str:
        return conversions.describe(choices, self.faults.left_out, files)

    def _judge_orientations(self, found: Iterable[Orientations]) -> None:
        """Counts image files with an orientation, or refuses to guess."""
        turned = [one for some in found for one in some]
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


class _Counts(Generic[Item]):
    """What becomes of the items, in their order, whoever worked on them."""

    def __init__(
        self, encoder: RecordEncoder[Item], tally: Tally[Item], faults: Faults
    ):
        self.encoder = encoder
        self.written: list[Item] = []
        self._tally = tally
        self._faults = faults

    def add(self, item: Item, facts: Any) -> None:
        self._tally.add(item, facts)
        self.written.append(item)

    def skip(self, item: Item, fault: Unusable) -> None:
        self._faults.report(fault, self.encoder.entry_of(item))

    def check(self, num_items: int) -> None:
        """Refuses what should not appear. Raises `ConversionError`."""
        if not self.written:
            raise ConversionError(
                f"All {num_items} images were skipped, so nothing is written; the "
                f"first fault: {self._faults.sentences[0]}"
            )
        self._tally.check()


def require_folder(path: str, name: str = "folder") -> None:
    """Refuses a folder that does not exist. Raises `ConversionError`."""
    if not tf.io.gfile.isdir(path):
        raise ConversionError(f"The {name} {path} does not exist.")
