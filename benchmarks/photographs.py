"""Generated data of COCO's kind: pictures that cost what photographs cost, with people.

Pictures are noise whose amplitude falls with frequency, as that of photographs does,
and files of COCO's quality and sampling of colours: at 640x480, COCO's usual size, they
have COCO's 160 kB, and decoding takes as long. People are random skeletons; nobody is
drawn, since only their numbers count.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 480, 640
# As most of COCO's files: colours are stored for every pixel.
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
_NUM_TEXTURES = 8

# COCO's 17 keypoints of somebody who stands, as shares of the box.
_STANDING = np.array(
    [
        *((0.50, 0.08), (0.54, 0.06), (0.46, 0.06), (0.59, 0.08), (0.41, 0.08)),
        *((0.68, 0.22), (0.32, 0.22), (0.78, 0.38), (0.22, 0.38), (0.82, 0.52)),
        *((0.18, 0.52), (0.62, 0.54), (0.38, 0.54), (0.63, 0.75), (0.37, 0.75)),
        *((0.64, 0.96), (0.36, 0.96)),
    ]
)
# Of COCO's people with keypoints, about two thirds of the keypoints are labelled.
_LABELLED = 0.65


def write_people(
    folder: str, num_images: int, people_per_image: float, seed: int = 0
) -> tuple[str, str]:
    """Writes pictures and COCO annotations; returns the paths of both.

    Every image has one person at least, `people_per_image` on average. Their boxes are
    60 to 450 pixels high.
    """
    rng = np.random.default_rng(seed)
    image_dir = os.path.join(folder, "images")
    annotations = os.path.join(folder, "people.json")
    write_pictures(image_dir, num_images, seed)
    images, people = [], []
    for number in range(1, num_images + 1):
        images.append(
            {
                "id": number,
                "file_name": _name(number),
                "width": WIDTH,
                "height": HEIGHT,
            }
        )
        for _ in range(1 + rng.poisson(people_per_image - 1)):
            people.append({"id": len(people) + 1, "image_id": number, **_person(rng)})
    content = {
        "images": images,
        "categories": [{"id": 1, "name": "person"}],
        "annotations": people,
    }
    with open(annotations, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return image_dir, annotations


def write_pictures(folder: str, count: int, seed: int = 0) -> None:
    """Writes so many JPEG files."""
    os.makedirs(folder)
    for number, picture in enumerate(pictures(count, seed), start=1):
        path = os.path.join(folder, _name(number))
        cv2.imwrite(path, picture, _JPEG)


def pictures(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields pictures, uint8 [HEIGHT, WIDTH, 3]."""
    rng = np.random.default_rng(seed)
    textures = [_texture(rng) for _ in range(min(count, _NUM_TEXTURES))]
    for _ in range(count):
        texture = textures[rng.integers(len(textures))]
        contrast, brightness = rng.uniform(0.75, 1.0), rng.uniform(100, 150)
        moved = np.roll(texture, rng.integers(WIDTH, size=2), axis=(0, 1))
        picture = moved * np.float32(contrast) + np.float32(brightness)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _name(number: int) -> str:
    return f"{number:012d}.jpg"


def _texture(rng: np.random.Generator) -> np.ndarray:
    """float32 [HEIGHT, WIDTH, 3] about 0, mostly grey, as photographs are."""
    vertical = np.fft.fftfreq(HEIGHT)[:, np.newaxis]
    horizontal = np.fft.rfftfreq(WIDTH)
    frequency = np.hypot(vertical, horizontal)
    frequency[0, 0] = np.inf
    layers = []
    for exponent in (1.35, 1.8, 1.8):  # Lightness, and two differences of colours.
        phase = rng.uniform(0, 2 * np.pi, frequency.shape)
        layer = np.fft.irfft2(np.exp(1j * phase) / frequency**exponent, (HEIGHT, WIDTH))
        layers.append(layer / layer.std())
    grey, first, second = layers
    colored = np.stack(
        [55 * grey + 12 * first, 55 * grey, 55 * grey + 12 * second], axis=-1
    )
    return colored.astype(np.float32)


def _person(rng: np.random.Generator) -> dict[str, Any]:
    # Small people are more frequent than large ones: heights are log-uniform.
    height = np.exp(rng.uniform(np.log(60), np.log(450)))
    width = min(height * rng.uniform(0.3, 0.8), WIDTH - 2)
    x, y = rng.uniform(0, WIDTH - width - 1), rng.uniform(0, HEIGHT - height - 1)
    shares = np.clip(_STANDING + rng.normal(0, 0.03, _STANDING.shape), 0, 1)
    points = np.round(np.array([x, y]) + shares * [width, height])
    labelled = rng.uniform(size=len(points)) < _LABELLED
    labelled[0] = True
    visible = labelled * rng.integers(1, 3, len(points))
    keypoints = np.concatenate([points, visible[:, np.newaxis]], axis=1)
    keypoints[~labelled] = 0
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [round(float(value), 2) for value in (x, y, width, height)],
        "area": round(float(0.6 * width * height), 2),
        "num_keypoints": int(labelled.sum()),
        "keypoints": keypoints.astype(int).ravel().tolist(),
    }
