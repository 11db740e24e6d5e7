"""LabelMe's files: a JSON file per image, in which shapes are tied by `group_id`.

A person is a group: a rectangle or polygon with the label of the category, and a point
per keypoint with the keypoint's name as label.
"""

import base64
import binascii
import io
import os
import re
from typing import Any

import cv2
import numpy as np

from hrnet_tf.data.files import picture_headers, pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.label_tools import masks, values
from hrnet_tf.data.label_tools.labels import (
    HIDDEN,
    VISIBLE,
    Keypoint,
    LabelledImage,
    Labels,
)
from hrnet_tf.data.label_tools.pieces import Piece, assemble
from hrnet_tf.data.label_tools.source import (
    Source,
    find_image,
    image_size,
    plain_path,
)
from hrnet_tf.input_files import read_json
from hrnet_tf.messages import shown

# Of the file and of a shape.
_OWN_KEYS = (
    *("version", "flags", "shapes", "imagePath", "imageData", "imageHeight"),
    *("imageWidth", "label", "points", "group_id", "shape_type", "mask"),
)
_HOW = "give the shapes of each object a group_id of their own"


def read(source: Source) -> Labels:
    """Reads a file, or all files in and under a folder."""
    folder = source.path if os.path.isdir(source.path) else os.path.dirname(source.path)
    labels = Labels(image_dir=source.image_dir or folder or ".")
    labels.unsaid = {"order of keypoints", "flip pairs", "limbs", "sigmas", "areas"}
    labels.unsaid |= set() if source.hidden_flag else {"hidden keypoints"}
    for path in source.find_files(".json"):
        with source.item(path):
            content = values.entry(read_json(path), "the file")
            labels.images.append(_read_image(path, folder, content, source, labels))
    return labels


def _read_image(
    path: str, folder: str, content: dict[str, Any], source: Source, labels: Labels
) -> LabelledImage:
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise Unusable(
            "not a LabelMe file", "there is no list 'shapes', as in LabelMe's."
        )
    said = plain_path(content.get("imagePath"), "imagePath")
    beside = os.path.relpath(os.path.dirname(path), folder or ".")
    name = os.path.normpath(os.path.join(beside, said))
    names = [name, os.path.basename(said)]
    if source.image_dir is not None:
        names = [re.sub(r"^(\.\./)+", "", other) for other in (name, said, *names)]
    file_name = find_image(
        labels.image_dir, names, is_needed=source.image_dir is not None
    )
    width, height = _size(content, file_name, source, labels)
    pieces = []
    for place, shape in enumerate(shapes):
        where = f"{path}: shapes[{place}]"
        with source.item(where):
            piece = _read_shape(where, shape, (width, height), source, labels)
            pieces += [piece] if piece else []
    image = LabelledImage(where=path, file_name=file_name, width=width, height=height)
    if marks := _marks(content):
        image.extra["attributes"] = marks
    image.objects = assemble(pieces, source, labels, _HOW)
    return image


def _size(
    content: dict[str, Any], file_name: str, source: Source, labels: Labels
) -> tuple[int, int]:
    sides = content.get("imageWidth"), content.get("imageHeight")
    if None not in sides:
        return values.size(*sides)
    labels.unsaid.add("image sizes")
    try:
        return image_size(labels.image_dir or ".", file_name, source.exif)
    except Unusable as fault:
        inside = content.get("imageData")
        if fault.kind != "unreadable image" or not isinstance(inside, str):
            raise
        try:
            picture = io.BytesIO(_decode(inside, "imageData"))
            header = picture_headers.read_header(picture)
        except picture_headers.DamagedHeaderError:
            header = None
        if header is None:
            raise fault from None
        return values.size(header.width, header.height)


def _read_shape(
    where: str, shape: Any, size: tuple[int, int], source: Source, labels: Labels
) -> Piece | None:
    shape = values.entry(shape, "the shape")
    label = values.name(shape.get("label"), "label")
    kind = shape.get("shape_type") or "polygon"
    group = shape.get("group_id")
    if not isinstance(group, (int, str, type(None))):
        raise Unusable(
            "bad group_id", f"group_id is {shown(group)}; it must be a whole number."
        )
    points = [
        values.point(point, f"points[{place}]")
        for place, point in enumerate(values.entries(shape.get("points"), "points"))
    ]
    piece = Piece(where=where, label=label, group=group, attributes=_marks(shape))
    if kind == "point" and len(points) == 1:
        is_hidden = bool(piece.attributes.get("flags", {}).get(source.hidden_flag))
        piece.label = None
        piece.keypoints = {
            label: Keypoint(*points[0], HIDDEN if is_hidden else VISIBLE)
        }
    elif kind == "rectangle" and len(points) in (2, 4):
        # X-AnyLabeling, which writes LabelMe's format, gives all four corners.
        piece.box = values.box_of(points)
    elif kind in ("polygon", "oriented_rectangle") and len(points) >= 3:
        piece.outline = values.flat(points)
    elif kind == "mask" and len(points) == 2:
        piece.mask = _read_mask(shape.get("mask"), points, size)
    elif kind in ("point", "rectangle", "polygon", "oriented_rectangle", "mask"):
        raise Unusable("bad shape", f"a {kind} cannot have {len(points)} points.")
    else:
        what = f"shapes that COCO has no place for, left out: {values.word(kind)}"
        labels.counts[what] += 1
        return None
    return piece


def _marks(content: dict[str, Any]) -> dict[str, Any]:
    """Flags that are set, the description, and keys of other programs."""
    flags = values.entry(content.get("flags") or {}, "flags")
    marks = {"flags": {key: value for key, value in flags.items() if value}}
    marks |= {key: value for key, value in content.items() if key not in _OWN_KEYS}
    return {key: value for key, value in marks.items() if value}


def _read_mask(
    encoded: Any, points: list[tuple[float, float]], size: tuple[int, int]
) -> dict[str, Any]:
    if not isinstance(encoded, str):
        raise Unusable("bad mask", f"mask is {shown(encoded)}; it must be a PNG file.")
    try:
        pixels = pictures.decode(_decode(encoded, "mask"), exif="ignore")
    except pictures.PictureError as error:
        raise Unusable("bad mask", f"mask is {error}.") from None
    left, top = (int(np.floor(min(side))) for side in zip(*points, strict=True))
    return masks.run_lengths(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) > 0, left, top, size
    )


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable("bad image", f"{what} is not base64.") from None
