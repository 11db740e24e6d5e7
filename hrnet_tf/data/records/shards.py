"""Reads TFRecords outside input pipelines, and names the file and record at fault."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.lib.io import _pywrap_record_io, tf_record

from hrnet_tf.input_files import MISSING, InputFileError, check_input
from hrnet_tf.messages import UserError, one_line


class RecordError(UserError):
    """A file that does not hold the expected records."""


# What to do about damaged records of any kind.
AGAIN = "convert the data again with --overwrite"

# What an assertion says, and TensorFlow adds to it.
ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?= \[|$)")

# The bytes at the beginning of a record that tell how many follow.
_LENGTH = 8


def check_first_record(
    files: Sequence[str], parse: Callable[[tf.Tensor], object], advice: str
) -> None:
    """Parses the first record, so that a wrong file is found before the first step.

    `parse` raises `tf.errors.InvalidArgumentError` for other records, and `advice` says
    what to do about a damaged file. Raises `RecordError`.
    """
    for path in files:
        check_is_file(path)
    try:
        for serialized in itertools.chain.from_iterable(map(read_serialized, files)):
            parse(tf.constant(serialized))
            return
    except RecordError as error:
        raise RecordError(
            f"{files[0]} is damaged or not a TFRecord file: {advice}."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        raise RecordError(f"{files[0]}: {sentence_of(error)}") from error
    raise RecordError(f"{files[0]} and all files beside it hold no record.")


def sentence_of(error: tf.errors.OpError) -> str:
    """What an assertion that failed says, or another message on one line."""
    message = one_line(error.message)
    assertion = ASSERTION.search(message)
    return assertion.group(1) if assertion else message


def read_examples(
    files: Sequence[str], is_compressed: bool = False
) -> Iterator[tf.train.Example]:
    """Yields the records of files without starting TensorFlow's runtime.

    Where several workers train together, their strategy must be what starts it, so that
    nothing may use tf.data before. Raises `RecordError` at what cannot be read.
    """
    read = _read_compressed if is_compressed else read_serialized
    for path in files:
        for number, serialized in enumerate(read(path), 1):
            try:
                yield tf.train.Example.FromString(serialized)
            except DecodeError as error:
                raise damaged(
                    path, number, "it is no tf.train.Example", is_readable=True
                ) from error


def read_serialized(path: str) -> Iterator[bytes]:
    """Yields the records of a file as they are; see `read_examples`."""
    number, offset = 1, 0
    try:
        check_is_file(path)
        size = tf.io.gfile.stat(path).length
        reader = tf_record.tf_record_random_reader(path)
        with tf.io.gfile.GFile(path, "rb") as file:
            # The reader takes less than the beginning of a record for the end of the
            # file, and ends the process where it finds no memory for a length.
            while offset < size:
                if _length_at(file, offset) > size - offset:
                    raise IndexError
                serialized, offset = reader.read(offset)
                yield serialized
                number += 1
    except IndexError as error:
        raise damaged(path, number, "the file ends within it") from error
    except tf.errors.DataLossError as error:
        raise damaged(path, number, one_line(error.message)) from error
    except tf.errors.OpError as error:
        raise RecordError(
            f"{path}: record {number} cannot be read ({one_line(error.message)}); "
            f"{AGAIN}."
        ) from error


def _length_at(file: tf.io.gfile.GFile, offset: int) -> int:
    """The bytes of a record that begins at an offset, as far as its length is whole."""
    file.seek(offset)
    return int.from_bytes(file.read(_LENGTH), "little")


def _read_compressed(path: str) -> Iterator[bytes]:
    """Yields the records of a file that gzip has compressed; see `read_examples`."""
    number = 1
    check_is_file(path)
    try:
        for serialized in _pywrap_record_io.RecordIterator(path, "GZIP"):
            yield serialized
            number += 1
    except tf.errors.OpError as error:
        raise damaged(path, number, one_line(error.message)) from error


def is_compressed(path: str) -> bool | None:
    """Whether records of a file can be read after gzip; None if in neither way."""
    for compresses, read in ((False, read_serialized), (True, _read_compressed)):
        with contextlib.suppress(RecordError):
            if next(read(path), None) is not None:
                return compresses
    return None


def check_is_file(path: str) -> None:
    """Raises `RecordError` at folders, and at pipes, in which readers would wait.

    Files that are missing are left to the readers.
    """
    if tf.io.gfile.isdir(path):
        raise RecordError(f"{path} is a folder, not a TFRecord file: correct the path.")
    try:
        check_input(path)
    except InputFileError as error:
        if error.fault != MISSING:
            raise RecordError(error.message) from None


def damaged(
    path: str, number: int, reason: str, is_readable: bool = False
) -> RecordError:
    """The error about one record of a file; the first one has the number 1."""
    if number == 1 and not is_readable:
        reason += ", or the file is no TFRecord file"
    return RecordError(f"{path}: record {number} is damaged ({reason}); {AGAIN}.")
