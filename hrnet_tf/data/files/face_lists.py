"""Faces and their landmarks, as the data sets' own lists and HRNet's authors have them.

    .csv   the authors' lists: image_name, scale, [box_size,] center_w, center_h, and x
           and y of every landmark; box_size in AFLW's alone
    .txt   WFLW's own: x and y of 98 landmarks, 4 numbers of a detector's box, 6
           attributes, the image's name
    .mat   COFW's own, in HDF5, with the images in it (cofw_mat.py)
    .json  COCO's format, in which mmpose has them: with center, scale and box_size

Official code crops the square of 200 * scale about the centre; where there is none, as
in the latter kinds, that around all landmarks, rounded outwards. It takes coordinates
as they are: it adds 1 to them before it takes 1 away.
"""

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import read_file_name
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.listed_people import (
    PIXELS_PER_SCALE,
    ListedPerson,
    read_entries,
    square,
)
from hrnet_tf.data.files.person_extras import NORMALIZER, REGION
from hrnet_tf.input_files import InputFileError, read_text
from hrnet_tf.messages import listed, shown, shown_at

_LARGEST_LIST = 500_000_000  # bytes
_LARGEST_COORDINATE = 1e9
_WFLW_BOX, _WFLW_ATTRIBUTES = 4, 6


@dataclasses.dataclass(frozen=True)
class FaceSet:
    """A data set of faces.

    Attributes:
        title: Its name.
        skeleton: Its landmarks.
        count: How many they are.
        suffixes: Of its lists.
        has_box_size: Whether lists tell the length that errors are divided by.
    """

    title: str
    skeleton: str
    count: int
    suffixes: tuple[str, ...]
    has_box_size: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the .csv before the landmarks'."""
        size = ("box_size",) if self.has_box_size else ()
        return "image_name", "scale", *size, "center_w", "center_h"


FACE_SETS: Mapping[str, FaceSet] = {
    "wflw": FaceSet("WFLW", "wflw98", 98, (".csv", ".txt", ".json")),
    "300w": FaceSet("300W", "300w68", 68, (".csv", ".json")),
    "cofw": FaceSet("COFW", "cofw29", 29, (".mat", ".json")),
    "aflw": FaceSet("AFLW", "aflw19", 19, (".csv", ".json"), has_box_size=True),
}


def read_list(path: str, faces: FaceSet, faults: Faults) -> list[ListedPerson]:
    """Reads a .csv or .txt; `faults` receives the faces that cannot be used.

    Raises `ConversionError` if it is not a list of this data set.
    """
    if path.endswith(".txt"):
        rows = [line.split() for line in _text(path).splitlines() if line.strip()]
        _check_width(
            path, rows, faces, 2 * faces.count + _WFLW_BOX + _WFLW_ATTRIBUTES + 1
        )
        return read_entries(
            path, rows, lambda n, row: _read_wflw(n, row, faces), faults, "line"
        )
    text = io.StringIO(_text(path))
    try:
        rows = [row for row in csv.reader(text) if row]
    except csv.Error as error:
        raise ConversionError(f"{path} is no table of faces: {error}.") from None
    _check_width(path, rows, faces, len(faces.columns) + 2 * faces.count)
    return read_entries(
        path, rows[1:], lambda n, row: _read_row(n, row, faces), faults, "face"
    )


def _text(path: str) -> str:
    try:
        return read_text(path, _LARGEST_LIST)
    except InputFileError as error:
        raise ConversionError(f"The list {error}") from None


def _of_another_set(fits: Callable[[FaceSet], bool]) -> str:
    """Names the data set that a list is rather of, after a comma; "" without one."""
    others = [
        f", those of {other.title} (--dataset={name})"
        for name, other in FACE_SETS.items()
        if fits(other)
    ]
    return others[0] if others else ""


def _check_width(
    path: str, rows: Sequence[Sequence[str]], faces: FaceSet, width: int
) -> None:
    """Refuses lists of other data sets by the number of their columns."""
    found = len(rows[0]) if rows else 0
    if found == width:
        return
    first = f"{', '.join(faces.columns)}, and x and y of {faces.count} landmarks"
    if path.endswith(".txt"):
        first = (
            f"x and y of {faces.count} landmarks, {_WFLW_BOX} numbers of a box, "
            f"{_WFLW_ATTRIBUTES} attributes and the image's name"
        )
    hint = _of_another_set(
        lambda other: (
            found == len(other.columns) + 2 * other.count and path.endswith(".csv")
        )
    )
    raise ConversionError(
        f"{path} has {found} columns{hint}; the list of {faces.title} has {width}: "
        f"{first}."
    )


def _numbers(texts: Sequence[str], width: int) -> np.ndarray:
    """Numbers of a row of `width` cells."""
    try:
        if len(texts) != width:
            raise Unusable("bad row", f"it has {len(texts)} numbers, not {width}.")
        numbers = np.array(texts, np.float64)
    except ValueError:
        wrong = next(text for text in texts if not _is_number(text))
        raise Unusable(
            "bad row", f"it holds {shown(wrong)} where a number must be."
        ) from None
    if not (np.abs(numbers) < _LARGEST_COORDINATE).all():
        raise Unusable("bad row", "it must hold finite numbers below 1e9.")
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_row(number: int, row: Sequence[str], faces: FaceSet) -> ListedPerson:
    name = read_file_name("bad row", {"image_name": row[0]}, "image_name")
    columns = len(faces.columns)
    numbers = _numbers(row[1:], columns - 1 + 2 * faces.count)
    scale, center = numbers[0], numbers[columns - 3 : columns - 1].tolist()
    if scale <= 0:
        raise Unusable("bad row", f"scale is {scale:g}; it must be above 0.")
    size = float(numbers[1]) if faces.has_box_size else 0.0
    if size < 0 or (faces.has_box_size and not size):
        raise Unusable("bad row", f"box_size is {size:g}; it must be above 0.")
    landmarks = numbers[columns - 1 :].reshape(-1, 2)
    return face(number, name, landmarks, region=square(center, scale), normalizer=size)


def _read_wflw(number: int, row: Sequence[str], faces: FaceSet) -> ListedPerson:
    name = read_file_name("bad row", {"file_name": row[-1]})
    width = 2 * faces.count + _WFLW_BOX + _WFLW_ATTRIBUTES
    numbers = _numbers(row[:-1], width)
    return face(number, name, numbers[: 2 * faces.count].reshape(-1, 2))


def face(
    number: int,
    name: str,
    landmarks: np.ndarray,
    is_hidden: np.ndarray | None = None,
    region: list[float] | None = None,
    normalizer: float = 0.0,
) -> ListedPerson:
    """A face with landmarks [K, 2], of which some may be hidden, bool [K].

    Landmarks at exactly (0, 0) are not labelled. Raises `Unusable` without any.
    """
    visibility = np.full([len(landmarks), 1], 2.0)
    if is_hidden is not None:
        visibility[is_hidden] = 1
    visibility[~landmarks.any(axis=1)] = 0
    labelled = landmarks[visibility[:, 0] > 0]
    if not len(labelled):
        raise Unusable("no landmarks", "it has no landmark.")
    bbox = _around(labelled)
    if not bbox[2] or not bbox[3]:
        raise Unusable("no landmarks", "all its landmarks lie in one place, or line.")
    keypoints = np.concatenate([landmarks, visibility], axis=1)
    region = region or _square_around(bbox)
    return ListedPerson(number, name, keypoints, bbox, region, normalizer)


def _around(points: np.ndarray) -> list[float]:
    """The box x, y, width, height around points, rounded outwards."""
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return [*low.tolist(), *(high - low).tolist()]


def _square_around(bbox: Sequence[float]) -> list[float]:
    """Official lib/datasets/cofw.py; the lists of WFLW and 300W have the same."""
    x, y, width, height = bbox
    center = x + width / 2, y + height / 2
    return square(center, max(width, height) / PIXELS_PER_SCALE)


def read_coco_faces(path: str, faces: FaceSet, faults: Faults) -> dict[str, Any]:
    """Reads COCO's format; its annotations get `region` and `normalizer`.

    `faults` receives those whose centre, scale or box_size is wrong; what else is wrong
    is left to `coco_people.people_of`. Raises `ConversionError` if the file is no
    annotations.
    """
    content = coco_annotations.load(path, coco_annotations.without_outline)
    entries = [entry for entry in content["annotations"] if isinstance(entry, dict)]
    lengths = {len(k) for e in entries if isinstance(k := e.get("keypoints"), list)}
    if lengths and 3 * faces.count not in lengths:
        found = listed([str(length // 3) for length in sorted(lengths)])
        hint = _of_another_set(lambda other: 3 * other.count in lengths)
        raise ConversionError(
            f"{path} has annotations of {found} keypoints{hint}; a face of "
            f"{faces.title} has {faces.count}."
        )
    unusable = set()
    for entry in entries:
        try:
            _complete(entry)
        except Unusable as fault:
            sentence = f"{path}: annotation {shown_at('id', entry)}: {fault.sentence}"
            faults.report(Unusable(fault.kind, sentence))
            unusable.add(id(entry))
    kept = [entry for entry in content["annotations"] if id(entry) not in unusable]
    return {**content, "annotations": kept}


def _complete(entry: dict[str, Any]) -> None:
    center: Any = entry.get("center")
    scale: Any = entry.get("scale")
    size: Any = entry.get("box_size")
    if center is not None and not (is_number_list(center) and len(center) == 2):
        raise Unusable(
            "bad centre", f"center is {shown_at('center', entry)}; it must be [x, y]."
        )
    for name in ("scale", "box_size"):
        if entry.get(name) is not None and not _is_length(entry[name]):
            raise Unusable(
                f"bad {name}",
                f"{name} is {shown_at(name, entry)}; it must be a number above 0.",
            )
    if center is not None and scale is not None:
        entry.setdefault(REGION, square(center, scale))
    elif box := _box_of_landmarks(entry.get("keypoints")):
        entry.setdefault(REGION, _square_around(box))
    if size is not None:
        entry.setdefault(NORMALIZER, float(size))


def _is_length(value: Any) -> bool:
    return is_number_list([value]) and value > 0


def _box_of_landmarks(keypoints: Any) -> list[float] | None:
    """The box around keypoints as COCO lists them, if it has an extent."""
    if not is_number_list(keypoints) or len(keypoints) % 3:
        return None
    points = np.array(keypoints, np.float64).reshape(-1, 3)
    labelled = points[points[:, 2] > 0, :2]
    box = _around(labelled) if len(labelled) else [0.0] * 4
    return box if max(box[2:]) > 0 else None
