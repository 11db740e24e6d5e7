"""The drawn videos on disk, with COCO annotations; `__main__.py` describes them."""

import json
import os
from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files.video_writing import VideoWriter
from hrnet_tf.data.synthetic.dataset import check_unused, person_category
from hrnet_tf.data.synthetic.films import SCENES, SECONDS, film_frames
from hrnet_tf.output_files import written_whole
from hrnet_tf.progress import Progress


def draw_films(
    output_dir: str, rates: Sequence[int], *, width: int = 640, seed: int = 0
) -> list[str]:
    """Writes all films at all rates, or nothing; returns their names without a suffix.

    Args:
        output_dir: A folder that does not exist yet, or is empty.
        rates: Frames in a second.
        width: Of the frames, in pixels; they are 16:9.
        seed: Another one gives other clothes and other grounds.

    Raises:
        OutputError: If the folder is in use already.
        MediaError: Without PyAV.
    """
    output_dir = os.path.abspath(output_dir)
    check_unused(output_dir)
    # Videos have even sides.
    size = round(width * 9 / 32) * 2, width // 2 * 2
    names = []
    total = round(sum(rates) * SECONDS) * len(SCENES)
    with (
        written_whole(output_dir) as folder,
        Progress(total, "Drawing", unit="frame") as progress,
    ):
        os.makedirs(folder)
        for scene in SCENES:
            for rate in rates:
                names.append(f"{scene}_{rate}")
                _draw_film(os.path.join(folder, names[-1]), scene, rate, size, seed)
                progress.advance(round(rate * SECONDS))
        if os.path.isdir(output_dir):
            os.rmdir(output_dir)  # Fails if it is no longer empty.
    return names


def _draw_film(
    path: str, scene: str, rate: int, size: tuple[int, int], seed: int
) -> None:
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    with VideoWriter(f"{path}.mp4", rate) as writer:
        for number, frame in enumerate(film_frames(scene, rate, size, seed)):
            assert frame.image is not None
            writer.write(frame.image, frame.seconds)
            images.append(
                {
                    "id": number,
                    "file_name": f"{os.path.basename(path)}/{number:06}.png",
                    "seconds": frame.seconds,
                    "height": size[0],
                    "width": size[1],
                }
            )
            of_frame = {"image_id": number, "category_id": 1, "iscrowd": 0}
            people += [{**of_frame, **person} for person in frame.people]
    for number, person in enumerate(people, 1):
        person["id"] = number
    content = {
        "info": {"description": "Synthetic people drawn by hrnet_tf"},
        "licenses": [],
        "images": images,
        "annotations": people,
        "categories": [person_category()],
    }
    with open(f"{path}.json", "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))
