r"""Draws the built-in dataset: articulated people among things, in COCO's layout.

  python -m hrnet_tf.data.synthetic --output_dir=synthetic --num_train=2000

writes

  images/{train,val}/000000000001.jpg ...
  annotations/person_keypoints_{train,val}.json   17 COCO keypoints, boxes, masks
  annotations/instances_{train,val}.json          people and things: boxes, masks
  annotations/part_labels.json                    {"names": [...]}, by pixel value
  parts/{train,val}/000000000001.png ...          a body part's number per pixel

Boxes, areas and masks (compressed RLE) are those of visible pixels. Things are discs,
boxes and bars; where less than half of one is in sight it is marked as a crowd.
A keypoint's flag is 2 in sight, 1 hidden behind something, 0 outside the image. Left
limbs are dressed in warm colours, right ones in cool colours: where training should
tell them apart by colour alone, leave mirroring out of the augmentation.

An image depends on the seed, its split and its number only: a longer dataset begins
with the shorter one, whatever the number of processes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from absl import flags

from hrnet_tf import command_line
from hrnet_tf.data.synthetic.people import PART_NAMES
from hrnet_tf.data.synthetic.scenes import MAX_PEOPLE, MIN_SIDE, THINGS, draw_scene
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.progress import Progress

SPLITS = ("train", "val")

# Shorter side over longer side: square, 4:3 and 3:2.
_ASPECT_RATIOS = (1.0, 3 / 4, 2 / 3)
_LARGEST_SIDE = 4096
_THING_CATEGORIES = {name: number for number, name in enumerate(THINGS, 2)}
_JPEG_QUALITY = 92


class OutputError(Exception):
    """The output folder cannot be used; the message is a sentence for the user."""


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
    """Writes a whole dataset, or nothing; the module's docstring tells the layout.

    Args:
      output_dir: a folder that does not exist yet, or is empty.
      num_train: number of training images.
      num_val: number of validation images.
      image_size: longer side of every image in pixels.
      max_people: each image has 1 to this many people, where they find room.
      seed: at least 0; another seed gives another dataset.
      num_workers: number of processes; 1 draws in this one.

    Returns:
      The number of people drawn.

    Raises:
      OutputError: `output_dir` is in use already.
      ValueError: a size or number out of range.
    """
    output_dir = os.path.abspath(output_dir)
    _check_output(output_dir)
    num_people = 0
    with _written_whole(output_dir) as folder, _mapper(num_workers) as map_images:
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
    return num_people


def _check_output(output_dir: str) -> None:
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
def _written_whole(output_dir: str) -> Iterator[str]:
    """A folder beside `output_dir` that takes its name if the `with` block succeeds."""
    folder = f"{output_dir}.unfinished-{os.getpid()}"
    os.makedirs(folder)
    try:
        yield folder
        if os.path.isdir(output_dir):
            os.rmdir(output_dir)
        os.rename(folder, output_dir)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _mapper(num_workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that keeps the order, in one process or in several."""
    if num_workers == 1:
        yield map
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        # Forking is unsafe once the caller has started threads, as TensorFlow does.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        yield functools.partial(pool.map, chunksize=8)
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the processes themselves use all cores
    # Ctrl-C reaches every process; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_image(
    folder: str, split: str, image_size: int, max_people: int, seed: int, index: int
) -> dict[str, Any]:
    """Draws and writes one image and its part map; returns what the JSON files say."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    longer = image_size
    shorter = round(image_size * _ASPECT_RATIOS[rng.integers(len(_ASPECT_RATIOS))])
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
            file.write(data)
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
    category = {"id": 1, "name": "person", "supercategory": "person"}
    thing_categories = [
        {"id": number, "name": name, "supercategory": "thing"}
        for name, number in _THING_CATEGORIES.items()
    ]
    skeleton = skeletons.load_skeleton("coco17")
    keypoint_category = {
        **category,
        "keypoints": skeleton.keypoints,
        # COCO counts keypoints from 1 here.
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.limbs],
    }
    for kind, kind_annotations, categories in (
        ("person_keypoints", people, [keypoint_category]),
        ("instances", instances, [category, *thing_categories]),
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


def _write_json(content: dict[str, Any], folder: str, name: str) -> None:
    path = os.path.join(folder, "annotations", name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))


def _define_flags() -> flags.FlagValues:
    """The command's own flags, apart from absl's global ones."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "output_dir",
        None,
        "Folder to write; it must not exist yet, or be empty.",
        flag_values=values,
    )
    flags.mark_flag_as_required("output_dir", flag_values=values)
    for name, default, low, high, text in (
        ("num_train", 2000, 1, None, "Number of training images."),
        ("num_val", 200, 1, None, "Number of validation images."),
        (
            "image_size",
            256,
            # The shorter side must be large enough, too.
            round(MIN_SIDE / min(_ASPECT_RATIOS)),
            _LARGEST_SIDE,
            "Longer side of every image in pixels; the shorter one varies.",
        ),
        ("max_people", 4, 1, MAX_PEOPLE, "Each image has 1 to this many people."),
        ("seed", 0, 0, None, "Another seed gives another dataset."),
        (
            "num_workers",
            None,
            1,
            None,
            "Number of processes; by default one per CPU core. The files are the same.",
        ),
    ):
        flags.DEFINE_integer(
            name, default, text, lower_bound=low, upper_bound=high, flag_values=values
        )
    return values


def draw(values: flags.FlagValues) -> None:
    """Draws what the flags say."""
    num_people = draw_dataset(
        values.output_dir,
        values.num_train,
        values.num_val,
        image_size=values.image_size,
        max_people=values.max_people,
        seed=values.seed,
        num_workers=values.num_workers or os.cpu_count() or 1,
    )
    print(
        f"Wrote {values.num_train} training and {values.num_val} validation images "
        f"with {num_people} people to {values.output_dir}"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(
        draw,
        _define_flags(),
        argv,
        failures=(OutputError, OSError, concurrent.futures.BrokenExecutor),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
