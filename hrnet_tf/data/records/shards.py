"""TFRecords split over several files that appear all at once, or not at all."""

import os
import re
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.lib.io import tf_record

from hrnet_tf.messages import UserError
from hrnet_tf.output_files import OutputError


def check_output_prefix(prefix: str, overwrite: bool) -> None:
    """Refuses a prefix whose files cannot or must not be written: raises `OutputError`.

    Call it before the work, so that a mistake shows at once.
    """
    if not os.path.basename(prefix):
        raise OutputError(
            f"The output prefix {prefix!r} ends in a folder; add the beginning of the "
            "file names, e.g. records/train."
        )
    existing = _existing_files(prefix)
    if existing and not overwrite:
        raise OutputError(
            f"{len(existing)} files of this prefix exist already, e.g. {existing[0]}; "
            "choose another --output_prefix, or replace them with --overwrite."
        )


class RecordError(UserError):
    """A file that does not hold the expected records."""


def check_first_record(
    files: Sequence[str], parse: Callable[[tf.Tensor], object], advice: str
) -> None:
    """Parses the first record, so that a wrong file is found before the first step.

    `parse` raises `tf.errors.InvalidArgumentError` for other records, and `advice` says
    what to do about a damaged file. Raises `RecordError`.
    """
    try:
        for serialized in tf.data.TFRecordDataset(files).take(1):
            parse(serialized)
            return
    except tf.errors.DataLossError as error:
        raise RecordError(
            f"{files[0]} is damaged or not a TFRecord file: {advice}."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        # The sentence stands first; TensorFlow adds the tensors that it compared.
        sentence = error.message.strip().splitlines()[0]
        raise RecordError(f"{files[0]}: {sentence}") from error
    raise RecordError(f"{files[0]} and all files beside it hold no record.")


def read_examples(files: Sequence[str]) -> Iterator[tf.train.Example]:
    """Yields the records of files without starting TensorFlow's runtime.

    Where several workers train together, their strategy must be what starts it, so that
    nothing may use tf.data before. Raises `RecordError` at what cannot be read.
    """
    for path in files:
        offset = 0
        try:
            reader = tf_record.tf_record_random_reader(path)
            while True:
                serialized, offset = reader.read(offset)
                yield tf.train.Example.FromString(serialized)
        except IndexError:
            continue  # The file's end.
        except (DecodeError, tf.errors.OpError) as error:
            raise RecordError(f"{path} is damaged or not a TFRecord file.") from error


class RecordShards:
    """PREFIX-00000-of-0000N.tfrecord, under temporary names until all are complete.

    Records go round the shards in turn. The end of the `with` block renames the
    files and removes earlier ones of the same prefix; an exception removes what was
    written and leaves earlier files alone. With fewer records than shards, the empty
    shards are left out.

    Attributes:
        written: How many records were written.
        files: The final names, at the end.
    """

    def __init__(self, prefix: str, num_shards: int):
        """Makes the folder; opens no file yet."""
        self.written = 0
        self.files: list[str] = []
        self._prefix = prefix
        directory, name = os.path.split(prefix)
        tf.io.gfile.makedirs(directory or ".")
        self._partial_files = [
            os.path.join(directory, f".{name}-{shard:05d}.partial")
            for shard in range(num_shards)
        ]

    def __enter__(self) -> "RecordShards":
        self._writers = [tf.io.TFRecordWriter(path) for path in self._partial_files]
        return self

    def write(self, record: bytes) -> None:
        """Appends a record to the next shard."""
        self._writers[self.written % len(self._writers)].write(record)
        self.written += 1

    def __exit__(self, exception_type: object, *exception: object) -> None:
        try:
            for writer in self._writers:
                writer.close()
            if exception_type is None:
                self._publish()
        finally:
            for path in self._partial_files:
                if tf.io.gfile.exists(path):
                    tf.io.gfile.remove(path)

    def _publish(self) -> None:
        # Skipped images can leave fewer records than shards: the empty ones go.
        complete = self._partial_files[: self.written]
        earlier = _existing_files(self._prefix)
        for shard, path in enumerate(complete):
            final = f"{self._prefix}-{shard:05d}-of-{len(complete):05d}.tfrecord"
            tf.io.gfile.rename(path, final, overwrite=True)
            self.files.append(final)
        for path in set(earlier) - set(self.files):
            tf.io.gfile.remove(path)


def _existing_files(prefix: str) -> list[str]:
    directory, name = os.path.split(prefix)
    pattern = re.compile(re.escape(name) + r"-\d{5}-of-\d{5}\.tfrecord")
    if not tf.io.gfile.isdir(directory or "."):
        return []
    return [
        os.path.join(directory, found)
        for found in tf.io.gfile.listdir(directory or ".")
        if pattern.fullmatch(found)
    ]
