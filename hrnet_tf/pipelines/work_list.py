"""A file with a line for each block of images: what the workers of a pipeline share.

It says all that depends on the other images: the blocks, ids, and whose boxes are
whose. A runner reads it in parts, so that no worker has more than its blocks in memory.

    {"place": 8, "images": [["a/9.jpg", 9, [[x, y, width, height, score]]], ...]}
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.image_results import Image
from hrnet_tf.serving.inputs import Input

# A block as runners pass it on: for each image its name, id, and rows of boxes or None.
Entries = list[tuple[str, int, list[list[float]] | None]]


def write(path: str, blocks: Iterable[Sequence[Image]]) -> None:
    """Writes the list, here or at an address."""
    with tf.io.gfile.GFile(path, "w") as file:
        for block in blocks:
            entries = [(i.file.name, i.image_id, _rows_of(i.boxes)) for i in block]
            line = json.dumps({"place": block[0].place, "images": entries})
            file.write(f"{line}\n")


def read_line(line: str) -> tuple[int, Entries]:
    """The place of a block's first image, and the block."""
    found = json.loads(line)
    return found["place"], found["images"]


def images_of(entries: Entries, folder: str, output_dir: str) -> list[Image]:
    """The images of a block, whose places nobody asks for any more."""
    return [
        Image(place, Input(folder, name, output_dir), image_id, _boxes_of(rows))
        for place, (name, image_id, rows) in enumerate(entries)
    ]


def _rows_of(boxes: Boxes | None) -> list[list[float]] | None:
    if boxes is None:
        return None
    return np.column_stack([boxes.boxes, boxes.scores]).tolist()


def _boxes_of(rows: list[list[float]] | None) -> Boxes | None:
    if rows is None:
        return None
    table: Any = np.array(rows, np.float32).reshape(len(rows), 5)
    return Boxes(table[:, :4], table[:, 4])
