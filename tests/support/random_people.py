"""Annotated people at random places, and predictions of them, without files."""

from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.coco_files import Truth


def random_truth(
    skeleton: Skeleton,
    num_images: int = 12,
    seed: int = 0,
    share_missing: float = 0.2,
    crowd_index: dict[int, float] | None = None,
) -> Truth[CocoPeople]:
    """Up to three people an image, of about 100 pixels, some joints not labelled."""
    rng = np.random.default_rng(seed)
    images, people = [], {}
    for image_id in range(1, num_images + 1):
        images.append(ImageEntry(image_id, f"{image_id}.jpg", 640, 480))
        people[image_id] = [
            _person(skeleton, rng, 10 * image_id + place, share_missing)
            for place in range(rng.integers(1, 4))
        ]
    content = CocoPeople(images, people, [1], 0, 0, [], crowd_index or {})
    return Truth("people.json", content, "")


def _person(
    skeleton: Skeleton, rng: np.random.Generator, person_id: int, share_missing: float
) -> Person:
    corner, size = rng.uniform(0, 300, 2), rng.uniform(60, 160, 2)
    points = corner + size * rng.uniform(size=(skeleton.num_keypoints, 2))
    visible = np.where(rng.uniform(size=len(points)) < share_missing, 0, 2)
    visible[0] = 2
    keypoints = np.column_stack([points * (visible > 0)[:, np.newaxis], visible])
    return Person(
        id=person_id,
        bbox=[*corner, *size],
        area=0.6 * float(size.prod()),
        iscrowd=False,
        keypoints=keypoints.ravel().tolist(),
        normalizer=float(rng.uniform(10, 40)),
    )


def everyone(truth: Truth[CocoPeople]) -> list[tuple[int, Person]]:
    """All people, with their images."""
    content = truth.content
    return [(number, p) for number, some in content.people.items() for p in some]


def truth_arrays(truth: Truth[CocoPeople]) -> np.ndarray:
    """Keypoints of all people, [M, K, 3]."""
    return np.array([np.reshape(p.keypoints, (-1, 3)) for _, p in everyone(truth)])


def predict(
    truth: Truth[CocoPeople], noise: float = 8.0, seed: int = 1
) -> dict[str, Any]:
    """Predictions of all people, off by normally distributed errors."""
    rng = np.random.default_rng(seed)
    people = everyone(truth)
    keypoints = truth_arrays(truth)
    # As a network's: somewhere, too, where nothing is labelled.
    keypoints[..., :2] += rng.normal(0, noise, keypoints[..., :2].shape)
    keypoints[..., 2] = rng.uniform(0.1, 1, keypoints.shape[:2])
    return {
        "image_id": np.array([image_id for image_id, _ in people]),
        "person_id": np.array([person.id for _, person in people]),
        "keypoints": keypoints,
        "box_score": np.ones(len(people)),
        "area": np.array([person.area for _, person in people]),
    }


def rows(predictions: dict[str, Any], kept: Any) -> dict[str, Any]:
    """Some of the predictions."""
    return {name: values[kept] for name, values in predictions.items()}
