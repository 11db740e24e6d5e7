"""Boxes of objects that have none, made from what they do have."""

import dataclasses
import re

from pycocotools import mask as coco_mask

from hrnet_tf.data.files.coco_annotations import ImageEntry, clip
from hrnet_tf.data.files.coco_masks import compress
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools.geometry import box_of
from hrnet_tf.data.label_tools.labels import LabelledObject

_MARGIN = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(%|px)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Margin:
    """What a box leaves around keypoints: pixels, or a share of their longer side."""

    pixels: float = 0
    share: float = 0

    def __str__(self) -> str:
        return f"{100 * self.share:g}%" if self.share else f"{self.pixels:g}px"


def parse_margin(text: str) -> Margin | None:
    """The margin that "10%" or "20px" is; None for any other text."""
    match = _MARGIN.fullmatch(text)
    if match is None:
        return None
    number = float(match[1])
    return Margin(share=number / 100) if match[2] == "%" else Margin(pixels=number)


def make_box(
    labelled: LabelledObject,
    image: ImageEntry,
    box_from: tuple[str, ...],
    margin: Margin | None,
) -> tuple[list[float], str]:
    """The box of the first source that the object has, and which it is.

    Raises `Unusable` if it has none of them.
    """
    for source in box_from:
        if source == "segmentation" and (labelled.outlines or labelled.mask):
            return _around_outline(labelled, image), source
        if source == "keypoints" and labelled.labelled and margin:
            return _around_keypoints(labelled, image, margin), source
    has = [
        name
        for name, found in (
            ("segmentation", labelled.outlines or labelled.mask),
            ("keypoints", labelled.labelled),
        )
        if found
    ]
    if not has:
        raise Unusable("no box", "it has no box, outline or keypoint at all.")
    margins = " and a --box_margin such as 10% or 20px" if has[0] == "keypoints" else ""
    raise Unusable(
        "no box",
        f"it has no box; to make one, add --box_from={','.join(has)}{margins}"
        f"{'; ' if labelled.advice else ''}{labelled.advice}.",
    )


def _around_outline(labelled: LabelledObject, image: ImageEntry) -> list[float]:
    entry = {"segmentation": labelled.mask or labelled.outlines}
    rle = compress(entry, image.height, image.width)
    if labelled.mask:
        return [float(side) for side in coco_mask.toBbox(rle)]
    points = [
        (outline[place], outline[place + 1])
        for outline in labelled.outlines
        for place in range(0, len(outline), 2)
    ]
    return box_of(points)


def _around_keypoints(
    labelled: LabelledObject, image: ImageEntry, margin: Margin
) -> list[float]:
    x, y, width, height = box_of([(k.x, k.y) for k in labelled.labelled])
    more = margin.pixels + margin.share * max(width, height)
    box = [x - more, y - more, width + 2 * more, height + 2 * more]
    if min(box[2:]) <= 0:
        raise Unusable(
            "no box",
            f"{len(labelled.labelled)} labelled keypoints span no area, so that a "
            f"margin of {margin} makes no box; give --box_margin in pixels: 20px.",
        )
    is_outside = x - more >= image.width or y - more >= image.height
    if is_outside or x + width + more <= 0 or y + height + more <= 0:
        raise Unusable("no box", "all its keypoints are outside the image.")
    return clip(box, image)
