"""The drawn data set on disk; `__main__.py` describes its layout."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from hrnet_tf import processes
from hrnet_tf.data.synthetic.limits import ASPECT_RATIOS
from hrnet_tf.data.synthetic.people import PART_NAMES
from hrnet_tf.data.synthetic.scenes import THINGS, draw_scene
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.output_files import OutputError, written_whole
from hrnet_tf.progress import Progress

SPLITS = ("train", "val")

_THING_CATEGORIES = {name: number for number, name in enumerate(THINGS, 2)}
_PERSON = {"id": 1, "name": "person", "supercategory": "person"}
_JPEG_QUALITY = 92


def draw_dataset(
    output_dir: str,
    num_train: int = 2000,
    num_val: int = 200,
    *,
    image_size: int = 256,
    max_people: int = 4,
    seed: int = 0,
    num_workers: int = 1,
) -> int:
    """Writes a whole data set, or nothing; returns the number of people drawn.

    The flags of `hrnet_tf.data.synthetic` describe the arguments. Raises `OutputError`
    if `output_dir` is in use already, and `ValueError` if a number is out of range.
    """
    output_dir = os.path.abspath(output_dir)
    check_unused(output_dir)
    num_people = 0
    with written_whole(output_dir) as folder, _mapper(num_workers) as map_images:
        os.makedirs(os.path.join(folder, "annotations"))
        with Progress(num_train + num_val, "Drawing") as progress:
            for split, count in zip(SPLITS, (num_train, num_val), strict=True):
                for kind in ("images", "parts"):
                    os.makedirs(os.path.join(folder, kind, split))
                draw = functools.partial(
                    _write_image, folder, split, image_size, max_people, seed
                )
                entries = []
                for entry in map_images(draw, range(count)):
                    entries.append(entry)
                    progress.advance()
                num_people += _write_annotations(folder, split, entries)
        _write_json({"names": PART_NAMES}, folder, "part_labels.json")
        if os.path.isdir(output_dir):
            os.rmdir(output_dir)  # Fails if it is no longer empty.
    return num_people


def check_unused(output_dir: str) -> None:
    """Raises `OutputError` at a file, or a folder that holds something."""
    if not os.path.exists(output_dir):
        return
    if not os.path.isdir(output_dir):
        raise OutputError(
            f"--output_dir={output_dir} is a file; name a folder that does not exist "
            "yet, or an empty one."
        )
    if os.listdir(output_dir):
        raise OutputError(
            f"--output_dir={output_dir} is not empty, and nothing in it is replaced; "
            "name another folder, or remove this one first."
        )


@contextlib.contextmanager
def _mapper(num_workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that keeps the order, in one process or in several."""
    if num_workers == 1:
        yield map
        return
    with processes.pool(
        num_workers, "--num_workers", cv2.setNumThreads, [1], preload=[__name__]
    ) as pool:
        # The processes themselves use all cores.
        yield functools.partial(pool.map, chunksize=8)


def _write_image(
    folder: str, split: str, image_size: int, max_people: int, seed: int, index: int
) -> dict[str, Any]:
    """Draws and writes one image and its part map; returns what the JSON files say."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    longer = image_size
    shorter = round(image_size * ASPECT_RATIOS[rng.integers(len(ASPECT_RATIOS))])
    height, width = (shorter, longer) if rng.random() < 0.5 else (longer, shorter)
    scene = draw_scene(rng, height, width, max_people)

    name = f"{index + 1:012d}"
    pixels = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    for path, data in (
        (("images", split, f"{name}.jpg"), cv2.imencode(".jpg", pixels, quality)[1]),
        (("parts", split, f"{name}.png"), cv2.imencode(".png", scene.parts)[1]),
    ):
        with open(os.path.join(folder, *path), "wb") as file:
            file.write(data.tobytes())
    return {
        "image": {
            "id": index + 1,
            "file_name": f"{name}.jpg",
            "height": height,
            "width": width,
        },
        "people": scene.people,
        "things": scene.things,
    }


def _write_annotations(folder: str, split: str, entries: list[dict[str, Any]]) -> int:
    """Writes both JSON files of a split; returns the number of people in it."""
    people: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    for entry in entries:
        of_image = {"image_id": entry["image"]["id"], "iscrowd": 0}
        people += [
            {"category_id": 1, **of_image, **person} for person in entry["people"]
        ]
        for thing in entry["things"]:
            category_id = _THING_CATEGORIES[thing.pop("name")]
            things.append({"category_id": category_id, **of_image, **thing})
    for number, annotation in enumerate([*people, *things], 1):
        annotation["id"] = number
    instances = [
        {
            key: value
            for key, value in annotation.items()
            if key not in ("keypoints", "num_keypoints")
        }
        for annotation in [*people, *things]
    ]
    thing_categories = [
        {"id": number, "name": name, "supercategory": "thing"}
        for name, number in _THING_CATEGORIES.items()
    ]
    keypoint_category = person_category()
    for kind, kind_annotations, categories in (
        ("person_keypoints", people, [keypoint_category]),
        ("instances", instances, [_PERSON, *thing_categories]),
    ):
        dataset = {
            "info": {"description": "Synthetic people drawn by hrnet_tf"},
            "licenses": [],
            "images": [entry["image"] for entry in entries],
            "annotations": kind_annotations,
            "categories": categories,
        }
        _write_json(dataset, folder, f"{kind}_{split}.json")
    return len(people)


def person_category() -> dict[str, Any]:
    """COCO's category of people, with the names of keypoints."""
    skeleton = skeletons.load_skeleton("coco17")
    return {
        **_PERSON,
        "keypoints": skeleton.keypoints,
        # COCO counts keypoints from 1 here.
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.limbs],
    }


def _write_json(content: dict[str, Any], folder: str, name: str) -> None:
    path = os.path.join(folder, "annotations", name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))
