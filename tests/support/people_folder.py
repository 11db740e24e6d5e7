"""A small data set of standing people, which tests damage."""

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data import coco_pose, inspect
from hrnet_tf.data.vocabularies.skeletons import load_skeleton

WIDTH, HEIGHT = 160, 120
# A standing person who faces the camera, in a box of 40x100: COCO's keypoints.
STANDING = [
    *((20, 10), (23, 8), (17, 8), (26, 10), (14, 10)),  # nose, eyes, ears
    *((30, 25), (10, 25), (34, 40), (6, 40), (36, 55), (4, 55)),  # arms
    *((27, 55), (13, 55), (27, 75), (13, 75), (27, 95), (13, 95)),  # legs
]


def picture(seed: int) -> np.ndarray:
    """A smooth random picture, uint8 [120, 160, 3]."""
    grid = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), np.uint8)
    return cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels: np.ndarray, quality: int = 90, orientation: int = 1) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def standing(x: float = 50, y: float = 10, seed: int = 0) -> list[float]:
    """Keypoints of a standing person whose box begins at x, y; a bit of noise."""
    noise = np.random.default_rng(seed).normal(0, 0.5, (17, 2))
    points = np.array(STANDING) + [x, y] + noise
    return np.concatenate([points, np.full((17, 1), 2)], axis=1).ravel().tolist()


class PeopleFolder:
    """COCO annotations and images in a folder; tests change `content`."""

    def __init__(self, folder: Path, count: int = 12):
        self.folder = folder
        self.image_dir = folder / "images"
        self.image_dir.mkdir()
        self.content: dict[str, Any] = {
            "images": [],
            "annotations": [],
            "categories": [
                {
                    "id": 1,
                    "name": "person",
                    "keypoints": list(load_skeleton("coco17").keypoints),
                }
            ],
        }
        for number in range(count):
            name = f"{number:02d}.jpg"
            (self.image_dir / name).write_bytes(jpeg(picture(number)))
            self.content["images"].append(
                {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            )
            self.content["annotations"].append(self.person(number))

    @staticmethod
    def person(number: int, **changes: Any) -> dict[str, Any]:
        """The person of an image, with the annotation id 100 + the image's."""
        return {
            "id": 100 + number,
            "image_id": number,
            "category_id": 1,
            "bbox": [50, 10, 40, 100],
            "area": 2500.0,
            "iscrowd": 0,
            "num_keypoints": 17,
            "keypoints": standing(seed=number),
            **changes,
        }

    def change(self, number: int, **changes: Any) -> None:
        """Changes the annotation of an image."""
        self.content["annotations"][number].update(changes)

    @property
    def flags(self) -> list[str]:
        """Writes the annotations; the flags that name the data set."""
        path = self.folder / "people.json"
        path.write_text(json.dumps(self.content))
        return [f"--annotations={path}", f"--image_dir={self.image_dir}"]

    def convert(self) -> str:
        """Makes records and returns their pattern."""
        prefix = f"{self.folder}/records/train"
        flags = [*self.flags, f"--output_prefix={prefix}", "--overwrite"]
        assert coco_pose.main(["coco_pose", *flags]) == 0
        return f"{prefix}-*"

    def inspect(self, *flags: str) -> dict[str, Any]:
        """The report as JSON."""
        return run_inspect(self.folder, *self.flags, *flags)


def run_inspect(folder: Path, *flags: str) -> dict[str, Any]:
    """Runs the command, which must succeed, and returns its report as JSON."""
    path = folder / "report.json"
    assert inspect.main(["inspect", f"--json={path}", *flags]) == 0
    return json.loads(path.read_text())
