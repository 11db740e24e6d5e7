"""Label Studio's JSON export: a list of tasks, each with somebody's annotations.

Places are percents of the image's width and height. Keypoints belong to a box or
outline by `parentID`, or by a relation.
"""

import collections
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import values
from hrnet_tf.data.label_tools.label_studio_brush import read_brush
from hrnet_tf.data.label_tools.labels import (
    HIDDEN,
    VISIBLE,
    Keypoint,
    LabelledImage,
    Labels,
)
from hrnet_tf.data.label_tools.masks import run_lengths
from hrnet_tf.data.label_tools.pieces import Piece, assemble
from hrnet_tf.data.label_tools.source import (
    Source,
    find_image,
    image_size,
    plain_path,
)
from hrnet_tf.input_files import read_json
from hrnet_tf.messages import shown

_HOW = (
    "in Label Studio put them into the object's region, or relate each to it, so that "
    "the export has parentID or relations"
)
# What Label Studio puts before the name of an uploaded file.
_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
# Answers about an image or a region.
_ANSWERS = ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "")
Item = dict[str, Any]


def read(source: Source) -> Labels:
    """Reads the file."""
    tasks = read_json(source.path)
    if not isinstance(tasks, list):
        raise ConversionError(
            f"{source.path} is not a Label Studio export, which holds a list of tasks. "
            "Export as JSON."
        )
    labels = Labels(image_dir=source.image_dir)
    labels.unsaid = {"order of keypoints", "flip pairs", "limbs", "sigmas", "areas"}
    labels.unsaid |= set() if source.hidden_flag else {"hidden keypoints"}
    for place, task in enumerate(tasks):
        number = task.get("id") if isinstance(task, dict) else None
        named = f"tasks[{place}]" if number is None else f"task {values.word(number)}"
        where = f"{source.path}: {named}"
        with source.item(where):
            content = values.entry(task, "the task")
            if image := _read_task(where, content, source, labels):
                labels.images.append(image)
    return labels


def _read_task(
    where: str, task: Item, source: Source, labels: Labels
) -> LabelledImage | None:
    if "annotations" not in task:
        is_old = "completions" in task
        raise Unusable(
            "not a Label Studio task",
            "it has no list 'annotations', as in "
            + ("an export of Label Studio before 1.0" if is_old else "JSON-MIN, which ")
            + ("" if is_old else "does not tell which keypoints belong together")
            + "; export as JSON.",
        )
    for kind in ("predictions", "drafts"):
        if task.get(kind):
            labels.counts[f"tasks whose {kind} were passed over"] += 1
    results = _choose_annotation(values.entries(task["annotations"], "annotations"))
    if results is None:
        labels.counts["tasks that nobody has labelled, left out"] += 1
        return None
    items = [values.entry(item, f"result[{n}]") for n, item in enumerate(results)]
    file_name = _image_name(task, items, source, labels)
    size = _size(items)
    if size is None:
        if labels.image_dir is None:
            raise Unusable(
                "unknown image size",
                "nothing is labelled, so that the export does not say how large the "
                "image is; give the folder of the images with --image_dir.",
            )
        size = image_size(labels.image_dir, file_name, source.exif)
    image = LabelledImage(
        where=where, file_name=file_name, width=size[0], height=size[1]
    )
    pieces = [*_read_pieces(where, items, image, source, labels)]
    image.objects = assemble(pieces, source, labels, _HOW)
    return image


def _choose_annotation(annotations: list[Any]) -> list[Any] | None:
    """The results of the one annotation that counts; None if there is none."""
    done = [
        annotation
        for n, annotation in enumerate(annotations)
        if not values.entry(annotation, f"annotations[{n}]").get("was_cancelled")
    ]
    best = [annotation for annotation in done if annotation.get("ground_truth")]
    if len(done) > 1 and len(best) == 1:
        done = best
    if len(done) > 1:
        raise Unusable(
            "several annotations",
            f"it has {len(done)} annotations, the work of several people on the same "
            "objects; mark one as ground truth in Label Studio, or delete the others.",
        )
    return values.entries(done[0].get("result"), "result") if done else None


# ---- the image ----


def _image_name(task: Item, items: list[Item], source: Source, labels: Labels) -> str:
    data = values.entry(task.get("data"), "data")
    shape = next((item for item in items if "to_name" in item), {})
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if not texts:
        raise Unusable("bad name", f"data is {shown(data)}; it must name an image.")
    # The name of the tag and the key are often the same; "image" is the custom.
    key = next(
        (key for key in (str(shape.get("to_name")), "image", "img") if key in texts),
        next(iter(texts)),
    )
    said = _path_of(texts[key])
    plain = _PREFIX.sub("", os.path.basename(said))
    names = [said, os.path.basename(said), plain]
    if source.image_dir is None and plain != names[1]:
        labels.counts[
            "image names with 8 letters that Label Studio put before (where the files "
            "lack them, give --image_dir)"
        ] += 1
    names = (
        names if source.image_dir else [names[1] if "upload" in texts[key] else said]
    )
    return find_image(source.image_dir, names, is_needed=source.image_dir is not None)


def _path_of(address: str) -> str:
    """The path in /data/local-files/?d=PATH, s3://bucket/PATH, http://host/PATH."""
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get("d") if "local-files" in parts.path else None
    except ValueError:
        return plain_path(address, "the image's address")
    if local:
        return plain_path(local[0].lstrip("/"), "the image's address")
    path = unquote(parts.path) if parts.scheme or "/data/" in address else address
    return plain_path(path.lstrip("/"), "the image's address")


def _size(items: list[Item]) -> tuple[int, int] | None:
    images = {
        (shown(item.get("to_name")), shown(item.get("item_index")))
        for item in items
        if "original_width" in item
    }
    if len(images) > 1:
        raise Unusable(
            "several images",
            "its shapes are on several images; export tasks of one image each.",
        )
    sizes = {
        values.size(item["original_width"], item["original_height"])
        for item in items
        if "original_width" in item and "original_height" in item
    }
    if len(sizes) > 1:
        raise Unusable(
            "several image sizes",
            f"its shapes are of images of different sizes ({shown(sorted(sizes))}).",
        )
    return next(iter(sizes), None)


# ---- shapes ----


def _read_pieces(
    where: str,
    items: list[Item],
    image: LabelledImage,
    source: Source,
    labels: Labels,
) -> Iterator[Piece]:
    regions = _merge(items)
    groups = _groups(items, regions, labels)
    for identity, region in regions.items():
        with source.item(f"{where}, region {identity}"):
            piece = _read_region(f"{where}, region {identity}", region, image, source)
            if piece is None:
                kind = values.word(region["kind"])
                labels.counts[f"regions that are not read, left out: {kind}"] += 1
                continue
            piece.group = groups.get(identity)
            yield piece


def _merge(items: list[Item]) -> dict[str, Item]:
    """Regions by id: items of one id describe one region, each by another tag."""
    regions: dict[str, Item] = {}
    for place, item in enumerate(items):
        if item.get("type") == "relation":
            continue
        identity = values.name(item.get("id"), f"the id of result[{place}]")
        value = values.entry(item.get("value"), f"the value of result[{place}]")
        region = regions.setdefault(identity, {"kind": "", "values": {}, "turned": 0})
        kind = str(item.get("type", "")).removesuffix("labels")
        if kind not in _ANSWERS or not region["kind"]:
            region["kind"] = kind
        region["values"] |= value
        region["turned"] = region["turned"] or item.get("image_rotation")
    return {key: region for key, region in regions.items() if _is_drawn(region)}


def _is_drawn(region: Item) -> bool:
    """Whether this is a shape, not an answer about the whole image."""
    places = {"x", "points", "rle", "vertices"}
    return region["kind"] not in _ANSWERS or bool(places & {*region["values"]})


def _groups(
    items: list[Item], regions: dict[str, Item], labels: Labels
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
        if is_relation and not {"keypoint"} & {
            regions[first]["kind"],
            regions[second]["kind"],
        }:
            labels.counts["relations between objects, left out"] += 1
            continue
        leader[find(first)] = find(second)
    sizes = collections.Counter(find(identity) for identity in regions)
    return {i: find(i) for i in regions if sizes[find(i)] > 1}


def _read_region(
    where: str, region: Item, image: LabelledImage, source: Source
) -> Piece | None:
    if region["turned"]:
        raise Unusable(
            "turned image",
            f"the image was turned by {shown(region['turned'])} degrees in Label "
            "Studio, and such places are not read; turn the image file instead.",
        )
    kind, value = region["kind"], region["values"]
    names = _label_names(kind, value)
    piece = Piece(where=where, label=names[0] if names else None)
    marks = values.entries(value.get("choices") or [], "choices")
    choices = [mark for mark in marks if isinstance(mark, str)]
    piece.attributes = {
        **({"labels": names} if len(names) > 1 else {}),
        **({"choices": choices} if choices else {}),
    }
    if kind == "keypoint":
        if not names:
            raise Unusable("no label", "the keypoint has no label, so no name.")
        place = _scaled(value.get("x"), value.get("y"), image)
        is_hidden = source.hidden_flag in choices
        piece.label = None
        piece.keypoints = {names[0]: Keypoint(*place, HIDDEN if is_hidden else VISIBLE)}
    elif kind == "rectangle":
        _read_rectangle(piece, value, image)
    elif kind == "polygon":
        corners = [
            _scaled(*values.point(point, f"points[{place}]"), image)
            for place, point in enumerate(values.entries(value.get("points"), "points"))
        ]
        if len(corners) < 3:
            raise Unusable("bad shape", f"a polygon cannot have {len(corners)} points.")
        piece.outline = values.flat(corners)
    elif kind == "brush":
        runs = values.entries(value.get("rle"), "rle")
        mask = read_brush(runs, image.width, image.height)
        piece.mask = run_lengths(mask, 0, 0, (image.width, image.height))
    else:
        return None
    return piece


def _label_names(kind: str, value: Item) -> list[str]:
    for key in (f"{kind}labels", "labels"):
        if value.get(key):
            names = values.entries(value[key], key)
            return [values.name(name, key) for name in names]
    return []


def _scaled(x: Any, y: Any, image: LabelledImage) -> tuple[float, float]:
    return (
        values.number(x, "x") * image.width / 100,
        values.number(y, "y") * image.height / 100,
    )


def _read_rectangle(piece: Piece, value: Item, image: LabelledImage) -> None:
    """A box; one that is turned, about its upper left corner, is an outline, too."""
    left, top = _scaled(value.get("x"), value.get("y"), image)
    width, height = _scaled(value.get("width"), value.get("height"), image)
    degrees = values.number(value.get("rotation") or 0, "rotation")
    piece.box = [left, top, width, height]
    if degrees:
        size = (width, height)
        corners = values.turned_corners(left, top, size, degrees, (left, top))
        piece.box, piece.outline = values.box_of(corners), values.flat(corners)
        piece.attributes["rotation"] = degrees
