"""The skeleton that an annotation file describes by the keypoints of its categories."""

from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.vocabularies.skeletons import (
    BUILT_IN,
    Skeleton,
    SkeletonError,
    skeleton_from_spec,
)


def described_skeleton(categories: Sequence[dict[str, Any]], longest: int) -> Skeleton:
    """The skeleton of the first category that names keypoints, or without names.

    `longest` is the most keypoints that an annotation has.
    """
    for category in categories:
        names = category["keypoints"]
        for known in BUILT_IN.values():
            if names == list(known.keypoints):
                return known
        try:
            return skeleton_from_spec(
                {
                    "name": str(category.get("name")),
                    "keypoints": names,
                    "flip_pairs": "auto",
                    "limbs": _limbs(names, category.get("skeleton")),
                },
                "of the annotations",
            )
        except SkeletonError:
            continue  # Such as one without names.
    return skeleton_of_count(longest)


def _limbs(names: Sequence[str], limbs: Any) -> list[list[str]]:
    """COCO's limbs, pairs of places from 1, by names; none if one of them is wrong."""
    if not isinstance(limbs, list):
        return []
    places = range(1, len(names) + 1)
    found = []
    for limb in limbs:
        is_pair = isinstance(limb, list) and len(limb) == 2 and limb[0] != limb[1]
        if not is_pair or any(place not in places for place in limb):
            return []
        pair = sorted(limb)
        if pair not in found:
            found.append(pair)
    return [[names[place - 1] for place in pair] for pair in found]


def skeleton_of_count(count: int) -> Skeleton:
    """The built-in skeleton of so many keypoints, or one without names."""
    for known in BUILT_IN.values():
        if known.num_keypoints == count:
            return known
    names = [f"keypoint {number}" for number in range(max(count, 1))]
    return skeleton_from_spec(
        {"name": "without names", "keypoints": names, "flip_pairs": []}, "of the data"
    )
