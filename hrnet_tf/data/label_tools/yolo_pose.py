"""YOLO's pose data sets: data.yaml, and a text file per image.

A line is `class cx cy w h` and x, y and perhaps visibility of each keypoint, in shares
of the image's width and height. An image without a text file shows no object.
"""

import os
from collections.abc import Iterator
from typing import Any

from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import values
from hrnet_tf.data.label_tools.labels import (
    ABSENT,
    VISIBLE,
    Category,
    Keypoint,
    LabelledImage,
    LabelledObject,
    Labels,
    number_names,
)
from hrnet_tf.data.label_tools.source import Source, find_image, image_size
from hrnet_tf.data.vocabularies.skeletons import MOST_KEYPOINTS
from hrnet_tf.data.vocabularies.vocabulary import is_name
from hrnet_tf.input_files import read_text, read_yaml
from hrnet_tf.messages import did_you_mean, shown

SPLITS = ("train", "val", "test")
_IMAGES = (".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")


def read(source: Source) -> Labels:
    """Reads the split of a data.yaml, or of the folder that holds it."""
    path = _find_yaml(source.path)
    spec = read_yaml(path)
    if not isinstance(spec, dict) or "kpt_shape" not in spec:
        raise ConversionError(
            f"{path} has no kpt_shape, as data.yaml of a YOLO pose data set has: "
            "kpt_shape: [17, 3]."
        )
    root = _root(path, spec.get("path"))
    try:
        shape = _read_shape(spec["kpt_shape"])
        categories = _read_categories(spec, shape[0])
    except Unusable as fault:
        raise ConversionError(f"{path}: {fault.sentence}") from None
    labels = Labels(image_dir=source.image_dir or root)
    labels.categories = {category.name: category for category in categories}
    labels.unsaid = {"limbs", "sigmas", "areas", "outlines", "image sizes"}
    labels.unsaid |= {"visibility"} if shape[1] == 2 else set()
    labels.unsaid |= {"flip pairs"} if categories[0].flip_pairs is None else set()
    labels.unsaid |= {"names of keypoints"} if categories[0].is_numbered else set()
    folder = labels.image_dir or "."
    for image_path in _list_images(path, root, _choose_split(path, spec, source.split)):
        with source.item(image_path):
            file_name = os.path.relpath(image_path, root)
            find_image(folder, [file_name], is_needed=True)
            width, height = image_size(folder, file_name, source.exif)
            image = LabelledImage(
                where=image_path, file_name=file_name, width=width, height=height
            )
            labels.images.append(image)
            for where, words in _lines(_label_path(image_path)):
                with source.item(where):
                    image.objects.append(
                        _read_object(where, words, image, categories, shape)
                    )
    return labels


# ---- data.yaml ----


def _find_yaml(path: str) -> str:
    if not os.path.isdir(path):
        return path
    found = [f for f in sorted(os.listdir(path)) if f.endswith((".yaml", ".yml"))]
    if "data.yaml" in found or len(found) == 1:
        return os.path.join(path, "data.yaml" if "data.yaml" in found else found[0])
    raise ConversionError(
        f"The folder {path} holds {len(found)} *.yaml files; give --input the one that "
        "describes the data set, with kpt_shape."
    )


def _root(yaml_path: str, said: Any) -> str:
    """The folder of the data set: `path`, if it exists, or that of the YAML file."""
    beside = os.path.dirname(yaml_path) or "."
    candidates = [os.path.join(beside, said), said] if is_name(said) else []
    return next(filter(os.path.isdir, candidates), beside)


def _read_shape(shape: Any) -> tuple[int, int]:
    is_shape = isinstance(shape, list) and len(shape) == 2
    if not is_shape or shape[1] not in (2, 3) or {*map(type, shape)} != {int}:
        raise Unusable(
            "bad shape",
            f"kpt_shape is {shown(shape)}; it must be [number of keypoints, 2 or 3].",
        )
    if not 0 < shape[0] <= MOST_KEYPOINTS:
        raise Unusable(
            "bad shape",
            f"kpt_shape is {shown(shape)}; there must be 1 to {MOST_KEYPOINTS} "
            "keypoints.",
        )
    return shape[0], shape[1]


def _read_categories(spec: dict[str, Any], count: int) -> list[Category]:
    names = _by_number(spec.get("names"), "names")
    all_keypoints = spec.get("kpt_names")
    pairs = _read_flips(spec.get("flip_idx"), count)
    categories = []
    for place, name in enumerate(names):
        keypoints = number_names(count)
        if all_keypoints is not None:
            keypoints = _keypoint_names(all_keypoints, place)
        if len(keypoints) != count:
            raise Unusable(
                "bad names",
                f"kpt_names has {len(keypoints)} names for the class {name!r}, but "
                f"kpt_shape says {count} keypoints.",
            )
        categories.append(
            Category(
                name=name,
                keypoints=keypoints,
                is_numbered=all_keypoints is None,
                flip_pairs=None
                if pairs is None
                else [(keypoints[left], keypoints[right]) for left, right in pairs],
            )
        )
    return categories


def _keypoint_names(names: Any, number: int) -> list[str]:
    """`kpt_names`: a list, or a list for each class."""
    of_class = names.get(number) if isinstance(names, dict) else names
    return _by_number(of_class, "kpt_names")


def _by_number(names: Any, what: str) -> list[str]:
    """A list of different names, or a mapping from 0, 1, ... to names."""
    if isinstance(names, dict) and list(names) == list(range(len(names))):
        names = list(names.values())
    if not isinstance(names, list) or not names:
        raise Unusable(
            "bad names",
            f"{what} is {shown(names)}; it must be a list of names, or a mapping from "
            "0, 1, 2 and so on to names.",
        )
    checked = [values.name(name, f"{what}[{n}]") for n, name in enumerate(names)]
    if len(set(checked)) < len(checked):
        raise Unusable("bad names", f"{what} has a name twice: {shown(checked)}.")
    return checked


def _read_flips(flips: Any, count: int) -> list[tuple[int, int]] | None:
    if flips is None or flips == []:  # Ultralytics takes both for unknown.
        return None
    is_order = isinstance(flips, list) and all(type(place) is int for place in flips)
    if not is_order or sorted(flips) != list(range(count)):
        raise Unusable(
            "bad flip_idx",
            f"flip_idx is {shown(flips)}; it must hold each number from 0 to "
            f"{count - 1} once.",
        )
    if any(flips[flips[place]] != place for place in flips):
        raise Unusable(
            "bad flip_idx",
            f"flip_idx is {shown(flips)}; two keypoints that change places must name "
            "each other.",
        )
    return [(place, other) for place, other in enumerate(flips) if place < other]


def _choose_split(path: str, spec: dict[str, Any], wanted: str | None) -> Any:
    there = [split for split in SPLITS if spec.get(split)]
    if wanted is None and len(there) == 1:
        wanted = there[0]
    if wanted not in there:
        has = f"has the splits {', '.join(there)}" if there else "names no split"
        raise ConversionError(
            f"{path} {has}{did_you_mean(wanted, there) if wanted else ''}; choose one "
            "that it names with --split."
        )
    return spec[wanted]


# ---- images and their text files ----


def _list_images(yaml_path: str, root: str, said: Any) -> list[str]:
    """Paths of the images of a split: of folders, and of text files that list them."""
    found: list[str] = []
    for entry in said if isinstance(said, list) else [said]:
        if not is_name(entry):
            raise ConversionError(
                f"{yaml_path}: a split is {shown(entry)}; it must be a folder, a text "
                "file that lists images, or a list of these."
            )
        path = os.path.join(root, entry)
        if os.path.isdir(path):
            found += sorted(
                os.path.join(folder, file)
                for folder, _, files in os.walk(path)
                for file in files
                if file.lower().endswith(_IMAGES)
            )
        elif path.endswith(".txt"):
            lines = read_text(path).splitlines()
            folder = os.path.dirname(path)
            found += [os.path.join(folder, line.strip()) for line in lines if line]
        else:
            raise ConversionError(
                f"{yaml_path}: the folder {path} of images does not exist; correct "
                "path and the split."
            )
    if not found:
        raise ConversionError(f"{yaml_path}: the split {shown(said)} has no image.")
    return [os.path.normpath(path) for path in found]


def _label_path(image_path: str) -> str:
    """The text file of an image: the last folder `images` is `labels` in its path."""
    stem = os.path.splitext(image_path)[0]
    before, images, after = stem.rpartition(f"{os.sep}images{os.sep}")
    return f"{before}{os.sep}labels{os.sep}{after}.txt" if images else f"{stem}.txt"


def _lines(path: str) -> Iterator[tuple[str, list[str]]]:
    """Where a line stands, and its words; nothing if there is no file."""
    if os.path.lexists(path):
        for place, line in enumerate(read_text(path).splitlines(), start=1):
            if line.strip():
                yield f"{path}, line {place}", line.split()


def _read_object(
    where: str,
    words: list[str],
    image: LabelledImage,
    categories: list[Category],
    shape: tuple[int, int],
) -> LabelledObject:
    count, each = shape
    if len(words) != 5 + count * each:
        raise Unusable(
            "wrong number of values",
            f"the line has {len(words)} values; with kpt_shape {[count, each]} it must "
            f"have {5 + count * each}: class, box and keypoints.",
        )
    number = values.parse_whole(words[0], "the class")
    if number >= len(categories):
        raise Unusable(
            "unknown class",
            f"the class is {number}, but names has only {len(categories)}.",
        )
    row = [
        values.parse_number(word, f"value {n + 2}") for n, word in enumerate(words[1:])
    ]
    x, y, width, height = (
        value * (image.height if place % 2 else image.width)
        for place, value in enumerate(row[:4])
    )
    keypoints = [
        _read_keypoint(row[start : start + each], image)
        for start in range(4, len(row), each)
    ]
    category = categories[number]
    return LabelledObject(
        where=where,
        category=category.name,
        box=[x - width / 2, y - height / 2, width, height],
        keypoints=dict(zip(category.keypoints, keypoints, strict=True)),
    )


def _read_keypoint(row: list[float], image: LabelledImage) -> Keypoint:
    x, y = row[0] * image.width, row[1] * image.height
    if len(row) == 2:
        # YOLO itself leaves negative places out as it does 0, 0.
        is_absent = min(row) < 0 or not any(row)
        return Keypoint(0, 0, ABSENT) if is_absent else Keypoint(x, y, VISIBLE)
    if row[2] not in (0, 1, 2):
        raise Unusable(
            "bad visibility",
            f"a keypoint has visibility {row[2]}; it must be 0, 1 or 2.",
        )
    return Keypoint(x, y, int(row[2]))
