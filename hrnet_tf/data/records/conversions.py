"""What a conversion of COCO annotations chose and left out, in a file beside records.

PREFIX.conversion.json says which images and annotations of the annotation file are not
in the records PREFIX-*, which categories are, and where missing areas come from. An
evaluation reads the annotation file again, by the same rules, and leaves out the same.
There is no such file if nothing was left out and nothing chosen.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from hrnet_tf.data.files.faults import ConversionError, EntryRef

_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How records were made.

    Attributes:
        path: The file that says so; "" if there is none.
        category_ids: Those that were chosen; None if there was no choice.
        area_from: "box" or "segmentation", or None.
        left_out: Entries of the annotation file that are not in the records.
    """

    path: str = ""
    category_ids: list[int] | None = None
    area_from: str | None = None
    left_out: frozenset[EntryRef] = frozenset()


def path_of(prefix: str) -> str:
    """Where a conversion of this output prefix is described."""
    return f"{prefix}.conversion.json"


def remove(prefix: str) -> None:
    """Removes the description of an earlier conversion."""
    if tf.io.gfile.exists(path_of(prefix)):
        tf.io.gfile.remove(path_of(prefix))


def write(
    prefix: str,
    annotations: str,
    category_ids: Sequence[int] | None,
    area_from: str | None,
    left_out: Mapping[EntryRef, str],
) -> str:
    """Describes a conversion of the file `annotations`; returns the path."""
    content = {
        "annotations": annotations,
        "category_ids": category_ids,
        "area_from": area_from,
        "left_out": [
            {**dataclasses.asdict(entry), "reason": reason}
            for entry, reason in left_out.items()
        ],
    }
    path = path_of(prefix)
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.partial")
    with tf.io.gfile.GFile(partial, "w") as file:
        file.write(json.dumps(content, indent=1))
    tf.io.gfile.rename(partial, path, overwrite=True)
    return path


def find(input_path: Any) -> Conversion:
    """How the records of a configured `input_path` were made.

    Records of several conversions lack what all of these left out. Raises
    `ConversionError` if a description is damaged, or two of them contradict.
    """
    found = [_read(path_of(prefix)) for prefix in _prefixes(input_path)]
    described = [conversion for conversion in found if conversion.path]
    if not described:
        return Conversion()
    first = described[0]
    for other in described[1:]:
        if (first.category_ids, first.area_from) != (
            other.category_ids,
            other.area_from,
        ):
            raise ConversionError(
                f"{first.path} and {other.path} tell of other categories or areas: "
                "convert all records with the same --category and --area_from."
            )
    left_out = frozenset.intersection(*(conversion.left_out for conversion in found))
    return dataclasses.replace(first, left_out=left_out)


def _prefixes(input_path: Any) -> list[str]:
    """The output prefixes of all records that the patterns match."""
    texts = [input_path] if isinstance(input_path, str) else input_path
    if not isinstance(texts, (list, tuple)):
        return []
    patterns = filter(None, map(str.strip, ",".join(texts).split(",")))
    files = [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
    matches = map(_SHARD.fullmatch, sorted(files))
    return list(dict.fromkeys(match.group(1) for match in matches if match))


def _read(path: str) -> Conversion:
    if not tf.io.gfile.exists(path):
        return Conversion()
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = json.loads(file.read())
        return Conversion(
            path,
            content["category_ids"],
            content["area_from"],
            frozenset(
                EntryRef(entry["group"], entry["place"], entry["id"])
                for entry in content["left_out"]
            ),
        )
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"{path} cannot be read ({error!r}); convert the annotations again."
        ) from None
