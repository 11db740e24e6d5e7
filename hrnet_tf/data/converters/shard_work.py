"""A conversion in pieces that any machine can do: one for each file of records.

Machines and their parent share one folder, the hidden one of the set of records. There
lie the encoder and the items of each piece, pickled, before the work; and after it, for
each piece, its file of records and its result. A piece may be done twice, as when a
machine was lost: the result that was renamed last counts, and names its own file.
"""

import dataclasses
import os
import pickle
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from hrnet_tf.data.converters.encoder import Orientations, RecordEncoder
from hrnet_tf.data.converters.reading_ahead import read_ahead
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.records.writing import HiddenShard, hidden_shard
from hrnet_tf.input_files import names_in


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an item: a fault, or facts about its record."""

    fault: Unusable | None = None
    facts: Any = None


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What became of one piece.

    Attributes:
        shard: Its file; None if no item became a record.
        outcomes: Of its items, in order; fewer if the first fault ended the work.
        orientations: Of its items, in order.
    """

    shard: HiddenShard | None
    outcomes: list[Outcome]
    orientations: list[Orientations]


@dataclasses.dataclass(frozen=True)
class Done:
    """What whoever deals out pieces is told of one.

    Attributes:
        num_items: How many items it was about.
        num_faults: How many of them have a fault.
        end: The place among all items from which on nobody will want records.
    """

    num_items: int
    num_faults: int
    end: int


@dataclasses.dataclass(frozen=True)
class ShardWork:
    """The pieces of a conversion; items go round the shards in turn.

    Attributes:
        folder: What all who work on it share.
        num_shards: How many pieces there are.
        num_items: How many items there are.
        stops: Whether the first fault ends a piece.
        num_threads: How many work on a piece; by default one for each core.
    """

    folder: str
    num_shards: int
    num_items: int
    stops: bool
    num_threads: int | None = None

    def prepare(self, encoder: RecordEncoder, items: Sequence[Any]) -> None:
        """Lays out what the pieces need."""
        self._dump("encoder", encoder)
        for shard in range(self.num_shards):
            self._dump(f"{shard:05d}.items", items[shard :: self.num_shards])

    def write(self, shard: int, end: int | None = None) -> Done:
        """Does one piece, but for items whose place among all is `end` or later."""
        encoder, items = self._load("encoder"), self._load(f"{shard:05d}.items")
        end = self.num_items if end is None else end
        looked = read_ahead(items, encoder.orientations, self.num_threads)
        orientations = [found.result() for _, found in looked]
        if any(orientations) and encoder.rules.exif is None:
            end = 0
        name = f"{shard:05d}.{secrets.token_hex(8)}"
        path = self._path(name)
        wanted = len(range(shard, end, self.num_shards))
        outcomes = self._write_records(path, encoder, items[:wanted])
        num_faults = sum(outcome.fault is not None for outcome in outcomes)
        count = len(outcomes) - num_faults
        written = hidden_shard(path, count) if count else None
        self._dump(f"{name}.result", ShardResult(written, outcomes, orientations))
        done = self._path(_done(shard))
        tf.io.gfile.rename(f"{path}.result", done, overwrite=True)
        if self.stops and num_faults:
            end = shard + (len(outcomes) - 1) * self.num_shards
        return Done(len(items), num_faults, end)

    def _write_records(
        self, path: str, encoder: RecordEncoder, items: Sequence[Any]
    ) -> list[Outcome]:
        outcomes = []
        with tf.io.TFRecordWriter(path) as writer:
            for _, made in read_ahead(items, encoder.encode, self.num_threads):
                try:
                    encoded = made.result()
                except Unusable as fault:
                    outcomes.append(Outcome(fault))
                    if self.stops:
                        break
                else:
                    writer.write(encoded.record)
                    outcomes.append(Outcome(facts=encoded.facts))
        return outcomes

    def num_done(self) -> int:
        """How many pieces are done."""
        return sum(name.endswith(".done") for name in names_in(self.folder))

    def results(self) -> list[ShardResult]:
        """What became of all pieces, in the order of the shards.

        Raises `ConversionError` if some left nothing here.
        """
        missing = [
            shard
            for shard in range(self.num_shards)
            if not tf.io.gfile.exists(self._path(_done(shard)))
        ]
        if missing:
            raise ConversionError(
                f"{len(missing)} of {self.num_shards} files of records were not "
                f"written into {os.path.dirname(self.folder) or '.'}: --output_prefix "
                "must be where all workers and this process read and write, such as "
                "gs:// or a network drive. Nothing was written."
            )
        return [self._load(_done(shard)) for shard in range(self.num_shards)]

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _dump(self, name: str, content: Any) -> None:
        with tf.io.gfile.GFile(self._path(name), "wb") as file:
            file.write(pickle.dumps(content))

    def _load(self, name: str) -> Any:
        with tf.io.gfile.GFile(self._path(name), "rb") as file:
            return pickle.loads(file.read())


def _done(shard: int) -> str:
    """The name of a piece's result."""
    return f"{shard:05d}.done"


def in_turn(lists: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """Yields the elements of the shards in the order of the items, while there are."""
    iterators = list(map(iter, lists))
    while True:
        for iterator in iterators:
            try:
                yield next(iterator)
            except StopIteration:
                return
