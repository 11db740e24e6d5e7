"""From a label tool's files to COCO's JSON and skeleton files: read, check, write."""

import collections
import contextlib
import dataclasses
import importlib
import os

from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.data.label_tools import skeleton_files
from hrnet_tf.data.label_tools.annotations import SHARED, Choices, to_coco
from hrnet_tf.data.label_tools.labels import SKELETON_KEYS, UNSAID, Labels
from hrnet_tf.data.label_tools.source import Source
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.input_files import InputFileError
from hrnet_tf.output_files import check_output, write_json


@dataclasses.dataclass(kw_only=True)
class ImportSummary:
    """What an import did."""

    tool: str
    counts: dict[str, int]
    unsaid: list[str]  # keys of `UNSAID`
    faults: list[str]  # a sentence about each
    advice: list[str]
    files: list[str]
    converter: str  # the command that goes on from here, below hrnet_tf
    converter_flags: list[str]

    def __str__(self) -> str:
        always = ("images", "objects")
        lines = [
            f"{count:>9}  {what}"
            for what, count in self.counts.items()
            if count or what in always
        ]
        if self.unsaid:
            lines.append(f"What these {self.tool} files do not say:")
            lines += [f"  {what}: {UNSAID[what]}" for what in self.unsaid]
        lines += [f"Written: {', '.join(self.files)}", *self.advice]
        return "\n".join(lines)


def import_annotations(
    tool: str,
    source: Source,
    output: str,
    *,
    choices: Choices,
    skeleton: Skeleton | None = None,
    overwrite: bool = False,
) -> ImportSummary:
    """Writes `output` and the skeleton files beside it, all or none.

    The flags of `hrnet_tf.data.import_annotations` describe the arguments. Raises a
    `UserError` if the input cannot be used or an output exists already.
    """
    check_output(output, overwrite, "--output")
    reader = importlib.import_module(f"hrnet_tf.data.label_tools.{tool}")
    try:
        labels: Labels = reader.read(source)
    except InputFileError as error:
        raise ConversionError(f"The input {error}") from None
    if source.image_dir is None:
        _widen_image_dir(labels, source)
    if skeleton:
        skeleton_files.apply_skeleton(labels, skeleton)
    content, counts = to_coco(labels, choices, source)
    if not content["images"]:
        first = next(iter(source.faults.sentences), "the input lists none")
        raise ConversionError(
            f"No image is left to write, so nothing is written: {first}"
        )
    specs = skeleton_files.specs(labels, skeleton)
    paths = skeleton_files.paths(output, [*specs], labels)
    for path in paths.values():
        check_output(path, overwrite, "--output")
    _write(output, content, {paths[name]: spec for name, spec in specs.items()})
    advice = [
        sentence
        for name, spec in specs.items()
        for sentence in skeleton_files.advice(spec, paths[name])
    ]
    if source.hidden_flag and not counts["  of these hidden"]:
        advice.append(f"No keypoint has the mark --hidden_flag={source.hidden_flag}.")
    converter, flags = _converter(output, labels, [*paths.values()])
    return ImportSummary(
        tool=tool,
        counts=_counts(content, counts, labels, source),
        unsaid=_unsaid(labels, has_keypoints=bool(specs)),
        faults=source.faults.sentences,
        advice=advice,
        files=[output, *paths.values()],
        converter=converter,
        converter_flags=[f"--{name}={value}" for name, value in flags.items()],
    )


def _widen_image_dir(labels: Labels, source: Source) -> None:
    """Makes the folder of images the one above, if names lead there: ../images/a.jpg.

    Names that lead further are reported: files from anywhere are for users to allow.
    """
    ups = [image.file_name.split(os.sep).count("..") for image in labels.images]
    if labels.image_dir is None or not any(ups):
        return
    inside = os.path.abspath(labels.image_dir)
    labels.image_dir = os.path.dirname(inside)
    kept = []
    for image, up in zip(labels.images, ups, strict=True):
        with source.item(image.where):
            if up > 1:
                raise Unusable(
                    "image outside the folder",
                    f"the image {image.file_name} lies far from {inside}; give the "
                    "folder of the images with --image_dir.",
                )
            path = os.path.normpath(os.path.join(inside, image.file_name))
            image.file_name = os.path.relpath(path, labels.image_dir)
            kept.append(image)
    labels.images = kept


def _write(output: str, content: dict, skeletons: dict[str, dict]) -> None:
    """Writes the skeleton files and the JSON; takes new ones back if one fails."""
    with contextlib.ExitStack() as undo:
        for path, spec in skeletons.items():
            is_new = not os.path.exists(path)
            skeleton_files.write(path, spec)
            if is_new:
                undo.callback(os.remove, path)
        write_json(output, content)
        undo.pop_all()


def _counts(
    content: dict, counts: collections.Counter[str], labels: Labels, source: Source
) -> dict[str, int]:
    """All that the summary tells, in its order."""
    names = [entry["file_name"] for entry in content["images"]]
    folder = labels.image_dir
    missing = 0
    if folder is not None:
        missing = sum(not os.path.isfile(os.path.join(folder, n)) for n in names)
    first = ["  of these without objects", SHARED, "objects"]
    first += ["  of these with keypoints", "  of these with a segmentation"]
    first += ["  of these crowds"]
    parts = ["keypoints", "  of these hidden", "  of these outside the image"]
    boxes = [key for key in counts if key not in (*first, *parts)]
    return {
        "images": len(names),
        **{key: counts[key] for key in (*first, *boxes, *parts)},
        f"images not found in {folder}": missing,
        **labels.counts,
        **{f"skipped: {kind}": n for kind, n in sorted(source.faults.counts.items())},
    }


def _unsaid(labels: Labels, has_keypoints: bool) -> list[str]:
    of_keypoints = {"visibility", "hidden keypoints", *SKELETON_KEYS}
    of_keypoints |= {"names of keypoints", "order of keypoints"}
    return [
        key
        for key in UNSAID
        if key in labels.unsaid and (has_keypoints or key not in of_keypoints)
    ]


def _converter(
    output: str, labels: Labels, skeletons: list[str]
) -> tuple[str, dict[str, str]]:
    """The converter that goes on from here, and its flags."""
    flags = {
        "image_dir": labels.image_dir or "FOLDER_OF_THE_IMAGES",
        "annotations": output,
    }
    if not skeletons:
        return "data.coco_instances", flags | {"output_prefix": "records/train"}
    named = [c for c in labels.categories.values() if c.keypoints]
    flags |= {"skeleton": skeletons[0]}
    if len(named) > 1:
        flags |= {"category": named[0].name if len(skeletons) > 1 else "all"}
    return "data.coco_pose", flags | {"output_prefix": "records/train"}
