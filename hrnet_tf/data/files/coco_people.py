"""Reads and checks a COCO keypoint annotation file.

Beyond what all COCO files have (coco_annotations.py), its categories and annotations
have `keypoints`.
"""

import array
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    as_id,
    read_area,
    read_box,
)
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.person_extras import (
    check_region,
    join_whole_body,
    named_keypoints,
    read_crowd_index,
    read_normalizer,
    read_region,
    told_of_list,
)
from hrnet_tf.data.vocabularies.skeletons import BUILT_IN, Skeleton
from hrnet_tf.messages import shown, shown_at

ALL = "all"  # stands for all categories with keypoints


@dataclasses.dataclass(frozen=True)
class Person:
    """One person annotation; all coordinates are pixels of the original image.

    Attributes:
        id: The annotation's id.
        bbox: x, y, width, height, not clipped to the image.
        area: Of the person's segment, in square pixels; the scale of OKS.
        iscrowd: Whether the box surrounds a group that was not told apart.
        keypoints: K*3 numbers: x, y, v of each keypoint; v is 0 (not labelled),
            1 (labelled, hidden) or 2 (labelled, visible).
        area_is_measured: Whether the file has no area, or 0.
        was_miscounted: Whether the file's `num_keypoints` is not their number.
        region: The part of the image that is cropped, before it is padded: x and y of
            its centre, width and height. None: what the box says.
        normalizer: The length in pixels that errors are divided by, such as the size
            of the head; 0 if the annotations have none.
    """

    id: int
    bbox: Sequence[float]
    area: float
    iscrowd: bool
    keypoints: Sequence[float]
    area_is_measured: bool = False
    was_miscounted: bool = False
    region: Sequence[float] | None = None
    normalizer: float = 0.0

    @property
    def num_keypoints(self) -> int:
        """The number of labelled keypoints."""
        return sum(visibility > 0 for visibility in self.keypoints[2::3])

    @property
    def counts(self) -> bool:
        """Whether an evaluation expects a prediction; training learns these people."""
        return not self.iscrowd and self.num_keypoints > 0


@dataclasses.dataclass(frozen=True)
class CocoPeople:
    """The usable part of an annotation file, in its order."""

    images: list[ImageEntry]
    people: dict[int, list[Person]]  # by id of each of `images`, often none
    category_ids: list[int]  # those of the people
    other_category_annotations: int
    people_of_unusable_images: int
    warnings: list[str]  # about what looks odd but was used
    # How crowded images are, by id, from 0 to 1; of files that tell, as CrowdPose's.
    crowd_index: dict[int, float] = dataclasses.field(default_factory=dict)


def read_coco_people(
    path: str,
    skeleton: Skeleton,
    category: str | Sequence[int] | None,
    faults: Faults,
    area_from: str | None = None,
) -> CocoPeople:
    """Reads annotations of people, checking each; `faults` receives unusable ones.

    `category` is a category's name, several names with commas, `ALL` or a list of ids;
    all must have the skeleton's keypoints. None takes the only category that has
    keypoints. For `area_from` see `read_area`. Raises `ConversionError` if the file is
    missing or is not COCO keypoint JSON, its keypoints are not the skeleton's, or
    `faults` raises.
    """
    needs_outlines = area_from == "segmentation"
    content = coco_annotations.load(
        path, None if needs_outlines else coco_annotations.without_outline
    )
    return people_of(path, content, skeleton, category, faults, area_from)


def people_of(
    path: str,
    content: dict[str, Any],
    skeleton: Skeleton,
    category: str | Sequence[int] | None,
    faults: Faults,
    area_from: str | None = None,
) -> CocoPeople:
    """As `read_coco_people`, of what a file holds, or would hold; it is used up."""
    chosen = _choose_categories(path, content, category, faults)
    category_ids = [entry["id"] for entry in chosen]
    warnings = [
        warning
        for entry in chosen
        for warning in _compare_keypoints(path, entry, skeleton)
    ]

    def is_other(entry: Any) -> bool:
        number = as_id(entry.get("category_id")) if isinstance(entry, dict) else None
        return number is not None and number not in category_ids

    def read(entry: Any, images: dict[int, ImageEntry]) -> tuple[ImageEntry, Person]:
        return read_person(entry, images, skeleton.num_keypoints, faults, area_from)

    crowd_index = read_crowd_index(path, content["images"], warnings)
    images, people, num_without_image = coco_annotations.read_entries(
        path, content, read, faults, is_other
    )
    num_others = sum(map(is_other, content["annotations"]))
    numbers = " or ".join(map(str, category_ids))
    if num_others and not any(people.values()):
        warnings.append(
            f"Warning: none of the {num_others} annotations in {path} belongs to the "
            f"category with the id {numbers}."
        )
    own = [entry for entry in content["annotations"] if not is_other(entry)]
    if own and not any(isinstance(e, dict) and "keypoints" in e for e in own):
        raise ConversionError(no_keypoints(path, category_ids))
    return CocoPeople(
        *(images, people, category_ids, num_others, num_without_image, warnings),
        {
            image.id: crowd_index[image.id]
            for image in images
            if image.id in crowd_index
        },
    )


def no_keypoints(path: str, category_ids: Sequence[int]) -> str:
    """The sentence about a file without a labelled person."""
    numbers = " or ".join(map(str, category_ids))
    of_category = f" of category {numbers}" if numbers else ""
    return (
        f"No annotation{of_category} in {path} has a labelled keypoint: give a "
        "person_keypoints_*.json with ground truth."
    )


def _choose_categories(
    path: str,
    content: dict[str, Any],
    wanted: str | Sequence[int] | None,
    faults: Faults,
) -> list[dict[str, Any]]:
    """The entries of the categories to read; none for images of nothing alone."""
    if not content["categories"] and not content["annotations"]:
        return []
    categories = [
        entry
        for entry in content["categories"]
        if isinstance(entry, dict) and as_id(entry.get("id")) is not None
    ]
    advice = faults.category_advice(
        (entry["id"], str(entry.get("name"))) for entry in categories
    )
    if wanted is None or wanted == ALL:
        found = _with_keypoints(categories, content["annotations"])
        if not found:
            raise ConversionError(
                f"No category of the annotation file {path} has keypoints: give a "
                "person_keypoints_*.json, not an instances_*.json."
            )
        if len(found) > 1 and wanted is None:
            raise ConversionError(
                f"{path} describes {len(found)} categories with keypoints; {advice}"
            )
        return found
    chosen = []
    for asked, found in _asked_for(categories, wanted):
        if len(found) != 1:
            raise ConversionError(
                f"{path} describes {len(found)} categories {asked}; {advice}"
            )
        chosen += found
    return chosen


def _with_keypoints(
    categories: list[dict[str, Any]], annotations: list[Any]
) -> list[dict[str, Any]]:
    """The categories that name keypoints or, failing that, are annotated with some."""
    if named := [entry for entry in categories if entry.get("keypoints")]:
        return named
    annotated = {
        as_id(entry.get("category_id"))
        for entry in annotations
        if isinstance(entry, dict) and entry.get("keypoints")
    }
    # Files for a detector's boxes have images and no annotations.
    is_only = len(categories) == 1 and not annotations
    return [entry for entry in categories if is_only or entry["id"] in annotated]


def _asked_for(
    categories: list[dict[str, Any]], wanted: str | Sequence[int]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What is asked for, in words, and the categories that answer to it, in turn."""
    if not isinstance(wanted, str):
        for number in dict.fromkeys(wanted):
            found = [entry for entry in categories if entry["id"] == number]
            yield f"with the id {number}", found
        return
    # A name may hold a comma.
    is_name = any(entry.get("name") == wanted for entry in categories)
    names = [wanted] if is_name else [name.strip() for name in wanted.split(",")]
    for name in dict.fromkeys(names):
        found = [entry for entry in categories if entry.get("name") == name]
        yield f"with the name {shown(name)} (--category)", found


_OWN_SKELETON = ": --skeleton=FILE.yaml of the converter, task.skeleton of training"


def _compare_keypoints(
    path: str, category: dict[str, Any], skeleton: Skeleton
) -> list[str]:
    """Warnings about keypoints whose names differ; refuses another number or order."""
    named = category.get("keypoints")
    expected = list(skeleton.keypoints)
    if not isinstance(named, list) or not named or named == expected:
        return []
    if named == list(named_keypoints(skeleton)):
        return []
    if len(named) != len(expected):
        raise ConversionError(
            f"{path} lists {len(named)} keypoints for category "
            f"{shown(category.get('name'))}, but the skeleton {skeleton.name} has "
            f"{len(expected)}{_built_in_with(len(named))}; give the data's "
            f"own{_OWN_SKELETON}."
        )
    place = next(i for i in range(len(named)) if named[i] != expected[i])
    difference = (
        f"keypoint {place} is {shown(named[place])} in {path} and "
        f"{shown(expected[place])} in the skeleton {skeleton.name}"
    )
    if sorted(map(str, named)) == sorted(expected):
        raise ConversionError(
            f"The keypoints have another order: {difference}; give the data's own "
            f"order{_OWN_SKELETON}."
        )
    return [f"Warning: {difference}; they are taken for the same, place by place."]


def read_person(
    entry: Any,
    images: dict[int, ImageEntry],
    num_keypoints: int,
    faults: Faults,
    area_from: str | None,
) -> tuple[ImageEntry, Person]:
    """Checks one annotation. Raises `Unusable`."""
    image, bbox, iscrowd = read_box(entry, images)
    counted = join_whole_body(entry, num_keypoints)
    # Someone without the key has a box alone, as with zeros.
    keypoints = entry.get("keypoints", [0] * (3 * num_keypoints))
    _check_keypoints(keypoints, num_keypoints)
    if entry.get("area") is None and not area_from:
        raise Unusable(
            "bad area",
            f"area is {shown_at('area', entry)}; correct it, or {faults.area_advice}.",
        )
    area, is_measured = read_area(entry, bbox, image, area_from)
    # A third of what a list of Python's numbers takes, which is not needed any more.
    compact = array.array("d", keypoints)
    if "keypoints" in entry:
        entry["keypoints"] = compact
    person = Person(
        *(entry["id"], bbox, area, iscrowd, compact, is_measured),
        region=read_region(entry),
        normalizer=read_normalizer(entry),
    )
    counted = person.num_keypoints if counted is None else counted
    if "num_keypoints" in entry and entry["num_keypoints"] != counted:
        person = dataclasses.replace(person, was_miscounted=True)
    if person.counts:
        _check_can_be_cropped(person, image, faults)
    return image, person


def _check_can_be_cropped(person: Person, image: ImageEntry, faults: Faults) -> None:
    """Refuses people whom an evaluation would expect but the reader would not crop.

    The reader crops as `data.inputs.pose.clean_boxes` says, in float32.
    """
    if np.float32(person.area) <= 0:
        raise Unusable(
            "bad area",
            f"area is {person.area} for a person with labelled keypoints, whose "
            "similarity to a prediction is measured by it; correct it, or "
            f"{faults.area_advice}.",
        )
    if person.region is not None:
        check_region(person.region, image.height, image.width)
        return
    box = np.array(person.bbox, np.float32)
    limit = np.array([image.width - 1, image.height - 1], np.float32)
    low = np.maximum(box[:2], 0)
    high = np.minimum(low + np.maximum(box[2:] - 1, 0), limit)
    if not ((high >= low).all() and (high > low).any()):
        raise Unusable(
            "box too small",
            f"bbox is {person.bbox} (x, y, width, height); less than a pixel of it is "
            f"on the {image.width}x{image.height} image, so there is nothing to crop.",
        )


def _built_in_with(count: int) -> str:
    """The built-in skeletons of so many keypoints, in brackets; "" if there is none."""
    names = [name for name, one in BUILT_IN.items() if len(one.keypoints) == count]
    return f" ({' and '.join(names)}: {count})" if names else ""


def _check_keypoints(keypoints: Any, num_keypoints: int) -> None:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * num_keypoints:
        count = len(keypoints) // 3 if isinstance(keypoints, list) else 0
        raise Unusable(
            "wrong number of keypoint values",
            f"keypoints {told_of_list(keypoints)}; the skeleton's {num_keypoints} "
            f"keypoints need {3 * num_keypoints} (x, y, v of each)"
            f"{_built_in_with(count)}.",
        )
    if not is_number_list(keypoints):
        raise Unusable(
            "bad keypoint value", "keypoints must hold nothing but finite numbers."
        )
    for place, visibility in enumerate(keypoints[2::3]):
        if visibility not in (0, 1, 2):
            raise Unusable(
                "bad visibility",
                f"keypoint {place} has visibility {visibility}; it must be 0 (not "
                "labelled), 1 (hidden) or 2 (visible).",
            )
