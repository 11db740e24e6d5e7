"""The elements of CVAT's XML that are shapes: boxes, polygons, masks, skeletons."""

import collections
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools import masks, values
from hrnet_tf.data.label_tools.labels import (
    HIDDEN,
    VISIBLE,
    Category,
    Keypoint,
    Labels,
    number_names,
)
from hrnet_tf.data.label_tools.pieces import Piece

_READ = ("box", "polygon", "points", "skeleton", "mask")
_GONE = "skeletons without a visible or hidden point, left out"


def read_shape(
    element: ET.Element,
    where: str,
    label: str,
    size: tuple[int, int],
    labels: Labels,
) -> Piece | None:
    """The piece that an element is; None, counted, where COCO has no place for it."""
    if element.tag not in _READ:
        labels.counts[
            f"shapes that COCO has no place for, left out: {values.word(element.tag)}"
        ] += 1
        return None
    group = values.parse_whole(element.get("group_id") or "0", "group_id")
    piece = Piece(where=where, label=label, group=group or None)
    if element.tag == "box":
        _read_box(element, piece)
    elif element.tag == "polygon":
        piece.outline = values.flat(_points(element, least=3))
    elif element.tag == "mask":
        piece.mask = _read_mask(element, size)
    elif element.tag == "points":
        _read_points(element, piece, labels.category(label), labels)
    else:
        piece.keypoints = _read_skeleton(element, labels.category(label), labels)
        if not piece.keypoints:
            labels.counts[_GONE] += 1
            return None
    piece.attributes |= _attributes(element)
    return piece


def ungroup_many(pieces: Sequence[Piece]) -> None:
    """Takes groups apart that are several objects; their number stays an attribute.

    In CVAT a group may also be anything that belongs together, such as a team.
    """
    groups: dict[object, list[Piece]] = {}
    for piece in pieces:
        if piece.group is not None:
            groups.setdefault(piece.group, []).append(piece)
    for number, group in groups.items():
        labels = {piece.label for piece in group if piece.label is not None}
        counts = collections.Counter(
            what
            for piece in group
            for what in ("box", "mask", "keypoints")
            if getattr(piece, what) and (piece.label is not None or what != "keypoints")
        )
        outlines = sum(piece.outline is not None for piece in group)
        is_one = len(labels) <= 1 and max(counts.values(), default=0) <= 1
        if is_one and not (counts["mask"] and outlines):
            continue
        for piece in group:
            if piece.label is not None:
                piece.group = None
                piece.attributes["group_id"] = number


def _attributes(element: ET.Element) -> dict[str, object]:
    """CVAT's attributes, and that something hides a part of the object."""
    found: dict[str, object] = {
        child.get("name", ""): child.text or ""
        for child in element.iterfind("attribute")
    }
    return found | ({"occluded": True} if _is_set(element, "occluded") else {})


def _is_set(element: ET.Element, mark: str) -> bool:
    return values.parse_whole(element.get(mark) or "0", mark) == 1


def _side(element: ET.Element, name: str) -> float:
    return values.parse_number(element.get(name, ""), name)


def _read_box(element: ET.Element, piece: Piece) -> None:
    """A box; one that is turned, about its centre, is an outline, too."""
    left, top = _side(element, "xtl"), _side(element, "ytl")
    width, height = _side(element, "xbr") - left, _side(element, "ybr") - top
    piece.box = [left, top, width, height]
    degrees = values.parse_number(element.get("rotation") or "0", "rotation")
    if degrees:
        centre = (left + width / 2, top + height / 2)
        size = (width, height)
        corners = values.turned_corners(left, top, size, degrees, centre)
        piece.box, piece.outline = values.box_of(corners), values.flat(corners)
        piece.attributes["rotation"] = degrees


def _points(element: ET.Element, least: int = 1) -> list[tuple[float, float]]:
    points = []
    for text in (element.get("points") or "").split(";"):
        x, comma, y = text.partition(",")
        if not comma:
            raise Unusable(
                "bad point", f"points has {text!r}; it must be x,y;x,y and so on."
            )
        points.append((values.parse_number(x, "x"), values.parse_number(y, "y")))
    if len(points) < least:
        raise Unusable(
            "bad shape", f"a {element.tag} cannot have {len(points)} points."
        )
    return points


def _read_mask(element: ET.Element, size: tuple[int, int]) -> dict:
    runs = [
        values.parse_whole(text, "rle")
        for text in (element.get("rle") or "").split(",")
    ]
    left, top, width, height = (
        values.parse_whole(element.get(name, ""), name)
        for name in ("left", "top", "width", "height")
    )
    values.size(width, height)
    return masks.run_lengths(masks.from_runs(runs, width, height), left, top, size)


def _visibility(element: ET.Element) -> int:
    return HIDDEN if _is_set(element, "occluded") else VISIBLE


def _read_skeleton(
    element: ET.Element, category: Category, labels: Labels
) -> dict[str, Keypoint]:
    """The points that are not outside."""
    found: dict[str, Keypoint] = {}
    met: dict[str, None] = {}  # in order
    for child in element.iterfind("points"):
        name = values.name(child.get("label"), "the label of a point")
        if name in met:
            raise Unusable(
                "keypoint twice", f"the skeleton has the point {name!r} twice."
            )
        met[name] = None
        if not _is_set(child, "outside"):
            ((x, y), *others) = _points(child)
            if others:
                raise Unusable("bad shape", f"the point {name!r} has several places.")
            found[name] = Keypoint(x, y, _visibility(child))
    if not {*met} <= {*category.keypoints}:
        labels.unsaid.add("order of keypoints")
    category.add(met)
    return found


def _read_points(
    element: ET.Element, piece: Piece, category: Category, labels: Labels
) -> None:
    """All points of an object in order, or one point of a group, named by its label."""
    visibility = _visibility(element)
    found = [Keypoint(x, y, visibility) for x, y in _points(element)]
    if piece.group is not None and len(found) == 1:
        piece.keypoints = {category.name: found[0]}
        piece.label = None
        return
    names = number_names(len(found))
    if category.keypoints and category.keypoints != names:
        raise Unusable(
            "another number of points",
            f"it has {len(found)} points, and other objects {category.name!r} have "
            f"{len(category.keypoints)}.",
        )
    category.number(len(found))
    labels.unsaid.add("names of keypoints")
    piece.keypoints = dict(zip(names, found, strict=True))
