"""Writes TFRecords split over several files that appear all at once, or not at all.

Whatever ends a converter, and whenever, readers find the earlier files, the new ones,
or a description of the conversion that says that they are unfinished: in this order,

    records are written into a hidden folder, which no other run uses;
    the description says "unfinished";
    earlier files are removed, and the new ones get their names;
    the description lists the new files.

One process at a time writes a prefix, though others may do parts of its work in its
folder: a second one is refused by a lock, which ends with its process. So whoever holds
it may remove hidden folders that others left.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO, TypeVar

import tensorflow as tf

from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records import conversions, names
from hrnet_tf.data.records.conversions import Shard
from hrnet_tf.input_files import is_remote, is_text, names_in
from hrnet_tf.output_files import OutputError

AnySet = TypeVar("AnySet", bound="RecordSet")

_CHUNK = 1 << 22  # bytes

# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def check_output_prefix(prefix: str, overwrite: bool) -> None:
    """Refuses a prefix whose files cannot or must not be written: raises `OutputError`.

    Call it before the work, so that a mistake shows at once. What an interrupted
    converter left is nobody's, and may be replaced.
    """
    if os.path.basename(prefix) in ("", ".", ".."):
        raise OutputError(
            f"The output prefix {prefix!r} ends in a folder; add the beginning of the "
            "file names, e.g. records/train."
        )
    if reason := _why_unreadable(prefix):
        raise OutputError(
            f"The output prefix {prefix!r} {reason}: choose another --output_prefix."
        )
    existing = names.existing_files(prefix)
    for path in (conversions.path_of(prefix), *existing):
        if tf.io.gfile.isdir(path):
            raise OutputError(
                f"{path} is a folder where a file is to be written: remove it, or "
                "choose another --output_prefix."
            )
    if existing and not overwrite and not _is_unfinished(prefix):
        raise OutputError(
            f"{len(existing)} files of this prefix exist already, e.g. {existing[0]}; "
            "choose another --output_prefix, or replace them with --overwrite."
        )


def _why_unreadable(prefix: str) -> str | None:
    """What would keep the `input_path` of a configuration from matching the files."""
    if not is_text(prefix):
        return "is no UTF-8 text, or holds a NUL"
    if prefix.startswith("~"):
        return "begins with ~, which stands for no folder here"
    if "," in prefix:
        return "holds a comma, at which task.*_data.input_path would be split"
    return None


def _is_unfinished(prefix: str) -> bool:
    """Whether files of a prefix are what an interrupted converter left."""
    try:
        return bool(conversions.read(prefix).writer)
    except ConversionError:
        return False


@dataclasses.dataclass(frozen=True)
class HiddenShard:
    """A whole file of records under a name that readers do not know."""

    path: str
    records: int
    size: int  # in bytes
    sha256: str


def hidden_shard(path: str, records: int) -> HiddenShard:
    """A file that holds so many records, and is closed."""
    return HiddenShard(path, records, tf.io.gfile.stat(path).length, sha256_of(path))


class RecordSet:
    """PREFIX-00000-of-0000N.tfrecord: whoever writes them does so in a hidden folder.

    An exception removes what is in the folder and leaves earlier files alone.

    Attributes:
        folder: The hidden folder.
        files: The final names, once they are published.
    """

    def __init__(self, prefix: str, overwrite: bool = False):
        """Touches no file yet."""
        self.files: list[str] = []
        self._prefix = prefix
        self._overwrite = overwrite
        self._token = secrets.token_hex(8)
        self.folder = _hidden(prefix, f"{self._token}.partial")
        self._stack = contextlib.ExitStack()

    def __enter__(self: AnySet) -> AnySet:
        """Makes the folder. Raises `OutputError` if another process writes the set."""
        with self._stack:
            tf.io.gfile.makedirs(os.path.dirname(self._prefix) or ".")
            if self._stack.enter_context(_locked(self._prefix)):
                # Another converter may have ended meanwhile, or left something.
                check_output_prefix(self._prefix, self._overwrite)
                _remove_leftovers(self._prefix)
            self._stack.callback(_remove_folder, self.folder)
            tf.io.gfile.makedirs(self.folder)
            self._open(self._stack)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder, and lets others write the set; may be called again."""
        self._stack.close()

    def _open(self, stack: contextlib.ExitStack) -> None:
        """Opens what `stack` closes before the folder goes."""

    def publish_files(
        self, hidden: Sequence[HiddenShard], describe: Callable[[list[Shard]], str]
    ) -> None:
        """Gives files their names, in order; `describe` makes the text beside them."""
        self.files = [
            names.shard_path(self._prefix, place, len(hidden))
            for place in range(len(hidden))
        ]
        shards = [
            Shard(os.path.basename(final), shard.size, shard.records, shard.sha256)
            for shard, final in zip(hidden, self.files, strict=True)
        ]
        # Both are written first, while a full disk does no harm.
        begun = self._write_text("begun", conversions.unfinished(self._token))
        ended = self._write_text("ended", describe(shards))
        description = conversions.path_of(self._prefix)
        tf.io.gfile.rename(begun, description, overwrite=True)
        for path in names.existing_files(self._prefix):
            tf.io.gfile.remove(path)
        for shard, final in zip(hidden, self.files, strict=True):
            tf.io.gfile.rename(shard.path, final, overwrite=True)
        if conversions.read(self._prefix).writer != self._token:
            # Only where there are no locks.
            raise OutputError(
                f"Another process has written records of the prefix {self._prefix} at "
                "the same time: convert again, one at a time."
            )
        tf.io.gfile.rename(ended, description, overwrite=True)

    def _write_text(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(text)
        return path


class RecordShards(RecordSet):
    """A set whose records one process writes, which go round the shards in turn.

    Shards that get none, with fewer records than shards, are left out.

    Attributes:
        written: How many records were written.
    """

    def __init__(self, prefix: str, num_shards: int, overwrite: bool = False):
        """Touches no file yet."""
        super().__init__(prefix, overwrite)
        self.written = 0
        self._turn = 0
        self._counts = [0] * num_shards
        self._paths = [
            os.path.join(self.folder, f"{shard:05d}") for shard in range(num_shards)
        ]
        self._writers: list[tf.io.TFRecordWriter] = []

    def _open(self, stack: contextlib.ExitStack) -> None:
        stack.callback(self._close_writers)
        for path in self._paths:
            self._writers.append(tf.io.TFRecordWriter(path))

    def write(self, record: bytes) -> None:
        """Appends a record to the shard whose turn it is."""
        self._writers[self._turn].write(record)
        self._counts[self._turn] += 1
        self.written += 1
        self.skip()

    def skip(self) -> None:
        """Passes the turn on: what is left out moves no other record."""
        self._turn = (self._turn + 1) % len(self._paths)

    def publish(self, describe: Callable[[list[Shard]], str]) -> None:
        """Gives all files their names; `describe` makes the text beside them."""
        self._close_writers()
        counted = zip(self._paths, self._counts, strict=True)
        written = [pair for pair in counted if pair[1]]
        # Checksums are computed outside of Python's lock.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            hidden = list(pool.map(hidden_shard, *zip(*written, strict=True)))
        self.publish_files(hidden, describe)

    def _close_writers(self) -> None:
        while self._writers:
            self._writers.pop().close()


def sha256_of(path: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _hidden(prefix: str, ending: str) -> str:
    folder, name = os.path.split(prefix)
    return os.path.join(folder, f".{name}.{ending}")


@contextlib.contextmanager
def _locked(prefix: str) -> Iterator[bool]:
    """Keeps others from writing a prefix; yields whether this can be done here.

    Raises `OutputError` if another process does so already.
    """
    path = _hidden(prefix, "lock")
    file = None if is_remote(prefix) else _open_locked(path, prefix)
    if file is None:
        yield False
        return
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def _open_locked(path: str, prefix: str) -> TextIO | None:
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read() or "process"
            raise OutputError(
                f"Another {holder} is writing records of the prefix {prefix}: wait for "
                "it, or choose another --output_prefix."
            ) from None
        except OSError as error:
            file.close()
            if error.errno not in _NO_LOCKS:
                raise
            return None
        # Who held it before may have removed it between the two lines above.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def _remove_leftovers(prefix: str) -> None:
    """Removes what converters left that were killed, of older versions as well."""
    folder, name = os.path.split(prefix)
    pattern = re.compile(
        rf"\.{re.escape(name)}(\.[0-9a-f]{{16}}|-\d{{5}}|\.conversion\.json)\.partial"
    )
    for found in names_in(folder):
        if pattern.fullmatch(found):
            _remove_folder(os.path.join(folder, found))


def _remove_folder(path: str) -> None:
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
