"""Images that patterns, folders and lists of URIs name, on any file system.

Whatever TensorFlow can read counts: files of this machine, gs://, hdfs:// and so on.
"""

import os
import re
from collections.abc import Iterable, Sequence

import tensorflow as tf

from hrnet_tf.data.files import media
from hrnet_tf.data.files.images import is_plain, is_plain_name
from hrnet_tf.input_files import is_remote, read_text
from hrnet_tf.messages import UserError, one_line
from hrnet_tf.serving.inputs import Input

_WILDCARDS = re.compile(r"[*?\[]")


class PatternError(UserError):
    """What names no image, or images whose names cannot be told."""


def find_images(
    patterns: Sequence[str], list_file: str | None, output_dir: str
) -> list[Input]:
    """Lists images in the order of their paths, each once.

    Their names are their paths below the folder that all that was given has in common.

    Args:
        patterns: Patterns with *, ? and [...], which match images by their suffixes;
            folders, which stand for the images in them and below; and files.
        list_file: A text file with a path or URI on each line, or None.
        output_dir: Where their output goes.

    Raises:
        PatternError: If one of them names no image.
        MediaError: If a file or folder is missing, or holds none.
        InputFileError: If the list cannot be read.
    """
    roots: set[str] = set()
    paths: set[str] = set()
    for pattern in patterns:
        root, found = _expand(_normalized(pattern))
        roots.add(root)
        paths.update(found)
    if list_file:
        listed = _read_list(list_file)
        roots.update(map(os.path.dirname, listed))
        paths.update(listed)
    folder = _common_folder(roots)
    inputs = [
        Input(folder, path.removeprefix(folder), output_dir) for path in sorted(paths)
    ]
    for file in inputs:
        if not is_plain_name(file.name):
            raise PatternError(
                f"{file.path} would get the name {file.name!r} in the results: give "
                "absolute paths, without .. in them."
            )
    return inputs


def _normalized(path: str) -> str:
    """A path without ./ and //, by which one file would have two names."""
    return path if is_remote(path) or not path else os.path.normpath(path)


def _expand(pattern: str) -> tuple[str, list[str]]:
    """The folder that a pattern is about, and the images that it matches."""
    try:
        if not is_remote(pattern) and os.path.exists(pattern):
            is_folder = os.path.isdir(pattern)
            root = pattern if is_folder else os.path.dirname(pattern)
            return root, media.find_images(pattern)
        if is_remote(pattern) and tf.io.gfile.isdir(pattern):
            return pattern, media.find_images(pattern)
        wildcard = _WILDCARDS.search(pattern)
        if wildcard and "**" in pattern:
            raise PatternError(
                f"{pattern}: ** is not known; a folder alone stands for all images in "
                "it and below."
            )
        if wildcard:
            found = _images_among(tf.io.gfile.glob(pattern), pattern)
            return os.path.dirname(pattern[: wildcard.start()]), found
        if is_remote(pattern) and tf.io.gfile.exists(pattern):
            return os.path.dirname(pattern), [pattern]
    except tf.errors.OpError as error:
        raise PatternError(
            f"{pattern} cannot be looked at: {one_line(error.message)}."
        ) from None
    raise PatternError(f"There is no file or folder {pattern}.")


def _images_among(files: Iterable[str], pattern: str) -> list[str]:
    found = [
        path
        for path in files
        if path.lower().endswith(media.IMAGE_SUFFIXES)
        and not media.is_hidden(os.path.basename(path))
    ]
    if not found:
        raise PatternError(
            f"{pattern} matches no image, that is no file that ends in "
            f"{', '.join(media.IMAGE_SUFFIXES)}."
        )
    return found


def _read_list(path: str) -> list[str]:
    lines = read_text(path).splitlines()
    listed = [line.strip() for line in lines if line.strip()]
    if not listed:
        raise PatternError(f"{path} lists no image: write a path or URI on each line.")
    for entry in listed:
        if not is_plain(entry):
            raise PatternError(f"{path}: {entry!r} cannot be the name of a file.")
    return [*map(_normalized, listed)]


def _common_folder(roots: Iterable[str]) -> str:
    """The folder that all are in or below, with / at its end; "" if there is none."""
    parts = [root.rstrip("/").split("/") if root else [] for root in roots]
    common = os.path.commonprefix(parts)
    return f"{'/'.join(common)}/" if common else ""
