"""Puts objects together from the shapes that a label tool draws one by one.

Shapes of one group are an object. Keypoints without a group belong to the only object
of their image; where there are several objects, nobody can tell to which.
"""

import collections
import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools.labels import Keypoint, LabelledObject, Labels
from hrnet_tf.data.label_tools.source import Source
from hrnet_tf.messages import listed

_TAKEN_AS_ONE = "images whose keypoints have no group, taken as one object"


@dataclasses.dataclass(kw_only=True)
class Piece:
    """A shape: a box, an outline, a mask or keypoints; `label` is the category.

    Without a label, keypoints are of whatever object the group is. `advice` is as that
    of `LabelledObject`.
    """

    where: str
    label: str | None = None
    group: Hashable = None
    box: list[float] | None = None
    outline: list[float] | None = None
    mask: dict[str, Any] | None = None
    keypoints: dict[str, Keypoint] | None = None
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    advice: str = ""


def assemble(
    pieces: Sequence[Piece], source: Source, labels: Labels, how_to_group: str
) -> list[LabelledObject]:
    """The objects of an image; reports to the source what does not fit together.

    `how_to_group` says how the tool ties keypoints to an object.
    """
    groups: dict[Hashable, list[Piece]] = {}
    loose: list[Piece] = []
    for place, piece in enumerate(pieces):
        if piece.group is None and piece.keypoints and piece.label is None:
            loose.append(piece)
        else:
            key = ("alone", place) if piece.group is None else ("group", piece.group)
            groups.setdefault(key, []).append(piece)
    if loose and len(groups) > 1:
        with source.item(loose[0].where):
            names = [name for piece in loose for name in piece.keypoints or ()]
            raise Unusable(
                "keypoints of no object",
                f"keypoints ({listed(names)}) are tied to no object, and the image has "
                f"{len(groups)} objects; {how_to_group}.",
            )
    elif loose:
        only = next(iter(groups), "loose")
        groups[only] = groups.get(only, []) + loose
        labels.counts[_TAKEN_AS_ONE] += 1
    found = []
    for group in groups.values():
        with source.item(group[0].where):
            found.append(_join(group, source.category))
    for labelled in found:
        labels.category(labelled.category).add(labelled.keypoints or ())
    return found


def _join(pieces: Sequence[Piece], default: str) -> LabelledObject:
    """The object that pieces are; raises `Unusable` if they contradict each other."""
    names = list(dict.fromkeys(p.label for p in pieces if p.label is not None))
    if len(names) > 1:
        raise Unusable(
            "group of several categories",
            f"one group holds shapes of several categories ({listed(names)}); give "
            "the shapes of each object a group of their own or, if they are one "
            f"object, add --rename={names[1]}={names[0]}.",
        )
    boxes = [piece.box for piece in pieces if piece.box]
    masks = [piece.mask for piece in pieces if piece.mask]
    outlines = [piece.outline for piece in pieces if piece.outline]
    for what, number in (("boxes", len(boxes)), ("masks", len(masks))):
        if number > 1:
            raise Unusable(f"several {what}", f"one group holds {number} {what}.")
    if masks and outlines:
        raise Unusable(
            "mask and outline", "one group holds a mask and an outline; keep one."
        )
    return LabelledObject(
        where=pieces[0].where,
        category=names[0] if names else default,
        box=boxes[0] if boxes else None,
        outlines=outlines,
        mask=masks[0] if masks else None,
        keypoints=_keypoints(pieces),
        attributes=_attributes(pieces),
        advice="".join(piece.advice for piece in pieces),
    )


def _keypoints(pieces: Sequence[Piece]) -> dict[str, Keypoint] | None:
    named = [item for piece in pieces for item in (piece.keypoints or {}).items()]
    counts = collections.Counter(name for name, _ in named)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise Unusable(
            "keypoint twice",
            f"one object has the keypoint {twice[0]!r} {counts[twice[0]]} times; give "
            "each object a group of its own, or remove what is too much.",
        )
    has_any = any(piece.keypoints is not None for piece in pieces)
    return dict(named) if has_any else None


def _attributes(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Those of the shapes, and those of keypoints by their names."""
    attributes: dict[str, Any] = {}
    of_keypoints: dict[str, Any] = {}
    for piece in pieces:
        if piece.keypoints and piece.label is None:
            if piece.attributes:
                of_keypoints |= dict.fromkeys(piece.keypoints, piece.attributes)
        else:
            attributes |= piece.attributes
    return attributes | ({"keypoints": of_keypoints} if of_keypoints else {})
