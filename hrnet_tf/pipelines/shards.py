"""Names of what a pipeline writes: PREFIX-00000-of-00005.jsonl, PREFIX.failed-...."""

import os
import re
from collections.abc import Iterable

import tensorflow as tf

from hrnet_tf.input_files import names_in
from hrnet_tf.output_files import OutputError
from hrnet_tf.training import run_files


def check_prefix(prefix: str, overwrite: bool) -> str:
    """Returns the folder of a prefix that can be written to.

    Raises:
        OutputError: If it is none, or if there is output already that must not be
            replaced.
    """
    folder, name = os.path.split(prefix)
    if not name or tf.io.gfile.isdir(prefix):
        raise OutputError(
            f"--output={prefix} is a folder: add the beginning of the files' names, "
            f"such as {os.path.join(prefix, 'results')}."
        )
    found = existing(prefix)
    if found and not overwrite:
        raise OutputError(
            f"{found[0]} exists already: choose another --output, or replace it "
            "with --overwrite."
        )
    return folder


def existing(prefix: str) -> list[str]:
    """The files of results and of failures that there are."""
    name = re.escape(os.path.basename(prefix))
    return _beside(prefix, rf"{name}(\.failed)?-\d{{5}}-of-\d{{5}}\.jsonl")


def temporary(prefix: str) -> set[str]:
    """The folders in which Beam writes what is to become files of results."""
    name = re.escape(os.path.basename(prefix))
    return set(_beside(prefix, rf"beam-temp-{name}(\.failed)?-[0-9a-f]+"))


def remove(paths: Iterable[str]) -> None:
    """Removes files, and folders with all that is in them, as far as they are there."""
    for path in paths:
        if tf.io.gfile.exists(path):
            run_files.remove(path)


def _beside(prefix: str, pattern: str) -> list[str]:
    folder = os.path.dirname(prefix)
    if not tf.io.gfile.isdir(folder or "."):
        return []
    names = filter(re.compile(pattern).fullmatch, names_in(folder))
    return sorted(os.path.join(folder, name) for name in names)
