"""From one example to its record: the part of a converter that any process can do.

An encoder holds what all items of a conversion share, and an item the rest; both are
pickled where other processes or machines do the work.
"""

import abc
import dataclasses
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import EntryRef, Unusable
from hrnet_tf.data.files.images import ImageRules

Item = TypeVar("Item")

# Image files with an EXIF orientation other than 1, and it.
Orientations = list[tuple[str, int]]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A serialised `tf.train.Example`, and what a `Tally` counts of it."""

    record: bytes
    facts: Any = None


class RecordEncoder(abc.ABC, Generic[Item]):
    """Makes the record of an item; called by several threads at once.

    Attributes:
        rules: How image files are read.
    """

    rules: ImageRules

    @abc.abstractmethod
    def paths_of(self, item: Item) -> Iterable[str]:
        """The item's image files. Raises `Unusable`, as `encode` does."""

    @abc.abstractmethod
    def encode(self, item: Item) -> Encoded:
        """The record, of images turned as `rules` say. Raises `Unusable`."""

    def entry_of(self, item: Item) -> EntryRef | None:
        """Where the item stands in an annotation file, if it does."""
        del item
        return None

    def orientations(self, item: Item) -> Orientations:
        """Looks into the item's image files, as far as they can be read."""
        try:
            looked = [(path, pictures.look_at(path)) for path in self.paths_of(item)]
        except Unusable:  # `encode` will tell.
            return []
        found = [(path, header.orientation) for path, header in looked if header]
        return [(path, by) for path, by in found if by != 1]


class Tally(Generic[Item]):
    """What a conversion counts of its records; the base counts nothing."""

    def add(self, item: Item, facts: Any) -> None:
        """Counts a record; called in the order of the items, in one process."""

    def check(self) -> None:
        """May refuse everything, before it appears: raises `ConversionError`."""
