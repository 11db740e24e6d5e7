"""The regions of a Label Studio task: shapes, and what people answered about them.

An item of a result is a shape, a label of a shape, or an answer, such as a choice; all
that have the id of a shape are about it, and the others about the image.
"""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools import geometry, values
from hrnet_tf.data.label_tools.label_studio_brush import read_brush
from hrnet_tf.data.label_tools.labels import (
    HIDDEN,
    VISIBLE,
    Keypoint,
    LabelledImage,
    Labels,
)
from hrnet_tf.data.label_tools.masks import run_lengths
from hrnet_tf.data.label_tools.pieces import Piece
from hrnet_tf.data.label_tools.source import Source
from hrnet_tf.messages import shown

Item = dict[str, Any]

# By the type of an item, the key of its value that holds the answer.
_ANSWERS = {
    **{kind: kind for kind in ("choices", "rating", "number", "taxonomy", "datetime")},
    "textarea": "text",
}
_PLACES = {"x", "points", "rle", "vertices"}


@dataclasses.dataclass
class Region:
    """What all items of one id say.

    Attributes:
        kind: The shape, such as "keypoint"; empty if no item is one.
        value: Its place and labels.
        answers: By the name of the tag that asked.
        turned: By how many degrees the image was shown turned.
        meta: What people noted in the region's form.
    """

    kind: str = ""
    value: Item = dataclasses.field(default_factory=dict)
    answers: dict[str, Any] = dataclasses.field(default_factory=dict)
    turned: Any = 0
    meta: Any = None

    @property
    def is_drawn(self) -> bool:
        """Whether this is a shape, not an answer about the whole image."""
        return bool(self.kind or _PLACES & {*self.value})

    def has_mark(self, mark: str | None) -> bool:
        """Whether a choice, or a key that is true, is called so."""
        if mark is None:
            return False
        chosen = [each for each in self.answers.values() if isinstance(each, list)]
        return self.value.get(mark) is True or any(mark in each for each in chosen)


def merge_regions(items: list[Item]) -> tuple[dict[str, Region], dict[str, Any]]:
    """The shapes by their ids, and the answers about the image."""
    regions: dict[str, Region] = {}
    for place, item in enumerate(items):
        if item.get("type") == "relation":
            continue
        identity = values.name(item.get("id"), f"the id of result[{place}]")
        value = values.entry(item.get("value"), f"the value of result[{place}]")
        region = regions.setdefault(identity, Region())
        kind = str(item.get("type", ""))
        if key := _ANSWERS.get(kind):
            answer = _answer(value, key, place)
            region.answers[str(item.get("from_name", kind))] = answer
        else:
            region.kind = kind.removesuffix("labels") or region.kind
        region.value |= {k: v for k, v in value.items() if k != key}
        region.turned = region.turned or item.get("image_rotation")
        region.meta = region.meta or item.get("meta")
    of_image: dict[str, Any] = {}
    for region in regions.values():
        if not region.is_drawn:
            of_image |= region.answers
    return {i: r for i, r in regions.items() if r.is_drawn}, of_image


def _answer(value: Item, key: str, place: int) -> Any:
    answer = value.get(key)
    if key != "choices":
        return answer
    return values.entries(answer or [], f"the choices of result[{place}]")


def read_pieces(
    where: str,
    items: list[Item],
    regions: dict[str, Region],
    image: LabelledImage,
    source: Source,
    labels: Labels,
) -> Iterator[Piece]:
    """The shapes that can be read; others are reported or counted."""
    groups = _groups(items, regions, labels)
    for identity, region in regions.items():
        with source.item(f"{where}, region {identity}"):
            piece = _read_region(f"{where}, region {identity}", region, image, source)
            if piece is None:
                kind = values.word(region.kind)
                labels.counts[f"regions that are not read, left out: {kind}"] += 1
                continue
            piece.group = groups.get(identity)
            yield piece


def _groups(
    items: list[Item], regions: dict[str, Region], labels: Labels
) -> dict[str, str]:
    """For each region that is tied to others, a region that stands for all of them."""
    leader = {identity: identity for identity in regions}

    def find(identity: str) -> str:
        while leader[identity] != identity:
            # Halves the way for the next time: chains may have thousands of links.
            leader[identity] = leader[leader[identity]]
            identity = leader[identity]
        return identity

    for item in items:
        ends = item.get("id"), item.get("parentID")
        is_relation = item.get("type") == "relation"
        if is_relation:
            ends = item.get("from_id"), item.get("to_id")
        if not all(isinstance(end, str) and end in regions for end in ends):
            continue
        first, second = map(str, ends)
        kinds = {regions[first].kind, regions[second].kind}
        if is_relation and "keypoint" not in kinds:
            labels.counts["relations between objects, left out"] += 1
            continue
        leader[find(first)] = find(second)
    sizes = collections.Counter(find(identity) for identity in regions)
    return {i: find(i) for i in regions if sizes[find(i)] > 1}


def _read_region(
    where: str, region: Region, image: LabelledImage, source: Source
) -> Piece | None:
    if region.turned:
        raise Unusable(
            "turned image",
            f"the image was turned by {shown(region.turned)} degrees in Label "
            "Studio, and such places are not read; turn the image file instead.",
        )
    names = _label_names(region, source)
    piece = Piece(where=where, label=names[0] if names else None)
    piece.attributes = {
        **({"labels": names} if len(names) > 1 else {}),
        **region.answers,
        **({"meta": region.meta} if region.meta else {}),
    }
    value = region.value
    if region.kind == "keypoint":
        if not names:
            raise Unusable("no label", "the keypoint has no label, so no name.")
        place = _read_pair(value, image)
        is_hidden = region.has_mark(source.hidden_flag)
        piece.label = None
        piece.keypoints = {names[0]: Keypoint(*place, HIDDEN if is_hidden else VISIBLE)}
    elif region.kind == "rectangle":
        _read_rectangle(piece, value, image)
    elif region.kind == "ellipse":
        center = _read_pair(value, image)
        radii = _read_pair(value, image, "radiusX", "radiusY")
        piece.outline = geometry.flat(
            geometry.ellipse_corners(center, radii, _degrees(value))
        )
    elif region.kind == "polygon":
        corners = [
            _to_pixels(values.point(point, f"points[{place}]"), image)
            for place, point in enumerate(values.entries(value.get("points"), "points"))
        ]
        if len(corners) < 3:
            raise Unusable("bad shape", f"a polygon cannot have {len(corners)} points.")
        piece.outline = geometry.flat(corners)
    elif region.kind == "brush":
        runs = values.entries(value.get("rle"), "rle")
        mask = read_brush(runs, image.width, image.height)
        piece.mask = run_lengths(mask, 0, 0, (image.width, image.height))
    else:
        return None
    return piece


def _label_names(region: Region, source: Source) -> list[str]:
    for key in (f"{region.kind}labels", "labels"):
        if region.value.get(key):
            names = values.entries(region.value[key], key)
            return [source.label(name, key) for name in names]
    return []


def _read_pair(
    value: Item, image: LabelledImage, across: str = "x", down: str = "y"
) -> geometry.Point:
    x, y = (values.number(value.get(key), key) for key in (across, down))
    return _to_pixels((x, y), image)


def _to_pixels(percents: geometry.Point, image: LabelledImage) -> geometry.Point:
    return percents[0] * image.width / 100, percents[1] * image.height / 100


def _degrees(value: Item) -> float:
    return values.number(value.get("rotation") or 0, "rotation")


def _read_rectangle(piece: Piece, value: Item, image: LabelledImage) -> None:
    """A box; one that is turned, about its upper left corner, is an outline, too."""
    left, top = _read_pair(value, image)
    size = _read_pair(value, image, "width", "height")
    piece.box = [left, top, *size]
    if degrees := _degrees(value):
        corners = geometry.turned_corners(left, top, size, degrees, (left, top))
        piece.box, piece.outline = geometry.box_of(corners), geometry.flat(corners)
        piece.attributes["rotation"] = degrees
