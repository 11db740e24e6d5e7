"""Names of the files of a set of records: PREFIX-00000-of-0000N.tfrecord."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.input_files import is_text, names_in

# Other people's sets have other endings, or numbers of more digits.
_SHARD = re.compile(r"(.*)-([0-9]{5,})-of-([0-9]{5,})([^/]*)", re.DOTALL)
_SUFFIX = ".tfrecord"

_ADDRESS_AND_REST = re.compile("([^:/]+://)?(.*)", re.DOTALL)


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
    """All files of sets in the folder of an output prefix.

    Their paths begin as the prefix does, however it is spelled.
    """
    folder, beginning = os.path.split(prefix)
    if not tf.io.gfile.isdir(folder or "."):
        return []
    paths = [prefix.removesuffix(beginning) + found for found in names_in(folder)]
    return [(path, name) for path in paths if (name := parse(path))]


def normalized(prefix: str) -> str:
    """An output prefix without doubled slashes, which patterns do not match."""
    address, rest = _ADDRESS_AND_REST.fullmatch(prefix).groups()  # type: ignore[union-attr]
    return (address or "") + re.sub("/+", "/", rest)


def patterns_of(input_path: Any) -> list[str]:
    """The patterns of a configured `input_path`, which commas may separate."""
    texts = [input_path] if isinstance(input_path, str) else input_path
    if not isinstance(texts, (list, tuple)):
        return []
    return [text for text in map(str.strip, ",".join(texts).split(",")) if text]


def is_pattern(text: str) -> bool:
    """Whether the Garden's input reader takes a text for a pattern, or for a name."""
    return "*" in text or "?" in text


def files_of(data: cfg.DataConfig) -> list[str]:
    """The files that some data is read from."""
    paths = data.input_path
    if isinstance(paths, hyperparams.Config):
        paths = [
            pattern
            for some in paths.as_dict().values()
            for pattern in patterns_of(some)
        ]
    files = []
    for pattern in patterns_of(paths):
        # A name whose file is gone is a culprit, too.
        files += match([pattern]) if is_pattern(pattern) else [pattern]
    return files


def match(patterns: Sequence[str]) -> list[str]:
    """The files that patterns match, as the Garden's input reader finds them.

    Raises `tf.errors.OpError` if a folder cannot be looked into, or if names that match
    are no text.
    """
    return [path for pattern in patterns for path in _match(pattern)]


def _match(pattern: str) -> list[str]:
    if not is_text(pattern):
        raise tf.errors.InvalidArgumentError(None, None, "it is no UTF-8 text")
    try:
        if is_pattern(pattern):
            return sorted(tf.io.gfile.glob(pattern))
    except UnicodeDecodeError:
        raise tf.errors.InvalidArgumentError(
            None, None, "it matches names of files that are no UTF-8 text; rename them"
        ) from None
    return [pattern] * tf.io.gfile.exists(pattern)
