"""CVAT's XML, "CVAT for images 1.1" and "CVAT for video 1.1".

Files of images have an element per image. Those of videos have an element per track,
with a shape for each frame in which it is seen; frames are named as CVAT exports them.
"""

import os
import xml.etree.ElementTree as ET

from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import values
from hrnet_tf.data.label_tools.cvat_labels import read_labels, read_xml
from hrnet_tf.data.label_tools.cvat_shapes import read_shape, ungroup_many
from hrnet_tf.data.label_tools.labels import LabelledImage, Labels
from hrnet_tf.data.label_tools.pieces import Piece, assemble
from hrnet_tf.data.label_tools.source import Source, find_image, plain_path

_HOW = "give the shapes of each object a group in CVAT, or label skeletons"
# Nine hours of video; each frame is an image in the output.
_LAST_FRAME = 1_000_000
_NOT_THERE = "frames without objects, of which there is no image, left out"
_FRAME_SUFFIXES = (".PNG", ".png", ".jpg", ".jpeg", ".JPG", ".JPEG")


def read(source: Source) -> Labels:
    """Reads annotations.xml, or the folder that holds it."""
    path = source.path
    if os.path.isdir(path):
        path = os.path.join(path, "annotations.xml")
    root = read_xml(path)
    if root.tag != "annotations":
        raise ConversionError(
            f"{path} is not a CVAT file: it begins with <{root.tag}>, not "
            "<annotations>. Export as CVAT for images 1.1 or CVAT for video 1.1."
        )
    labels = Labels(image_dir=source.image_dir)
    labels.unsaid = {"flip pairs", "sigmas", "areas"}
    try:
        read_labels(root, labels, path)
        if root.find("track") is not None:
            _read_video(root, path, source, labels)
        else:
            for element in root.iterfind("image"):
                _read_image(element, path, source, labels)
    except Unusable as fault:
        raise ConversionError(f"{path}: {fault.sentence}") from None
    named = [category for category in labels.categories.values() if category.keypoints]
    if not all(category.limbs for category in named):
        labels.unsaid.add("limbs")
    return labels


def _read_image(element: ET.Element, path: str, source: Source, labels: Labels) -> None:
    number, name = (values.word(element.get(key, "")) for key in ("id", "name"))
    where = f"{path}: image {number} ({name})"
    with source.item(where):
        said = plain_path(element.get("name"), "its name")
        names = [said, os.path.basename(said)]
        file_name = find_image(
            source.image_dir, names, is_needed=source.image_dir is not None
        )
        size = values.size(
            *(values.parse_number(element.get(s, ""), s) for s in ("width", "height"))
        )
        image = LabelledImage(
            where=where, file_name=file_name, width=size[0], height=size[1]
        )
        pieces: list[Piece] = []
        for place, child in enumerate(element):
            of_shape = f"{where}, {values.word(child.tag)} {place + 1}"
            with source.item(of_shape):
                _add_piece(child, of_shape, child.get("label"), size, pieces, labels)
        ungroup_many(pieces)
        image.objects = assemble(pieces, source, labels, _HOW)
        labels.images.append(image)


def _add_piece(
    element: ET.Element,
    where: str,
    label: str | None,
    size: tuple[int, int],
    pieces: list[Piece],
    labels: Labels,
) -> None:
    name = values.name(label, "its label")
    if piece := read_shape(element, where, name, size, labels):
        pieces.append(piece)


# ---- videos ----


def _read_video(root: ET.Element, path: str, source: Source, labels: Labels) -> None:
    """Raises `Unusable` if the description of the video cannot be used."""
    sizes = [*root.iterfind("meta//original_size")]
    if len(sizes) != 1:
        raise Unusable(
            "several videos",
            f"it describes {len(sizes)} videos (original_size), not one; export each "
            "task by itself.",
        )
    sides = [sizes[0].findtext(side, "") for side in ("width", "height")]
    size = values.size(*(values.parse_number(side, "original_size") for side in sides))
    frames: dict[int, list[Piece]] = {n: [] for n in _all_frames(root)}
    step = _frame_step(root)
    for track in root.iterfind("track"):
        _read_track(track, path, size, frames, step, source, labels)
    for number, pieces in sorted(frames.items()):
        where = f"{path}: frame {number}"
        with source.item(where):
            file_name = _frame_name(number, source.image_dir, is_needed=bool(pieces))
            if file_name is None:
                labels.counts[_NOT_THERE] += 1
                continue
            image = LabelledImage(
                where=where,
                file_name=file_name,
                width=size[0],
                height=size[1],
                extra={"frame": number},
            )
            ungroup_many(pieces)
            image.objects = assemble(pieces, source, labels, _HOW)
            labels.images.append(image)


def _first_text(root: ET.Element, name: str) -> str:
    """What the description of the job or task says."""
    texts = [root.findtext(f"meta/{of}/{name}") for of in ("job", "task")]
    return next((text for text in texts if text), "")


def _frame_step(root: ET.Element) -> int:
    said = _first_text(root, "frame_filter").removeprefix("step=")
    return values.parse_whole(said or "1", "frame_filter", 1)


def _all_frames(root: ET.Element) -> range:
    """The numbers of all frames, as far as the file tells how many there are."""
    first, last = _first_text(root, "start_frame"), _first_text(root, "stop_frame")
    step = _frame_step(root)
    start = values.parse_whole(first or "0", "start_frame")
    if last:
        stop = values.parse_whole(last, "stop_frame")
    else:  # CVAT before 2019
        size = values.parse_whole(_first_text(root, "size") or "0", "size")
        stop = start + (size - 1) * step
    if stop > _LAST_FRAME:
        raise Unusable(
            "too many frames",
            f"the last frame is {stop}; at most {_LAST_FRAME} can be: export a part of "
            "the video.",
        )
    return range(start, stop + 1, step)


def _frame_name(number: int, folder: str | None, is_needed: bool) -> str | None:
    """The file of a frame; None if it is not there and not needed."""
    names = [f"frame_{number:06d}{suffix}" for suffix in _FRAME_SUFFIXES]
    names += [os.path.join("images", name) for name in names]
    found = find_image(folder, names, is_needed=is_needed and folder is not None)
    is_there = folder is None or os.path.isfile(os.path.join(folder, found))
    return found if is_there else None


def _read_track(
    track: ET.Element,
    path: str,
    size: tuple[int, int],
    frames: dict[int, list[Piece]],
    step: int,
    source: Source,
    labels: Labels,
) -> None:
    identity = track.get("id", "")
    last = None
    for element in track:
        said = element.get("frame", "")
        where = f"{path}: track {values.word(identity)}, frame {values.word(said)}"
        with source.item(where):
            frame = values.parse_whole(said, "frame")
            if frame > _LAST_FRAME:
                raise Unusable(
                    "too many frames",
                    f"frame is {frame}; at most {_LAST_FRAME} can be.",
                )
            if last is not None and frame > last + step:
                labels.counts[
                    "gaps in tracks, not filled (export whole tracks from CVAT)"
                ] += 1
            if element.get("outside") == "1":
                last = None
                continue
            last = frame
            pieces: list[Piece] = []
            label = track.get("label")
            _add_piece(element, where, label, size, pieces, labels)
            for piece in pieces:
                piece.attributes["track_id"] = identity
                if track.get("group_id"):
                    number = values.parse_whole(track.get("group_id", ""), "group_id")
                    piece.group = number or None
            frames.setdefault(frame, []).extend(pieces)
