"""People's boxes from a JSON file, found by image.

The file holds either COCO annotations, {"images": [...], "annotations": [...]}, or COCO
results, a list of {"image_id", "bbox", "score", "category_id"}. Annotations, but for
crowds, are matched with images by file name. Results are matched by "file_name" if they
have one, else by the number at the end of the image's file name, as in COCO's
000000000139.jpg; in a video, by the number of the frame, from 0.
"""

import json
import os
import re
from typing import Any

import numpy as np

from hrnet_tf.messages import UserError, listed

PERSON_CATEGORY = 1


class BoxesError(UserError):
    """A file without boxes that can be used."""


class PersonBoxes:
    """Boxes of one category."""

    def __init__(self, path: str, category_id: int = PERSON_CATEGORY):
        """Reads boxes of this category or without any. Raises `BoxesError`."""
        self._path = path
        self._ids: dict[str, int] = {}
        self._by_name: dict[str, list[list[float]]] = {}
        self._by_id: dict[int, list[list[float]]] = {}
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            self._read(content, category_id)
        except OSError as error:
            raise BoxesError(f"--boxes={path}: {error.strerror}.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise BoxesError(
                f"--boxes={path} must hold COCO annotations (images and annotations) "
                "or a list of results with image_id, bbox [x, y, width, height] and "
                f"score; reading it failed with {error!r}."
            ) from error
        if not self._by_name and not self._by_id:
            raise BoxesError(f"--boxes={path} has no box of category {category_id}.")

    def image_id(self, path: str) -> int | None:
        """The id that the file gives to an image, or else its name's number."""
        known = self._ids.get(os.path.basename(path))
        return number_of(path) if known is None else known

    def of_image(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [P, 4] and their scores [P] of an image file."""
        rows = self._by_name.get(os.path.basename(path))
        image_id = self.image_id(path)
        if rows is None and image_id is not None:
            rows = self._by_id.get(image_id)
        return _split(rows or [])

    def of_frame(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [P, 4] and their scores [P] of a video's frame, counted from 0."""
        return _split(self._by_id.get(number, []))

    def check(self, paths: list[str]) -> None:
        """Raises `BoxesError` if there is no box for any of the images."""
        if any(len(self.of_image(path)[0]) for path in paths):
            return
        known = sorted(self._by_name) or [str(number) for number in sorted(self._by_id)]
        raise BoxesError(
            f"--boxes={self._path} has no box for any of the {len(paths)} images, such "
            f"as {os.path.basename(paths[0])}: it has boxes for {listed(known)}. "
            "Images are matched by file_name, or by the number that ends their name."
        )

    def _read(self, content: Any, category_id: int) -> None:
        names = {}
        rows = content
        if isinstance(content, dict):
            names = {image["id"]: image["file_name"] for image in content["images"]}
            self._ids = {os.path.basename(n): i for i, n in names.items()}
            rows = content["annotations"]
        for row in rows:
            is_other = row.get("category_id", category_id) != category_id
            if is_other or row.get("iscrowd"):
                continue
            box = [float(value) for value in row["bbox"]]
            if len(box) != 4:
                raise ValueError(f"bbox {row['bbox']} has {len(box)} numbers")
            box.append(float(row.get("score", 1.0)))
            name = row.get("file_name") or names.get(row.get("image_id"))
            if name is not None:
                self._by_name.setdefault(os.path.basename(name), []).append(box)
            if "image_id" in row:
                self._by_id.setdefault(row["image_id"], []).append(box)
            elif name is None:
                raise KeyError("image_id")


def number_of(path: str) -> int | None:
    """The number at the end of a file's name, without the suffix; None without one."""
    stem = os.path.splitext(os.path.basename(path))[0]
    digits = re.search(r"\d+$", stem)
    return int(digits.group()) if digits else None


def _split(rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, np.float32).reshape(len(rows), 5)
    return table[:, :4], table[:, 4]
