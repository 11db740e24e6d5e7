"""Names of what a pipeline writes: PREFIX-00000-of-00005.jsonl, PREFIX.failed-...."""

import os
import re

import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from hrnet_tf.input_files import names_in
from hrnet_tf.output_files import OutputError
from hrnet_tf.training import run_files


def check_prefix(prefix: str, overwrite: bool) -> str:
    """Returns the folder of a prefix that can be written to.

    Raises:
        OutputError: If it is none, or if there is output already that must not be
            replaced.
    """
    try:
        FileSystems.get_filesystem(prefix)
        tf.io.gfile.exists(prefix)
    except (ValueError, tf.errors.OpError):
        raise OutputError(
            f"--output={prefix} is at an address where Apache Beam and TensorFlow do "
            "not both write here: name a path, or one of gs:// once apache-beam[gcp] "
            "is installed."
        ) from None
    folder, name = os.path.split(prefix)
    if not name or tf.io.gfile.isdir(prefix):
        raise OutputError(
            f"--output={prefix} is a folder: add the beginning of the files' names, "
            f"such as {os.path.join(prefix, 'results')}."
        )
    if set("*?[\\") & set(prefix):
        raise OutputError(
            f"--output={prefix} has one of * ? [ \\ in it, which Beam takes for a "
            "pattern when it writes: choose another."
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
    folder, name = os.path.split(prefix)
    if not tf.io.gfile.isdir(folder or "."):
        return []
    shard = re.compile(rf"{re.escape(name)}(\.failed)?-\d{{5}}-of-\d{{5}}\.jsonl")
    names = filter(shard.fullmatch, names_in(folder))
    return sorted(os.path.join(folder, name) for name in names)


def publish(hidden: str, prefix: str) -> None:
    """Gives the shards of a hidden prefix their names, in place of earlier ones.

    Raises:
        OutputError: If there are none.
    """
    found = existing(hidden)
    if not found:
        raise OutputError(
            f"No results were written into {os.path.dirname(prefix) or '.'}: --output "
            "must be where all workers and this process read and write, such as gs:// "
            "or a network drive."
        )
    names = {path: f"{prefix}{path.removeprefix(hidden)}" for path in found}
    stale = {*existing(prefix)} - {*names.values()}
    for path, name in names.items():
        tf.io.gfile.rename(path, name, overwrite=True)
    for path in stale:
        tf.io.gfile.remove(path)


def remove(folder: str) -> None:
    """Removes a folder with all that is in it, as far as it is there."""
    if tf.io.gfile.exists(folder):
        run_files.remove(folder)
