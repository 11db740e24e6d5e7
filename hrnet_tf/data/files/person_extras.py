"""What some data sets' annotations of people and images have beside COCO's.

COCO-WholeBody keeps the keypoints of feet, face and hands in lists of their own.
CrowdPose says of each image how crowded it is (`crowdIndex`). The annotations that our
converters write of other data sets' lists have, for each person, `region` (the part of
the image that is cropped) and `normalizer` (the length that errors are divided by),
both in pixels.
"""

from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files.coco_annotations import as_id
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.messages import shown

REGION, NORMALIZER = "region", "normalizer"
CROWD_INDEX = "crowdIndex"

# COCO-WholeBody's lists in the order of its evaluation, and their keypoints; the first
# is COCO's own.
_WHOLE_BODY = {
    "keypoints": 17,
    "foot_kpts": 6,
    "face_kpts": 68,
    "lefthand_kpts": 21,
    "righthand_kpts": 21,
}
_WHOLE = sum(_WHOLE_BODY.values())


def named_keypoints(skeleton: Skeleton) -> tuple[str, ...]:
    """The keypoints of a skeleton that a category names: of a whole body, the body's.

    That is so in COCO-WholeBody; other files may name all.
    """
    is_whole = skeleton.num_keypoints == _WHOLE
    return skeleton.keypoints[: _WHOLE_BODY["keypoints"]] if is_whole else ()


def join_whole_body(entry: dict[str, Any], num_keypoints: int) -> int | None:
    """Makes one list of COCO-WholeBody's, in place, if all its keypoints are wanted.

    Returns how many keypoints of the body are labelled, as `num_keypoints` of the file
    counts them; None if nothing was joined. Raises `Unusable` if a list is missing.
    """
    parts = {name: entry.get(name) for name in _WHOLE_BODY}
    is_divided = any(parts[name] is not None for name in [*parts][1:])
    if num_keypoints != _WHOLE or not is_divided:
        return None
    for name, count in _WHOLE_BODY.items():
        part = parts[name]
        if not isinstance(part, list) or len(part) != 3 * count:
            raise Unusable(
                "wrong number of keypoint values",
                f"{name} {told_of_list(part, none='missing')}; COCO-WholeBody has "
                f"{3 * count}, x, y and v of {count} keypoints.",
            )
    body = parts["keypoints"] or []
    entry["keypoints"] = [x for name in parts for x in entry.pop(name)]
    return sum(visibility in (1, 2) for visibility in body[2::3])


def told_of_list(value: Any, none: str = "null") -> str:
    """What is said of a value that should be a list of another length."""
    if isinstance(value, list):
        return f"has {len(value)} numbers"
    return f"is {shown(value, none=none)}"


def read_region(entry: dict[str, Any]) -> list[float] | None:
    """Checks `region`: centre x, centre y, width, height. Raises `Unusable`."""
    region = entry.get(REGION)
    if region is None:
        return None
    is_region = is_number_list(region) and len(region) == 4 and min(region[2:]) > 0
    if not is_region:
        raise Unusable(
            "bad region",
            f"region is {shown(region)}; it must be four finite numbers, x and y of "
            "its centre, and width and height above 0.",
        )
    return region


def check_region(region: Sequence[float], height: int, width: int) -> None:
    """Refuses a region of which less than a pixel is on its image: `Unusable`."""
    center_x, center_y, region_width, region_height = region
    for center, side, limit in (
        (center_x, region_width, width),
        (center_y, region_height, height),
    ):
        if min(center + side / 2, limit) - max(center - side / 2, 0) < 1:
            raise Unusable(
                "region outside the image",
                f"region is {[*region]} (centre x, centre y, width, height); less than "
                f"a pixel of it is on the {width}x{height} image, so there is nothing "
                "to crop.",
            )


def read_normalizer(entry: dict[str, Any]) -> float:
    """Checks `normalizer`, a length; 0 if it is not known. Raises `Unusable`."""
    normalizer = entry.get(NORMALIZER, 0)
    if not is_number_list([normalizer]) or normalizer < 0:
        raise Unusable(
            "bad normalizer",
            f"normalizer is {shown(normalizer)}; it must be a number of pixels, or 0 "
            "where it is not known.",
        )
    return normalizer


def read_crowd_index(
    path: str, images: list[Any], warnings: list[str]
) -> dict[int, float]:
    """How crowded images are, from 0 to 1 by id, of those that tell.

    Adds a warning if some tell what cannot be.
    """
    told = [image for image in images if isinstance(image, dict)]
    told = [image for image in told if CROWD_INDEX in image]
    found = {}
    for image in told:
        index, image_id = image[CROWD_INDEX], as_id(image.get("id"))
        if image_id is not None and is_number_list([index]) and 0 <= index <= 1:
            found[image_id] = float(index)
    if len(found) < len(told):
        warnings.append(
            f"Warning: {CROWD_INDEX} of {len(told) - len(found)} images in {path} is "
            "no number from 0 to 1; AP by crowding is without them."
        )
    return found
