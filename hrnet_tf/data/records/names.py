"""Names of the files of a set of records: PREFIX-00000-of-0000N.tfrecord."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# Other people's sets have other endings, or numbers of more digits.
_SHARD = re.compile(r"(.*)-([0-9]{5,})-of-([0-9]{5,})([^/]*)", re.DOTALL)
_SUFFIX = ".tfrecord"


@dataclasses.dataclass(frozen=True)
class ShardName:
    """The path of one file of a set, in its pieces."""

    prefix: str
    place: int
    count: int
    suffix: str

    @property
    def prefix_of_ours(self) -> str | None:
        """The output prefix that one of our converters can have been given."""
        return self.prefix if self.suffix == _SUFFIX else None

    @property
    def set_of(self) -> tuple[str, int, str]:
        """What all files of a set share."""
        return self.prefix, self.count, self.suffix

    def __str__(self) -> str:
        return f"{self.prefix}-{self.place:05d}-of-{self.count:05d}{self.suffix}"


def parse(path: str) -> ShardName | None:
    """The pieces of a path, or None if it is not named as one file of a set."""
    match = _SHARD.fullmatch(path)
    if not match:
        return None
    prefix, place, count, suffix = match.groups()
    return ShardName(prefix, int(place), int(count), suffix)


def shard_path(prefix: str, place: int, count: int) -> str:
    """The path of one file that a converter writes."""
    return str(ShardName(prefix, place, count, _SUFFIX))


def existing_files(prefix: str) -> list[str]:
    """All files that a converter with this output prefix would replace."""
    return sorted(
        path for path, name in files_beside(prefix) if name.prefix_of_ours == prefix
    )


def files_beside(prefix: str) -> list[tuple[str, ShardName]]:
    """All files of sets in the folder of an output prefix."""
    folder = os.path.dirname(prefix)
    if not tf.io.gfile.isdir(folder or "."):
        return []
    paths = [os.path.join(folder, name) for name in tf.io.gfile.listdir(folder or ".")]
    return [(path, name) for path in paths if (name := parse(path))]


def patterns_of(input_path: Any) -> list[str]:
    """The patterns of a configured `input_path`, which commas may separate."""
    texts = [input_path] if isinstance(input_path, str) else input_path
    if not isinstance(texts, (list, tuple)):
        return []
    return [text for text in map(str.strip, ",".join(texts).split(",")) if text]


def is_pattern(text: str) -> bool:
    """Whether the Garden's input reader takes a text for a pattern, or for a name."""
    return "*" in text or "?" in text


def match(patterns: Sequence[str]) -> list[str]:
    """The files that patterns match, as the Garden's input reader finds them.

    Raises `tf.errors.OpError` if a folder cannot be looked into.
    """
    return [
        path
        for pattern in patterns
        for path in (
            sorted(tf.io.gfile.glob(pattern))
            if is_pattern(pattern)
            else [pattern] * tf.io.gfile.exists(pattern)
        )
    ]
