"""DeepLabCut's CollectedData_*.csv or .h5: a row per image, a column per coordinate.

The columns have several header rows: scorer, individuals (of projects with several
animals), bodyparts and coords. An empty cell is a body part that is not labelled.
config.yaml of the project tells which body parts are joined by lines.
"""

import csv
import io
import os
from collections.abc import Iterator

from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import values
from hrnet_tf.data.label_tools.deeplabcut_h5 import read_h5
from hrnet_tf.data.label_tools.labels import (
    Keypoint,
    LabelledImage,
    LabelledObject,
    Labels,
    Pair,
    distinct_pairs,
)
from hrnet_tf.data.label_tools.source import (
    Source,
    find_image,
    image_size,
    plain_path,
)
from hrnet_tf.input_files import InputFileError, read_text, read_yaml
from hrnet_tf.messages import listed, shown

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_SINGLE = "single"  # the individual of body parts that are there once
_EMPTY = ("", "nan")
Column = tuple[str | None, str, str]  # individual, body part, x or y


def read(source: Source) -> Labels:
    """Reads a table, or all CollectedData tables in and under a folder."""
    labels = Labels()
    labels.unsaid = {"visibility", "flip pairs", "sigmas", "categories"}
    labels.unsaid |= {"boxes", "areas", "outlines", "image sizes"}
    for path in _find_tables(source):
        root = _project(path)
        labels.image_dir = source.image_dir or labels.image_dir or root
        with source.item(path):
            table = read_h5(path) if path.endswith(".h5") else _read_csv(path)
            _read_table(path, table, source, labels)
        _read_config(os.path.join(root, "config.yaml"), labels)
    if not any(category.limbs for category in labels.categories.values()):
        labels.unsaid.add("limbs")
    return labels


def _find_tables(source: Source) -> list[str]:
    """One table a folder: DeepLabCut writes each as .csv and as .h5."""
    if not os.path.isdir(source.path):
        return [source.path]
    found = [
        path
        for path in source.find_files(".csv", ".h5")
        if os.path.basename(path).startswith("CollectedData")
    ]
    if not found:
        raise ConversionError(
            f"The folder {source.path} has no CollectedData_*.csv or .h5; give --input "
            "the folder of a DeepLabCut project, or such a file."
        )
    tables: dict[str, str] = {}
    for path in found:
        stem = os.path.splitext(path)[0]
        other = tables.setdefault(os.path.dirname(path), path)
        if os.path.splitext(other)[0] != stem:
            raise ConversionError(
                f"{other} and {path} are labels of one video by two scorers; give "
                "--input the file to read."
            )
    return list(tables.values())


def _project(path: str) -> str:
    """The project's folder; images are named labeled-data/VIDEO/IMAGE in it."""
    return os.path.normpath(os.path.join(os.path.dirname(path), "..", ".."))


def _read_csv(path: str) -> list[list[str]]:
    try:
        text = io.StringIO(read_text(path))
        return [row for row in csv.reader(text, strict=True) if row]
    except csv.Error as error:
        raise Unusable(
            "unreadable label file", f"it is not a table: {error}."
        ) from None


def _read_table(
    path: str, table: list[list[str]], source: Source, labels: Labels
) -> None:
    count = next(
        (n for n, row in enumerate(table) if row[0] not in _HEADERS), len(table)
    )
    headers = {row[0]: row for row in table[:count]}
    for name in ("bodyparts", "coords"):
        if name not in headers:
            raise Unusable(
                "not a DeepLabCut table",
                f"no header row begins with {name!r}; DeepLabCut's tables begin with "
                "the rows scorer, bodyparts and coords.",
            )
    parts = headers["bodyparts"]
    # Since DeepLabCut 2.2 the image's path takes three columns.
    first = next((n for n in range(1, len(parts)) if parts[n]), len(parts))
    columns = _read_columns(headers, first)
    for individual, part, _ in columns:
        labels.category(_category(individual, source)).add([part])
    width = first + len(columns)
    for place, row in enumerate(table[count:], start=count + 1):
        where = f"{path}, row {place}"
        with source.item(where):
            if len(row) != width:
                raise Unusable(
                    "wrong number of cells",
                    f"the row has {len(row)} cells and the headers {width}.",
                )
            labels.images.append(_read_row(where, row, first, columns, source, labels))


def _read_columns(headers: dict[str, list[str]], first: int) -> list[Column]:
    parts, coords = headers["bodyparts"][first:], headers["coords"][first:]
    individuals = headers.get("individuals", [""] * first + [""] * len(parts))[first:]
    if not len(parts) == len(coords) == len(individuals) or not parts:
        raise Unusable(
            "not a DeepLabCut table", "the header rows have different numbers of cells."
        )
    if "likelihood" in coords:
        raise Unusable(
            "predictions",
            "the table has likelihoods: these are a network's predictions, not "
            "labels; give CollectedData_*.csv.",
        )
    columns = [
        (individual or None, values.name(part, "a body part"), coord)
        for individual, part, coord in zip(individuals, parts, coords, strict=True)
    ]
    there = set(columns)
    if len(there) < len(columns) or set(coords) != {"x", "y"}:
        raise Unusable(
            "not a DeepLabCut table",
            "each body part must have one column x and one column y.",
        )
    for individual, part, coord in columns:
        if (individual, part, "y" if coord == "x" else "x") not in there:
            raise Unusable(
                "not a DeepLabCut table", f"{part!r} has only a column {coord}."
            )
    return columns


def _category(individual: str | None, source: Source) -> str:
    return _SINGLE if individual == _SINGLE else source.category


def _read_row(
    where: str,
    row: list[str],
    first: int,
    columns: list[Column],
    source: Source,
    labels: Labels,
) -> LabelledImage:
    said = plain_path("/".join(row[:first]).lstrip("/"), "the image's path")
    folder = labels.image_dir or "."
    names = [said, *(["/".join(said.split("/")[n:]) for n in (1, 2)])]
    file_name = find_image(folder, [n for n in names if n], is_needed=True)
    width, height = image_size(folder, file_name, source.exif)
    found: dict[str | None, dict[str, dict[str, float]]] = {}
    for (individual, part, coord), cell in zip(columns, row[first:], strict=True):
        of_individual = found.setdefault(individual, {})
        if cell.strip().lower() not in _EMPTY:
            value = values.parse_number(cell, f"{coord} of {part!r}")
            of_individual.setdefault(part, {})[coord] = value
    return LabelledImage(
        where=where,
        file_name=file_name,
        width=width,
        height=height,
        objects=[*_objects(where, found, source)],
    )


def _objects(
    where: str,
    found: dict[str | None, dict[str, dict[str, float]]],
    source: Source,
) -> Iterator[LabelledObject]:
    for individual, parts in found.items():
        if half := [part for part, place in parts.items() if len(place) == 1]:
            raise Unusable("half a point", f"{half[0]!r} has x or y, but not both.")
        if parts:
            yield LabelledObject(
                where=where if individual is None else f"{where}, {individual}",
                category=_category(individual, source),
                keypoints={
                    part: Keypoint(place["x"], place["y"])
                    for part, place in parts.items()
                },
                attributes={} if individual is None else {"individual": individual},
            )


def _read_config(path: str, labels: Labels) -> None:
    """Takes limbs and the order of body parts from config.yaml, if it is there."""
    if not os.path.isfile(path):
        return
    try:
        config = read_yaml(path)
        pairs = config.get("skeleton") if isinstance(config, dict) else None
        limbs = [_pair(pair) for pair in values.entries(pairs or [], "skeleton")]
    except (InputFileError, Unusable) as fault:
        sentence = getattr(fault, "message", None) or f"{path}: {fault}"
        raise ConversionError(sentence) from None
    for category in labels.categories.values():
        known = [limb for limb in limbs if {*limb} <= {*category.keypoints}]
        category.limbs = distinct_pairs(known) or None
    names = {n for category in labels.categories.values() for n in category.keypoints}
    if unknown := sorted({name for limb in limbs for name in limb} - names):
        labels.counts[
            f"limbs of config.yaml with unknown body parts, left out: {listed(unknown)}"
        ] += sum(not {*limb} <= names for limb in limbs)


def _pair(pair: object) -> Pair:
    if not isinstance(pair, list) or len(pair) != 2:
        raise Unusable(
            "bad skeleton",
            f"skeleton holds {shown(pair)}; it must be a pair of body parts.",
        )
    return values.name(pair[0], "a body part"), values.name(pair[1], "a body part")
