"""What all converters of data sets share: faults of the input, and reading ahead.

A fault of one image or annotation is an `Unusable`; `Faults` lets the first one end
the conversion, or counts them. Images are read and decoded by threads, in order.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import tensorflow as tf
from absl import flags

_JPEG_SIGNATURE, _PNG_SIGNATURE = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

# Enough files for several workers to read their own, and shuffling on large sets.
_LEAST_SHARDS, IMAGES_PER_SHARD = 8, 1000

Item = TypeVar("Item")
Result = TypeVar("Result")


class ConversionError(Exception):
    """Input that cannot be converted; the text is written for the user."""


class Unusable(Exception):
    """One image or annotation that cannot be used: a kind to count, a sentence."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


class Faults:
    """Unusable images and annotations: the first raises, or all are counted."""

    def __init__(self, on_error: str):
        if on_error not in ("fail", "skip"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'fail' or 'skip'.")
        self._on_error = on_error
        self.counts: collections.Counter[str] = collections.Counter()
        self.sentences: list[str] = []

    def report(self, fault: Unusable) -> None:
        if self._on_error == "fail":
            raise ConversionError(
                f"{fault.sentence} Nothing was written; correct it, or leave such "
                "items out with --on_error=skip."
            ) from None
        self.counts[fault.kind] += 1
        self.sentences.append(fault.sentence)


def count_shards(num_images: int, wanted: int | None) -> int:
    """How many files to write: as wanted, or 8, or one per 1000 images if more.

    Never more than there are images.
    """
    default = max(_LEAST_SHARDS, num_images // IMAGES_PER_SHARD)
    return min(wanted or default, num_images)


def read_ahead(
    items: Sequence[Item], read: Callable[[Item], Result]
) -> Iterator[tuple[Item, concurrent.futures.Future[Result]]]:
    """Yields each item with what `read` returns of it to come.

    Threads read a few items ahead; the order stays that of `items`.
    """
    num_threads = min(os.cpu_count() or 1, 16)
    pending: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(read, item)))
                if len(pending) > 4 * num_threads:
                    yield pending.popleft()
            yield from pending
        finally:
            pool.shutdown(cancel_futures=True)


def read_image_file(path: str, identity: str = "") -> tuple[bytes, int, int]:
    """Reads a JPEG or PNG file that decodes completely.

    Args:
        path: The file.
        identity: What messages say of it besides its path, e.g. " (image 7)".

    Returns:
        Its bytes, and the image's height and width, EXIF orientation ignored.

    Raises:
        Unusable: If there is no such file, or it is something else.
    """
    encoded = read_file(path, "image", identity)
    if not encoded.startswith((_JPEG_SIGNATURE, _PNG_SIGNATURE)):
        raise Unusable(
            "not JPEG or PNG",
            f"{path}{identity} is neither a JPEG nor a PNG file; convert it to one of "
            "these.",
        )
    try:
        # The very decoder of training: what passes here cannot stop a run there. It
        # refuses truncated files, where others fill the missing rows with grey.
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        raise Unusable(
            "corrupt image",
            f"{path}{identity} is damaged or truncated: it does not decode.",
        ) from None
    height, width = pixels.shape[:2]
    return encoded, height, width


def read_file(path: str, kind: str, identity: str = "") -> bytes:
    """Reads a file.

    Args:
        path: The file.
        kind: What it is, for counting faults: "image".
        identity: As for `read_image_file`.

    Raises:
        Unusable: If it cannot be read.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError:
        raise Unusable(f"missing {kind}", f"{path}{identity} does not exist.") from None
    except tf.errors.OpError as error:
        raise Unusable(
            f"unreadable {kind}", f"{path}{identity} cannot be read: {error.message}."
        ) from None


# ---- commands ----


def define_common_flags(values: flags.FlagValues) -> None:
    """The flags that all converters have."""
    flags.DEFINE_string(
        "output_prefix",
        None,
        "Folder and beginning of the names of the files to write.",
        flag_values=values,
    )
    flags.mark_flag_as_required("output_prefix", flag_values=values)
    flags.DEFINE_integer(
        "num_shards",
        None,
        "Number of files, at most one per image; by default 8, or one per "
        f"{IMAGES_PER_SHARD} images if that is more.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "on_error",
        "fail",
        ["fail", "skip"],
        "At a faulty image or annotation: end without writing, or leave it out and "
        "count it.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "overwrite", False, "Replace earlier files of the prefix.", flag_values=values
    )
