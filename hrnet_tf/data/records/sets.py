"""Whether sets of records are whole: no file missing, cut, exchanged or unfinished.

Names say how many files a set has, and the description beside it (conversions.py) what
they are. Small sets are read to the end, and compared with their checksums; of larger
ones the sizes are compared, and the input pipeline notices the rest.

What a configuration may leave out: files that it names one by one are taken as they
are, and a pattern with * or ? may match some files of a set; but all must be there.
"""

import collections
import concurrent.futures
import functools
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records import conversions, names
from hrnet_tf.data.records.conversions import Shard
from hrnet_tf.data.records.names import ShardName
from hrnet_tf.data.records.shards import (
    AGAIN,
    RecordError,
    check_is_file,
    read_serialized,
)
from hrnet_tf.data.records.writing import sha256_of
from hrnet_tf.messages import listed

_log = logging.getLogger(__name__)

# Sets of so many bytes are read before a run, in some seconds.
_READ_WHOLE = 1 << 30

_THREADS = 16

# How many missing files a sentence names.
_LISTED = 3

# How to read a set that is not whole all the same.
_ONE_BY_ONE = "to read the others alone, name them one by one, without * and ?"


def faults(input_path: Any, reads: bool = True) -> Iterator[str]:
    """Yields a sentence about each fault of the records that patterns match.

    `reads` is false for files that are compressed, or no TFRecord files at all. That a
    pattern matches nothing is no fault of records. Raises `tf.errors.OpError` if a
    folder cannot be looked into.
    """
    matched = {
        pattern: names.match([pattern]) for pattern in names.patterns_of(input_path)
    }
    found: list[str] = []
    shards: dict[str, Shard | None] = {}
    for prefix, files in _by_prefix(matched.values()).items():
        shards |= dict.fromkeys(files)
        try:
            shards |= _described(prefix, files) if prefix else {}
        except RecordError as error:
            found.append(error.message)
    # Where an unfinished set is told of, what it lacks is no news.
    if not found:
        for pattern, files in matched.items():
            if names.is_pattern(pattern):
                found += _copies(pattern, files) or _incomplete_sets(pattern, files)
    yield from dict.fromkeys(found) if found else _damaged_files(shards, reads)


def _copies(pattern: str, files: Sequence[str]) -> list[str]:
    """Tells of copies beside a set, such as NAME.tfrecord.bak or NAME (1).tfrecord."""
    parsed = {path: name for path in files if (name := names.parse(path))}
    endings: dict[tuple[str, int], set[str]] = collections.defaultdict(set)
    for name in parsed.values():
        endings[name.prefix, name.count].add(name.suffix)
    found = []
    for path, name in parsed.items():
        ending = min(endings[name.prefix, name.count], key=len)
        if name.suffix != ending:
            found.append(
                f"{pattern!r} matches {path}, too, which is named like a copy: remove "
                f"it, or end the pattern with -of-{name.count:05d}{ending}."
            )
    return found


def _incomplete_sets(pattern: str, files: Sequence[str]) -> Iterator[str]:
    """Sets that a pattern matches of which files are missing, or of two conversions."""
    sets: dict[tuple[str, int, str], set[int]] = collections.defaultdict(set)
    for name in filter(None, map(names.parse, files)):
        sets[name.set_of].add(name.place)
    for (prefix, count, suffix), places in sets.items():
        there = {
            name.place
            for _, name in names.files_beside(prefix)
            if name.set_of == (prefix, count, suffix)
        }
        missing = (place for place in range(count) if place not in there)
        first = [
            str(ShardName(prefix, place, count, suffix))
            for place in itertools.islice(missing, _LISTED)
        ]
        if first:
            more = count - len(there) - len(first)
            rest = f" and {more} more are" if more > 0 else _are(first)
            yield (
                f"{pattern!r} matches {len(places)} of {count} files: "
                f"{', '.join(first)}{rest} missing. Bring what is missing, or {AGAIN}; "
                f"{_ONE_BY_ONE}."
            )
        elif max(there) >= count:
            beyond = ShardName(prefix, max(there), count, suffix)
            yield f"{beyond} has a number beyond those of its set: remove it."
        elif len(places) < count:
            _log.info(
                "%r matches %d of %d files of %s; the others are not read.",
                *(pattern, len(places), count, prefix),
            )
    for one, other in itertools.pairwise(sorted(sets)):
        if (one[0], one[2]) == (other[0], other[2]):
            yield (
                f"{pattern!r} matches files of two conversions to {one[0]}, of "
                f"{one[1]} files and of {other[1]}: remove the older files, or {AGAIN}."
            )


def _are(names: Sequence[str]) -> str:
    return " is" if len(names) == 1 else " are"


def _by_prefix(matched: Iterable[Sequence[str]]) -> dict[str | None, list[str]]:
    """Files by the output prefix that one of our converters can have been given."""
    by_prefix: dict[str | None, list[str]] = collections.defaultdict(list)
    for path in itertools.chain.from_iterable(matched):
        name = names.parse(path)
        by_prefix[name.prefix_of_ours if name else None].append(path)
    return by_prefix


def _described(prefix: str, files: Sequence[str]) -> dict[str, Shard]:
    """What the description of a conversion says of files, if there is one.

    Raises `RecordError` if they are unfinished, or not of this conversion.
    """
    try:
        conversion = conversions.read(prefix)
    except ConversionError as error:
        raise RecordError(error.message) from None
    if conversion.writer:
        raise RecordError(
            f"{files[0]} and the files beside it are unfinished, as {conversion.path} "
            "says: a converter is at work, or was interrupted. Wait for it, or convert "
            "the data again."
        )
    if not conversion.shards:
        return {}
    strange = [f for f in files if os.path.basename(f) not in conversion.shards]
    if strange:
        raise RecordError(
            f"{listed(strange)}{_are(strange)} not of the conversion that "
            f"{conversion.path} describes: remove what is not, or {AGAIN}."
        )
    return {path: conversion.shards[os.path.basename(path)] for path in files}


def _damaged_files(shards: Mapping[str, Shard | None], reads: bool) -> Iterator[str]:
    """Compares files with their descriptions, or at least looks into them."""
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(_size_of, shards))
        total = sum(size for size in sizes if isinstance(size, int))
        check = functools.partial(_fault, reads=reads and total <= _READ_WHOLE)
        yield from filter(None, pool.map(check, shards.items(), sizes))


def _size_of(path: str) -> int | str:
    """The size in bytes, or what is wrong."""
    try:
        check_is_file(path)
        return tf.io.gfile.stat(path).length
    except RecordError as error:
        return error.message
    except tf.errors.OpError as error:
        return f"{path} cannot be looked at: {error.message}."


def _fault(item: tuple[str, Shard | None], size: int | str, reads: bool) -> str | None:
    """What is wrong with one file; `reads` says to look at all of it."""
    path, shard = item
    if isinstance(size, str):
        return size
    if size == 0:
        return f"{path} is empty: {AGAIN}; if it is meant to be, {_ONE_BY_ONE}."
    if shard and size != shard.size:
        return _difference(path, shard, f"{size} bytes, not {shard.size}")
    if reads and not shard:
        return _unreadable(path)
    if reads and shard and sha256_of(path) != shard.sha256:
        return _difference(path, shard, "another checksum")
    return None


def _difference(path: str, shard: Shard, what: str) -> str:
    """Names the record at fault in a file that is not as its converter left it."""
    found = _unreadable(path)
    if found:
        return found
    count = sum(1 for _ in read_serialized(path))
    return (
        f"{path} has {what}, and {count} records of {shard.records}: it was cut or "
        f"changed after the conversion; {AGAIN}."
    )


def _unreadable(path: str) -> str | None:
    """The sentence about the first record that cannot be read."""
    try:
        for _ in read_serialized(path):
            pass
    except RecordError as error:
        return error.message
    return None
