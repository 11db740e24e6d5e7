"""Images by how crowded they are, as CrowdPose's evaluation has them.

Its annotation files say of each image how far people's boxes hold others' keypoints:
`crowdIndex`, from 0 to 1. AP is computed on the images of each level.
"""

from collections.abc import Mapping

EASY, MEDIUM, HARD = LEVELS = ("easy", "medium", "hard")
# Crowd indices below the first are easy, from the second on hard.
_BOUNDS = (0.1, 0.8)


def level(crowd_index: float) -> str:
    """The level of an image."""
    return LEVELS[sum(crowd_index >= bound for bound in _BOUNDS)]


def images_by_level(crowd_index: Mapping[int, float]) -> dict[str, set[int]]:
    """The images of each level; nothing if no image has an index."""
    images: dict[str, set[int]] = {name: set() for name in LEVELS}
    for image_id, index in crowd_index.items():
        images[level(index)].add(image_id)
    return images if crowd_index else {}
