"""People's boxes from a JSON file, found by image.

The file holds either COCO annotations, {"images": [...], "annotations": [...]}, or COCO
results, a list of {"image_id", "bbox", "score", "category_id"}. Annotations, but for
crowds, are matched with images by file name. Results are matched by "file_name" if they
have one, else by the number at the end of the image's file name, as in COCO's
000000000139.jpg; in a video, by the number of the frame, from 0.

Annotations are checked as ground truth is, except that ids and categories of
annotations and sizes of images may be missing. A detector's boxes may lack an extent:
these are left out.

Names are compared from their end, as far as folders agree: cam1/a.jpg is the image
cam1/a.jpg rather than cam2/a.jpg or a.jpg. Where that leaves a choice, it is refused.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files import matching_names
from hrnet_tf.data.files.coco_annotations import (
    LARGEST_ID,
    ImageEntry,
    check_bbox,
    read_bbox,
    read_file_name,
    read_image,
    read_iscrowd,
    require_ids,
)
from hrnet_tf.data.files.detections import read_result_box, read_score
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.files.matching_names import normalized
from hrnet_tf.input_files import InputFileError, read_json
from hrnet_tf.messages import UserError, listed, shown

PERSON_CATEGORY = 1

_KIND = "bad box"


class BoxesError(UserError):
    """A file without boxes that can be used."""


class PersonBoxes:
    """Boxes of one category. Images are given by their paths below the input folder."""

    def __init__(self, path: str, category_id: int = PERSON_CATEGORY):
        """Reads boxes of this category or without any. Raises `BoxesError`."""
        self._path = path
        self._ids: dict[str, int] = {}
        self._by_name: dict[str, list[list[float]]] = {}
        self._by_number: dict[int, list[list[float]]] = {}  # those without a name
        self._by_frame: dict[int, list[list[float]]] = {}
        self._matches: dict[str, str | None] = {}
        self._sizes: dict[str, tuple[Any, Any]] = {}
        try:
            self._read(path, category_id)
        except InputFileError as error:
            raise BoxesError(f"--boxes={error}") from None
        except ConversionError as error:
            raise BoxesError(
                f"--boxes={path}: {error} It must hold COCO annotations (images and "
                "annotations) or a list of results with image_id, bbox [x, y, width, "
                "height] and score."
            ) from None
        if not self._by_name and not self._by_frame:
            raise BoxesError(f"--boxes={path} has no box of category {category_id}.")

    def image_id(self, path: str) -> int | None:
        """The id that the file gives to an image, or else its name's number."""
        name = self._name_of(path)
        known = None if name is None else self._ids.get(name)
        return number_of(path) if known is None else known

    def of_image(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [P, 4] and their scores [P] of an image file."""
        name = self._name_of(path)
        if name is not None:
            return _split(self._by_name.get(name, []))
        number = number_of(path)
        return _split([] if number is None else self._by_number.get(number, []))

    def size_of(self, path: str) -> tuple[Any, Any]:
        """Width and height that annotations list for an image; None if they do not."""
        return self._sizes.get(self._name_of(path) or "", (None, None))

    def of_frame(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [P, 4] and their scores [P] of a video's frame, counted from 0."""
        return _split(self._by_frame.get(number, []))

    def check(self, paths: Sequence[str]) -> None:
        """Matches all images; raises `BoxesError` if none has a box, or there are ways.

        Call it first: which names belong to an image depends on the other images.
        """
        self._match(paths)
        self._check_numbers(paths)
        if any(len(self.of_image(path)[0]) for path in paths):
            return
        known = sorted(self._by_name) or list(map(str, sorted(self._by_frame)))
        raise BoxesError(
            f"--boxes={self._path} has no box for any of the {len(paths)} images, such "
            f"as {os.path.basename(paths[0])}: it has boxes for {listed(known)}. "
            "Images are matched by file_name, or by the number that ends their name."
        )

    def _name_of(self, path: str) -> str | None:
        """The name in the file that belongs to an image, if any."""
        if path not in self._matches:
            self._match([path])
        return self._matches[path]

    def _match(self, paths: Sequence[str]) -> None:
        """Finds the name of each image: the two agree further than with any other."""
        # Names that agree further with another image belong to that one.
        found, best_paths = matching_names.match({*self._ids, *self._by_name}, paths)
        for path in paths:
            names = found[path]
            if len(names) > 1:
                raise BoxesError(
                    f"--boxes={self._path}: the image {path} could be "
                    f"{listed(sorted(names))}. Give the folder above as --input, so "
                    "that the image's path tells."
                )
            if names and names[0] in self._by_name and len(best_paths[names[0]]) > 1:
                raise BoxesError(
                    f"--boxes={self._path}: {names[0]} could be any of the images "
                    f"{listed(sorted(best_paths[names[0]]))}. Write file_name with the "
                    "folder, as below --input."
                )
            self._matches[path] = names[0] if names else None

    def _check_numbers(self, paths: Sequence[str]) -> None:
        seen: dict[int, str] = {}
        for path in paths:
            number = number_of(path)
            if self._name_of(path) is not None or number not in self._by_number:
                continue
            if number in seen:
                raise BoxesError(
                    f"--boxes={self._path}: its boxes of image {number} have no "
                    f"file_name and could be those of {seen[number]} or {path}, whose "
                    "names end in the same number. Give each box a file_name."
                )
            seen[number] = path

    def _read(self, path: str, category_id: int) -> None:
        content = read_json(path)
        if isinstance(content, dict):
            for key in ("images", "annotations"):
                if not isinstance(content.get(key), list):
                    raise ConversionError(f"it has no list {key!r}.")
            self._read_annotations(content, category_id)
        elif isinstance(content, list):
            for place, row in enumerate(content):
                with _named("results", place):
                    if _is_of(row, category_id):
                        self._add_result(row)
        else:
            raise ConversionError(f"It is {shown(content)}.")

    def _read_annotations(self, content: dict[str, Any], category_id: int) -> None:
        images = self._read_images(content["images"])
        seen_ids: set[int] = set()
        for place, row in enumerate(content["annotations"]):
            with _named("annotations", place):
                if not _is_of(row, category_id):
                    continue
                require_ids(_KIND, row, "image_id")
                image = images.get(row["image_id"])
                if image is None:
                    raise Unusable(
                        _KIND, f"image_id {row['image_id']} is not in 'images'."
                    )
                box = read_bbox(row)
                check_bbox(box, image if image.width else None)
                if "id" in row:
                    require_ids(_KIND, row, "id")
                    if row["id"] in seen_ids:
                        raise Unusable(_KIND, f"the id {row['id']} is used twice.")
                    seen_ids.add(row["id"])
                if not read_iscrowd(_KIND, row):
                    score = read_score({"score": 1.0, **row})
                    self._keep([*box, score], normalized(image.file_name), image.id)

    def _read_images(self, entries: list[Any]) -> dict[int, ImageEntry]:
        images: dict[int, ImageEntry] = {}
        for place, entry in enumerate(entries):
            with _named("images", place):
                image = _read_image(entry, place)
                name = normalized(image.file_name)
                if image.id in images:
                    raise Unusable(_KIND, f"the id {image.id} is used twice.")
                if name in self._ids:
                    raise Unusable(
                        _KIND,
                        f"file_name is {shown(name)}, as that of the image "
                        f"{self._ids[name]}; list an image once.",
                    )
                images[image.id] = image
                self._ids[name] = image.id
                if image.width:
                    self._sizes[name] = image.width, image.height
        return images

    def _add_result(self, row: dict[str, Any]) -> None:
        name = None
        if row.get("file_name") is not None:
            name = normalized(read_file_name(_KIND, row))
        if name is None or "image_id" in row:
            require_ids(_KIND, row, "image_id", least=0)
        box = [*read_result_box(row), read_score({"score": 1.0, **row})]
        if min(box[2:4]) > 0 and not read_iscrowd(_KIND, row):
            self._keep(box, name, row.get("image_id"))

    def _keep(self, box: list[float], name: str | None, image_id: int | None) -> None:
        if name is not None:
            self._by_name.setdefault(name, []).append(box)
            if image_id is not None:
                self._ids.setdefault(name, image_id)
        elif image_id is not None:
            self._by_number.setdefault(image_id, []).append(box)
        if image_id is not None:
            self._by_frame.setdefault(image_id, []).append(box)


@contextlib.contextmanager
def _named(group: str, place: int) -> Iterator[None]:
    """Names the entry whose reading raises `Unusable`, in a `ConversionError`."""
    try:
        yield
    except Unusable as fault:
        raise ConversionError(f"{group}[{place}]: {fault.sentence}") from None


def _require_object(row: Any) -> None:
    if not isinstance(row, dict):
        raise Unusable(_KIND, f"it is {shown(row)}; it must be an object.")


def _is_of(row: Any, category_id: int) -> bool:
    """Whether a box is of this category, or of none."""
    _require_object(row)
    if "category_id" in row:
        require_ids(_KIND, row, "category_id")
    return row.get("category_id", category_id) == category_id


def _read_image(entry: Any, place: int) -> ImageEntry:
    """Checks an entry of `images`; its size is 0 if it tells none."""
    _require_object(entry)
    if "width" in entry or "height" in entry:
        return read_image(entry, place)
    require_ids(_KIND, entry, "id", least=0)
    return ImageEntry(entry["id"], read_file_name(_KIND, entry), 0, 0, place)


def number_of(path: str) -> int | None:
    """The number at the end of a file's name, without the suffix; None without one."""
    stem = os.path.splitext(os.path.basename(path))[0]
    digits = re.search(r"\d+$", stem)
    number = int(digits.group()) if digits else None
    return None if number is None or number > LARGEST_ID else number


def _split(rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, np.float32).reshape(len(rows), 5)
    return table[:, :4], table[:, 4]
