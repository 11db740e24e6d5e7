r"""Imports the files of a label tool: to COCO's JSON, which our converters take.

  python -m hrnet_tf.data.import_annotations --from=cvat --input=annotations.xml \
      --output=person_keypoints.json --area_from=box --box_from=keypoints \
      --box_margin=10%

writes person_keypoints.json and, with the names of the keypoints and what else the
tool knows of them, person_keypoints.skeleton.yaml, for --skeleton of
hrnet_tf.data.coco_pose. Where objects have no keypoints, hrnet_tf.data.coco_instances
takes the JSON.

--from and --input are:
  cvat          annotations.xml, "CVAT for images 1.1" or "CVAT for video 1.1"
  label_studio  the file of an export as JSON (not JSON-MIN)
  labelme       the folder of the JSON files, or one of them
  yolo_pose     data.yaml of a data set; --split chooses train, val or test
  deeplabcut    the project's folder, or a CollectedData_*.csv or .h5
  coco          a JSON file of another tool, which is checked and completed

What a format cannot say is told, not guessed: the summary lists it. Boxes that are
missing are made only as --box_from says, areas only as --area_from says, and the
summary counts them. Whatever else the tool says of an object is kept as its attributes.
Where a tool needs two labels for one kind, as CVAT does for the box of a skeleton,
--rename=person_box=person makes one of them.

Everything is checked first. A fault is reported with the file and the place in it; by
default the first one ends the import, and nothing is written. --on_error=skip leaves
the faulty image or object out and counts it. Image files are looked at only for their
sizes, where the labels do not tell these.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.command_line import UsageError
from hrnet_tf.data.vocabularies.skeletons import BUILT_IN, load_skeleton
from hrnet_tf.messages import did_you_mean

_FORMATS = ("cvat", "label_studio", "labelme", "yolo_pose", "deeplabcut", "coco")
_BOX_SOURCES = ("segmentation", "keypoints")
# Flags that some formats have no use for, and those that do.
_ONLY_WITH = {
    "split": ("yolo_pose",),
    "hidden_flag": ("labelme", "label_studio"),
    "rename": ("cvat", "label_studio", "labelme"),
}


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command_line.Flags()
    flag.enum("from", _FORMATS, "The tool, or its format.", required=True)
    flag.string("input", "File or folder that the tool wrote.", required=True)
    flag.string(
        "output", "COCO's JSON to write, such as person_keypoints.json.", required=True
    )
    flag.string(
        "image_dir",
        "Folder with the images, where they lie elsewhere than the labels say, or to "
        "look for each.",
    )
    flag.string(
        "skeleton",
        "Names and order of the keypoints, where the labels do not tell or another is "
        f"wanted: {', '.join(BUILT_IN)}, or the path of a YAML file.",
    )
    flag.string(
        "category", "Category of objects of which the labels tell none.", "person"
    )
    flag.list(
        "box_from",
        "What a box is made from that is missing: segmentation (the box around the "
        "outline), keypoints (the box around them, with --box_margin), or both with a "
        "comma, tried in this order.",
    )
    flag.string(
        "box_margin",
        "What --box_from=keypoints leaves around: 10% of the longer side, or 20px.",
    )
    flag.area_from("Where the area of an object comes from that has none, or 0.")
    flag.string(
        "hidden_flag",
        "labelme: name of the flag, label_studio: name of the choice, that marks a "
        "keypoint as labelled but hidden.",
    )
    flag.list(
        "rename",
        "cvat, label_studio, labelme: labels of objects or keypoints that are to be "
        "called otherwise, OLD=NEW. CVAT draws no box with the label of a skeleton: "
        "--rename=person_box=person makes boxes of their own label its boxes.",
    )
    flag.boolean(
        "zero_is_absent",
        "Take keypoints at 0, 0 for not labelled, as some tools write these.",
    )
    flag.string("split", "yolo_pose: the split to import, train, val or test.")
    flag.exif(
        "What was labelled of images with an EXIF orientation whose size the labels do "
        "not tell: apply, pictures as viewers show them; ignore, pixels as stored."
    )
    flag.on_error(
        "At a faulty image or object: end without writing, or leave it out, counted."
    )
    flag.overwrite("Replace earlier files.")
    return flag.values


def _check(values: flags.FlagValues) -> None:
    """Refuses flags that do not go together. Raises `UsageError`."""
    tool = values["from"].value
    for name, tools in _ONLY_WITH.items():
        if values[name].value is not None and tool not in tools:
            raise UsageError(f"--{name} goes with --from={' or --from='.join(tools)}.")
    box_from = values.box_from or []
    for source in box_from:
        if source not in _BOX_SOURCES:
            raise UsageError(
                f"--box_from={source}{did_you_mean(source, _BOX_SOURCES)} is none of "
                f"{', '.join(_BOX_SOURCES)}."
            )
    if ("keypoints" in box_from) != (values.box_margin is not None):
        raise UsageError(
            "--box_from=keypoints and --box_margin go together: give both, such as "
            "--box_margin=10% or --box_margin=20px."
        )
    for pair in values.rename or []:
        if not all(pair.partition("=")):
            raise UsageError(f"--rename={pair} must be written OLD=NEW.")
    if not values.output.endswith(".json"):
        raise UsageError(f"--output={values.output} must end in .json.")


def import_annotations(values: flags.FlagValues) -> None:
    """Imports as the flags say."""
    _check(values)
    skeleton = load_skeleton(values.skeleton) if values.skeleton else None
    from hrnet_tf.data.files.faults import Faults
    from hrnet_tf.data.label_tools import importing
    from hrnet_tf.data.label_tools.annotations import Choices
    from hrnet_tf.data.label_tools.source import Source

    source = Source(
        path=values.input,
        faults=Faults(values.on_error),
        image_dir=values.image_dir,
        category=values.category,
        split=values.split,
        hidden_flag=values.hidden_flag,
        exif=values.exif,
        renames=dict(pair.split("=", 1) for pair in values.rename or ()),
    )
    summary = importing.import_annotations(
        values["from"].value,
        source,
        values.output,
        choices=Choices(
            box_from=tuple(values.box_from or ()),
            box_margin=_margin(values.box_margin),
            area_from=values.area_from,
            zero_is_absent=values.zero_is_absent,
        ),
        skeleton=skeleton,
        overwrite=values.overwrite,
    )
    for sentence in summary.faults:
        print(sentence, file=sys.stderr)
    print(summary)
    looks = os.path.join("looks", os.path.basename(values.output.removesuffix(".json")))
    next_steps.tell(
        "look at the labels",
        "data.inspect",
        *summary.described,
        f"--output_dir={looks}",
    )
    next_steps.tell(
        "convert the labels to records",
        summary.converter,
        *summary.described,
        "--output_prefix=records/train",
    )


def _margin(text: str | None) -> Any:
    from hrnet_tf.data.label_tools.boxes import parse_margin

    margin = None if text is None else parse_margin(text)
    if text is not None and margin is None:
        raise UsageError(f"--box_margin={text} must be written like 10% or 20px.")
    return margin


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(import_annotations, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
