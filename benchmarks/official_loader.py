"""A training loader as the official code has it, to measure ours against.

Written after the description of official lib/dataset/JointsDataset.py: for every person
the whole image is read, turned to RGB and, for half of them, mirrored; half body, scale
and rotation change its centre and scale; OpenCV warps it; it becomes a normalised
tensor; NumPy draws one Gaussian for each keypoint.
"""

import json
import math
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 192, 256
STRIDE = 4
SIGMA = 2
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
FLIP_PAIRS = [(left, left + 1) for left in range(1, 17, 2)]
UPPER_BODY = tuple(range(11))

_ASPECT_RATIO = WIDTH / HEIGHT
_SCALE_FACTOR = 0.35
_ROTATION_FACTOR = 45
# The official unit of a scale.
_PIXELS = 200.0


class OfficialStyle:
    """The people of COCO annotations, in the manner of torch.utils.data.Dataset."""

    def __init__(self, image_dir: str, annotations: str):
        with open(annotations, encoding="utf-8") as file:
            content = json.load(file)
        paths = {
            image["id"]: os.path.join(image_dir, image["file_name"])
            for image in content["images"]
        }
        self._people = []
        for person in content["annotations"]:
            joints = np.array(person["keypoints"], np.float32).reshape(-1, 3)
            if person["iscrowd"] or not joints[:, 2].any() or person["area"] <= 0:
                continue
            center, scale = _box_to_center_scale(*person["bbox"])
            path = paths[person["image_id"]]
            self._people.append((path, joints, center, scale))

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        """The person's image [3, H, W], targets [K, h, w] and weights [K, 1]."""
        path, joints, center, scale = self._people[index]
        # Every process draws numbers of its own.
        rng = np.random.default_rng()
        image = read(path)
        joints, center = joints.copy(), center.copy()
        visible = joints[:, 2] > 0
        if visible.sum() > 8 and rng.random() < 0.3:
            center, scale = _half_body(joints, visible, center, scale, rng)
        scale = scale * np.clip(
            rng.normal() * _SCALE_FACTOR + 1, 1 - _SCALE_FACTOR, 1 + _SCALE_FACTOR
        )
        rotation = 0.0
        if rng.random() <= 0.6:
            rotation = np.clip(rng.normal(), -2, 2) * _ROTATION_FACTOR
        if rng.random() <= 0.5:
            image = image[:, ::-1, :]
            joints = _mirrored(joints, image.shape[1])
            center[0] = image.shape[1] - center[0] - 1
        matrix = affine_transform(center, scale, rotation)
        crop = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        points = joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        targets, weights = draw_targets(points, joints[:, 2] > 0)
        return normalized(crop), targets, weights


def read(path: str) -> np.ndarray:
    """An image in RGB."""
    image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def normalized(crop: np.ndarray) -> Any:
    """What torchvision's ToTensor and Normalize make of it; an array without torch."""
    channels_first = crop.transpose(2, 0, 1)
    try:
        import torch
    except ImportError:
        scaled = np.ascontiguousarray(channels_first).astype(np.float32) / 255
        return (scaled - MEAN[:, None, None]) / STD[:, None, None]
    tensor = torch.from_numpy(channels_first).contiguous().float().div(255)
    mean, std = torch.from_numpy(MEAN), torch.from_numpy(STD)
    return tensor.sub_(mean[:, None, None]).div_(std[:, None, None])


def affine_transform(
    center: np.ndarray, scale: np.ndarray, degrees: float
) -> np.ndarray:
    """The map from image to crop, by three points, as `get_affine_transform` has it."""
    width = scale[0] * _PIXELS
    angle = math.radians(degrees)
    up = np.array([math.sin(angle), -math.cos(angle)]) * width / 2
    source = np.zeros((3, 2), np.float32)
    source[:2] = center, center + up
    target = np.zeros((3, 2), np.float32)
    target[:2] = (WIDTH / 2, HEIGHT / 2), (WIDTH / 2, HEIGHT / 2 - WIDTH / 2)
    for points in (source, target):
        across = points[0] - points[1]
        points[2] = points[1] + [-across[1], across[0]]
    return cv2.getAffineTransform(source, target)


def draw_targets(
    points: np.ndarray, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One Gaussian for each keypoint, as `generate_target` draws them."""
    width, height = WIDTH // STRIDE, HEIGHT // STRIDE
    radius = SIGMA * 3
    size = 2 * radius + 1
    targets = np.zeros((len(points), height, width), np.float32)
    weights = visible.astype(np.float32)[:, np.newaxis]
    for joint, point in enumerate(points):
        x, y = int(point[0] / STRIDE + 0.5), int(point[1] / STRIDE + 0.5)
        left, top, right, bottom = (
            x - radius,
            y - radius,
            x + radius + 1,
            y + radius + 1,
        )
        if left >= width or top >= height or right < 0 or bottom < 0:
            weights[joint] = 0
            continue
        along = np.arange(0, size, 1, np.float32)
        down = along[:, np.newaxis]
        middle = size // 2
        gaussian = np.exp(
            -((along - middle) ** 2 + (down - middle) ** 2) / (2 * SIGMA**2)
        )
        if weights[joint] > 0.5:
            columns = slice(max(0, left), min(right, width))
            rows = slice(max(0, top), min(bottom, height))
            targets[joint, rows, columns] = gaussian[
                rows.start - top : rows.stop - top,
                columns.start - left : columns.stop - left,
            ]
    return targets, weights


def batches(
    dataset: OfficialStyle, batch_size: int, workers: int
) -> Iterator[tuple[Any, ...]]:
    """Endless shuffled batches: torch's DataLoader, or without torch a plain loop."""
    if len(dataset) < batch_size:
        raise SystemExit(
            f"There are {len(dataset)} people, too few for a batch of {batch_size}."
        )
    try:
        from torch.utils import data
    except ImportError:
        yield from _loop(dataset, batch_size)
        return
    loader = data.DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
        # Workers share the cores among themselves, not each its own image.
        worker_init_fn=_use_one_thread,
    )
    while True:
        yield from loader


def _use_one_thread(worker: int) -> None:
    del worker
    cv2.setNumThreads(1)


def _loop(dataset: OfficialStyle, batch_size: int) -> Iterator[tuple[Any, ...]]:
    _use_one_thread(0)
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(len(dataset))
        for first in range(0, len(order) - batch_size + 1, batch_size):
            people = [dataset[index] for index in order[first : first + batch_size]]
            yield tuple(np.stack(part) for part in zip(*people, strict=True))


def _box_to_center_scale(
    x: float, y: float, width: float, height: float
) -> tuple[np.ndarray, np.ndarray]:
    center = np.array([x + width * 0.5, y + height * 0.5], np.float32)
    return center, _padded(width, height, 1.25)


def _padded(width: float, height: float, padding: float) -> np.ndarray:
    width, height = (
        max(width, height * _ASPECT_RATIO),
        max(height, width / _ASPECT_RATIO),
    )
    return np.array([width, height], np.float32) / _PIXELS * padding


def _half_body(
    joints: np.ndarray,
    visible: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    is_upper = np.isin(np.arange(len(joints)), UPPER_BODY)
    upper, lower = joints[visible & is_upper], joints[visible & ~is_upper]
    chosen = upper if rng.normal() < 0.5 and len(upper) > 2 else lower
    if len(chosen) <= 2:
        chosen = upper
    if len(chosen) < 2:
        return center, scale
    points = chosen[:, :2]
    extent = points.max(axis=0) - points.min(axis=0)
    return points.mean(axis=0), _padded(*extent, 1.5)


def _mirrored(joints: np.ndarray, width: int) -> np.ndarray:
    joints = joints.copy()
    joints[:, 0] = width - joints[:, 0] - 1
    for left, right in FLIP_PAIRS:
        joints[[left, right]] = joints[[right, left]]
    return joints
