"""What a conversion wrote, chose and left out: PREFIX.conversion.json beside records.

The file lists the files PREFIX-* with their sizes and checksums, so that readers notice
what is missing, cut or exchanged. It also says which images and annotations of the
annotation file are not in the records, which categories are, and where missing areas
come from: an evaluation reads the annotation file again, by the same rules, and leaves
out the same. While a converter exchanges files, the file says only that they are
unfinished. Records of older versions may have no such file, or one without their names.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hrnet_tf.data.files.coco_annotations import as_id
from hrnet_tf.data.files.faults import ConversionError, EntryRef
from hrnet_tf.data.records import names
from hrnet_tf.input_files import InputFileError, read_json
from hrnet_tf.messages import shown


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records, as its converter left it."""

    name: str
    size: int  # in bytes
    records: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Choices:
    """What a conversion chose among the annotations of a file.

    Attributes:
        annotations: The file.
        category_ids: Those that were chosen; None if there was no choice.
        area_from: "box", "segmentation" or "crowdpose", or None.
    """

    annotations: str = ""
    category_ids: list[int] | None = None
    area_from: str | None = None


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How records were made.

    Attributes:
        path: The file that says so; "" if there is none.
        category_ids: As in `Choices`.
        area_from: As in `Choices`.
        left_out: Entries of the annotation file that are not in the records.
        shards: The files by name; none if an older version wrote them.
        writer: Who has begun and not finished, if somebody has.
    """

    path: str = ""
    category_ids: list[int] | None = None
    area_from: str | None = None
    left_out: frozenset[EntryRef] = frozenset()
    shards: Mapping[str, Shard] = dataclasses.field(default_factory=dict)
    writer: str = ""

    @property
    def tells(self) -> bool:
        """Whether there is something that an evaluation needs to know."""
        return bool(self.left_out or self.category_ids or self.area_from)


def path_of(prefix: str) -> str:
    """Where a conversion of this output prefix is described."""
    return f"{prefix}.conversion.json"


def unfinished(writer: str) -> str:
    """The text of a description while files are exchanged by `writer`, a name."""
    return json.dumps({"unfinished": writer})


def describe(
    choices: Choices, left_out: Mapping[EntryRef, str], shards: list[Shard]
) -> str:
    """The text of the description of a conversion; `left_out` says why."""
    content = {
        **dataclasses.asdict(choices),
        "left_out": [
            {**dataclasses.asdict(entry), "reason": reason}
            for entry, reason in left_out.items()
        ],
        "shards": [dataclasses.asdict(shard) for shard in shards],
    }
    return json.dumps(content, indent=1)


def find(input_path: Any) -> Conversion:
    """How the records of a configured `input_path` were made.

    Records of several conversions lack what all of these left out. Raises
    `ConversionError` if a description is damaged, or two of them contradict.
    """
    files = map(names.parse, names.match(names.patterns_of(input_path)))
    prefixes = dict.fromkeys(
        name.prefix_of_ours for name in files if name and name.prefix_of_ours
    )
    found = [read(prefix) for prefix in prefixes]
    telling = [conversion for conversion in found if conversion.tells]
    if not telling:
        return Conversion()
    first = telling[0]
    for other in telling[1:]:
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


def read(prefix: str) -> Conversion:
    """How the records of an output prefix were made.

    Raises `ConversionError` if the description is damaged.
    """
    path = path_of(prefix)
    if not tf.io.gfile.exists(path):
        return Conversion()
    try:
        content = read_json(path)
        if isinstance(content, dict) and "unfinished" in content:
            return Conversion(path, writer=str(content["unfinished"]) or "unknown")
        _check_shape(content)
        shards = map(_read_shard, content.get("shards", ()))
        return Conversion(
            path,
            _read_category_ids(content["category_ids"]),
            _read_area_from(content["area_from"]),
            frozenset(map(_read_entry, content["left_out"])),
            {shard.name: shard for shard in shards},
        )
    except InputFileError as error:
        raise ConversionError(f"{error} Convert the annotations again.") from None
    except ValueError as error:
        raise ConversionError(
            f"{path} is damaged ({error}); convert the annotations again."
        ) from None


def _check_shape(content: Any) -> None:
    """Raises `ValueError` if a description is not made of the right pieces."""
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    for key in ("category_ids", "area_from", "left_out"):
        if key not in content:
            raise ValueError(f"{key} is missing")
    for key in ("left_out", "shards"):
        entries = content.get(key, [])
        if not isinstance(entries, list):
            raise ValueError(f"{key} is {shown(entries)}, not a list")
        for entry in entries:
            if not isinstance(entry, dict):
                raise ValueError(f"{key} holds {shown(entry)}")


def _read_category_ids(category_ids: Any) -> list[int] | None:
    is_list = isinstance(category_ids, list) and None not in map(as_id, category_ids)
    if category_ids is not None and not is_list:
        raise ValueError(f"category_ids is {shown(category_ids)}")
    return category_ids


def _read_area_from(area_from: Any) -> str | None:
    if area_from not in (None, "box", "segmentation", "crowdpose"):
        raise ValueError(f"area_from is {shown(area_from)}")
    return area_from


def _read_entry(entry: dict[str, Any]) -> EntryRef:
    values: Any = map(entry.get, ("group", "place", "id"))
    group, place, number = values
    is_place = as_id(place) is not None and place >= 0
    is_id = number is None or as_id(number) is not None
    if group not in ("images", "annotations") or not is_place or not is_id:
        raise ValueError(f"left_out holds {shown(entry)}")
    return EntryRef(group, place, number)


def _read_shard(entry: dict[str, Any]) -> Shard:
    values: Any = map(entry.get, ("name", "size", "records", "sha256"))
    shard = Shard(*values)
    is_name = isinstance(shard.name, str) and shard.name == os.path.basename(shard.name)
    are_counts = all((as_id(n) or 0) > 0 for n in (shard.size, shard.records))
    if not (is_name and are_counts and isinstance(shard.sha256, str)):
        raise ValueError(f"shards holds {shown(entry)}")
    return shard
