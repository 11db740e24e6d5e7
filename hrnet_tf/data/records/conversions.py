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

from hrnet_tf.data.files.coco_annotations import as_id, read_json
from hrnet_tf.data.files.faults import ConversionError, EntryRef
from hrnet_tf.messages import shown

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
        content = read_json(path, path)
        return Conversion(
            path,
            _read_category_ids(content["category_ids"]),
            _read_area_from(content["area_from"]),
            frozenset(map(_read_entry, content["left_out"])),
        )
    except ConversionError as error:
        raise ConversionError(f"{error} Convert the annotations again.") from None
    except (LookupError, TypeError, ValueError) as error:
        raise ConversionError(
            f"{path} is damaged ({error!r}); convert the annotations again."
        ) from None


def _read_category_ids(category_ids: Any) -> list[int] | None:
    is_list = isinstance(category_ids, list) and None not in map(as_id, category_ids)
    if category_ids is not None and not is_list:
        raise ValueError(f"category_ids is {shown(category_ids)}")
    return category_ids


def _read_area_from(area_from: Any) -> str | None:
    if area_from not in (None, "box", "segmentation"):
        raise ValueError(f"area_from is {shown(area_from)}")
    return area_from


def _read_entry(entry: Any) -> EntryRef:
    group, place, number = entry["group"], entry["place"], entry["id"]
    is_place = as_id(place) is not None and place >= 0
    is_id = number is None or as_id(number) is not None
    if group not in ("images", "annotations") or not is_place or not is_id:
        raise ValueError(f"left_out holds {shown(entry)}")
    return EntryRef(group, place, number)
