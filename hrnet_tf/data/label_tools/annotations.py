"""COCO's JSON of labels, each entry checked by the readers that will take it."""

import collections
import dataclasses
import posixpath
from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files.coco_annotations import (
    LARGEST_ID,
    ImageEntry,
    is_partly_outside,
    read_area,
    read_box,
    read_image,
)
from hrnet_tf.data.files.coco_masks import read_mask
from hrnet_tf.data.files.coco_people import read_person
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools.boxes import Margin, make_box
from hrnet_tf.data.label_tools.labels import (
    ABSENT,
    HIDDEN,
    Category,
    Keypoint,
    LabelledImage,
    LabelledObject,
    Labels,
)
from hrnet_tf.data.label_tools.source import Source

SHARED = "  of these of a file that has been listed before"
AT_ORIGIN = "  of these at 0, 0 (if such are not labelled, add --zero_is_absent)"
_NOTHING = Keypoint(0, 0, ABSENT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """How to complete what the labels lack; the flags of the command tell more."""

    box_from: tuple[str, ...] = ()
    box_margin: Margin | None = None
    area_from: str | None = None
    zero_is_absent: bool = False


def to_coco(
    labels: Labels, choices: Choices, source: Source
) -> tuple[dict[str, Any], collections.Counter[str]]:
    """The file's content, and counts for the summary; reports faults to the source."""
    _number(labels)
    counts: collections.Counter[str] = collections.Counter()
    images: list[dict[str, Any]] = []
    names: set[str] = set()
    annotations: list[dict[str, Any]] = []
    for image in labels.images:
        with source.item(image.where):
            entry = _image_entry(image)
            checked = read_image(entry, 0)
            name = posixpath.normpath(image.file_name)
            if name in names and not labels.may_share_files:
                raise Unusable(
                    "image labelled twice",
                    f"the image {image.file_name} has been labelled before; keep one.",
                )
            counts[SHARED] += name in names
            names.add(name)
            images.append(entry)
            counts["  of these without objects"] += not image.objects
            for labelled in image.objects:
                with source.item(labelled.where):
                    category = labels.categories[labelled.category]
                    annotations.append(
                        _annotation(
                            labelled, checked, category, choices, counts, source
                        )
                    )
    content = {
        **labels.extra,
        "images": images,
        "categories": [_category(entry) for entry in labels.categories.values()],
        "annotations": annotations,
    }
    return content, counts


# ---- ids ----


def _number(labels: Labels) -> None:
    """Keeps ids where all are usable, and counts from 1 where they are not."""
    objects = [labelled for image in labels.images for labelled in image.objects]
    # Detectors keep category 0 for the background, and evaluations match no object 0.
    groups: tuple[tuple[str, int, Sequence[Any]], ...] = (
        ("image", 0, labels.images),
        ("annotation", 1, objects),
        ("category", 1, list(labels.categories.values())),
    )
    for what, least, group in groups:
        ids: list[int | None] = [entry.id for entry in group]
        usable = {i for i in ids if i is not None and least <= i <= LARGEST_ID}
        if len(usable) == len(group):
            continue
        if any(i is not None for i in ids):
            labels.counts[f"{what} ids changed, since some cannot be used"] += len(
                group
            )
        for number, entry in enumerate(group, start=1):
            entry.id = number


# ---- entries ----


def _image_entry(image: LabelledImage) -> dict[str, Any]:
    return {
        "id": image.id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        **image.extra,
    }


def _category(category: Category) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": category.id, "name": category.name, **category.extra}
    if category.keypoints:
        entry["keypoints"] = category.keypoints
        place = {name: n for n, name in enumerate(category.keypoints, start=1)}
        # COCO counts keypoints from 1 here.
        limbs = category.limbs or []
        entry["skeleton"] = [[place[first], place[other]] for first, other in limbs]
    return entry


def _annotation(
    labelled: LabelledObject,
    image: ImageEntry,
    category: Category,
    choices: Choices,
    counts: collections.Counter[str],
    source: Source,
) -> dict[str, Any]:
    """The entry of an object. Raises `Unusable` if our converters would refuse it."""
    if choices.zero_is_absent:
        _drop_origins(labelled, counts)
    box = labelled.box
    made_from = ""
    if box is None:
        box, made_from = make_box(labelled, image, choices.box_from, choices.box_margin)
    entry: dict[str, Any] = {
        "id": labelled.id,
        "image_id": image.id,
        "category_id": category.id,
        "bbox": box,
        "iscrowd": int(labelled.iscrowd),
    }
    if segmentation := labelled.mask or labelled.outlines:
        entry["segmentation"] = segmentation
        read_mask(entry, image.height, image.width, "")
    # Refuses boxes of which no area can be measured.
    read_box(entry, {image.id: image})
    if labelled.area is None and choices.area_from is None:
        raise Unusable(
            "no area",
            f"it has no area; {source.faults.area_advice}, to say how it is measured.",
        )
    entry["area"], is_measured = read_area(
        entry | {"area": labelled.area}, box, image, choices.area_from
    )
    points = _keypoints(labelled, category)
    if category.keypoints:
        entry["keypoints"] = [n for k in points for n in (k.x, k.y, k.visibility)]
        entry["num_keypoints"] = len(labelled.labelled)
        read_person(
            dict(entry), {image.id: image}, len(category.keypoints), source.faults, None
        )
    if labelled.attributes:
        entry["attributes"] = labelled.attributes
    if made_from:
        counts[_how(made_from, choices)] += 1
    if is_measured:
        counts[f"  areas missing, taken from the {choices.area_from}"] += 1
    _count(labelled, points, image, box, counts)
    return labelled.extra | entry


def _how(made_from: str, choices: Choices) -> str:
    if made_from == "keypoints":
        margin = f"with a margin of {choices.box_margin}"
        return f"  boxes missing, made from the keypoints {margin}"
    return "  boxes missing, made from the segmentation"


def _drop_origins(labelled: LabelledObject, counts: collections.Counter[str]) -> None:
    for name, point in (labelled.keypoints or {}).items():
        if point.visibility != ABSENT and _is_at_origin(point):
            labelled.keypoints = (labelled.keypoints or {}) | {name: _NOTHING}
            counts["  keypoints at 0, 0, taken for not labelled"] += 1


def _is_at_origin(point: Keypoint) -> bool:
    return point.x == point.y == 0


def _keypoints(labelled: LabelledObject, category: Category) -> list[Keypoint]:
    found = labelled.keypoints or {}
    return [found.get(name, _NOTHING) for name in category.keypoints]


def _count(
    labelled: LabelledObject,
    points: list[Keypoint],
    image: ImageEntry,
    box: list[float],
    counts: collections.Counter[str],
) -> None:
    seen = [point for point in points if point.visibility != ABSENT]
    outside = [
        point
        for point in seen
        if not (0 <= point.x <= image.width and 0 <= point.y <= image.height)
    ]
    counts["objects"] += 1
    counts["  of these with keypoints"] += bool(seen)
    counts["  of these with a segmentation"] += bool(labelled.mask or labelled.outlines)
    counts["  of these crowds"] += labelled.iscrowd
    counts["  boxes partly beyond the border"] += is_partly_outside(box, image)
    counts["keypoints"] += len(seen)
    counts["  of these hidden"] += sum(p.visibility == HIDDEN for p in seen)
    counts["  of these outside the image"] += len(outside)
    counts[AT_ORIGIN] += sum(map(_is_at_origin, seen))
