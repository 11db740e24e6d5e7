"""Notices records that are exchanged or cut while a training reads them."""

import time
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.data.records import conversions, names
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.input_files import is_remote

# Seconds between two looks.
_INTERVAL = 60


class RecordWatch:
    """A training action that compares records with what they were at the beginning.

    tf.data opens a file again in every epoch. It takes one that ends earlier for whole,
    and would go on with half of an old set and half of a new one. Only files of this
    machine are looked at, which costs nothing.
    """

    def __init__(self, *sources: cfg.DataConfig):
        """Looks at the files of some data for the first time."""
        files = [path for data in sources for path in names.files_of(data)]
        self._sizes = {path: _size_of(path) for path in files if not is_remote(path)}
        prefixes = {
            name.prefix_of_ours: None for name in map(names.parse, self._sizes) if name
        }
        self._descriptions = {
            path: _content_of(path)
            for path in map(conversions.path_of, filter(None, prefixes))
        }
        self._looked = time.monotonic()

    def __call__(self, output: Any = None) -> None:
        """Looks again after some steps, if it is time. Raises `RecordError`."""
        del output
        if time.monotonic() - self._looked >= _INTERVAL:
            self.check()

    def check(self) -> None:
        """Raises `RecordError` if a file has changed."""
        self._looked = time.monotonic()
        for path, description in self._descriptions.items():
            if _content_of(path) != description:
                raise RecordError(
                    f"The records that {path} describes were converted again, or the "
                    f"file was changed, while they were read. {_ADVICE}"
                )
        for path, size in self._sizes.items():
            if (now := _size_of(path)) != size:
                changed = "is gone" if now is None else f"has {now} bytes, not {size}"
                raise RecordError(
                    f"{path} {changed}: it was changed while it was read. {_ADVICE}"
                )


_ADVICE = (
    "Steps since then have seen other records; the checkpoints are kept. Mend the "
    "records, then give the same command again."
)


def _size_of(path: str) -> int | None:
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError:
        return None


def _content_of(path: str) -> str | None:
    try:
        with tf.io.gfile.GFile(path) as file:
            return file.read()
    except (tf.errors.OpError, UnicodeDecodeError):
        return None
