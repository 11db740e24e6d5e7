r"""Looks at a data set before it is trained on: numbers, doubtful labels, pictures.

  python -m hrnet_tf.data.inspect --records='records/train-*' --output_dir=looks/train
  python -m hrnet_tf.data.inspect --output_dir=looks/train \
      --annotations=coco/annotations/person_keypoints_train2017.json \
      --image_dir=coco/train2017

prints how many images and people, objects or classes there are, how sizes and keypoints
are distributed, and what looks wrong: unreadable images and annotations, duplicates,
EXIF orientations, keypoints outside, left and right that look swapped. Records of
coco_pose, coco_instances and the segmentation converters are known by what they hold;
annotations are COCO's JSON, with keypoints or without.

--output_dir receives report.txt, report.json and two pictures. sheet.png shows samples
as training sees them, with the configuration of --experiment, --config_file and
--params_override, as for hrnet_tf.train: the left crop of each row is not augmented,
the others are. doubtful.png shows what looks wrong. Left limbs are green, right ones
orange.

What looks wrong need not be: the exit code is 0 all the same, unless --strict is given.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.data.vocabularies.skeletons import BUILT_IN


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command_line.Flags()
    flag.string("records", "TFRecords: a pattern such as 'records/train-*'.")
    flag.string("annotations", "COCO annotations, in place of records.")
    flag.string("image_dir", "Folder with the images of --annotations.")
    flag.string(
        "category",
        "With keypoint annotations: the category to look at, several names with commas "
        "that share the skeleton, or all.",
        "all",
    )
    flag.area_from(
        "With annotations: where the area comes from of those that have none, or 0; "
        "crowdpose, of people alone, is 0.53 of the box for all.",
        with_crowdpose=True,
    )
    flag.boolean(
        "include_masks", "With annotations of objects: whether to read masks.", True
    )
    flag.exif(
        "What was annotated of images with an EXIF orientation, as for the converters. "
        "Without it, such images look wrong. In records give ignore: pixels count as "
        "stored."
    )
    flag.boolean(
        "allow_outside",
        "Whether a file_name of the annotations may lead out of --image_dir.",
    )
    flag.max_pixels()
    flag.string(
        "skeleton",
        f"Keypoints of each person: {', '.join(BUILT_IN)}, or a YAML file. By default "
        "that of the configuration, or else what the data tell of.",
    )
    flag.string("label_set", "Classes of pixels: a name or a YAML file; likewise.")
    flag.string("experiment", "Experiment whose input sheet.png shows.")
    flag.changes("it", written="a.b.c=value,...")
    flag.string("output_dir", "Folder for the reports and pictures.")
    flag.overwrite("Replace the folder.")
    flag.string("json", "File for the report as JSON.")
    flag.boolean("strict", "End with exit code 1 if anything looks wrong.")
    flag.integer("num_examples", "Examples that are named of each kind.", 5, 0, 1000)
    flag.integer("num_rows", "Samples in sheet.png.", 8, 1, 100)
    flag.integer("num_augmented", "Augmented crops of each.", 5, 1, 50)
    flag.integer("num_doubtful", "Cells of doubtful.png.", 24, 1, 200)
    flag.integer("seed", "Of the choice of samples and their augmentation.", 0)
    return flag.values


def inspect(values: flags.FlagValues) -> None:
    """Inspects as the flags say."""
    if bool(values.records) == bool(values.annotations):
        raise command_line.UsageError(
            "Give either --records, or --annotations and --image_dir."
        )
    if bool(values.annotations) != bool(values.image_dir):
        raise command_line.UsageError("--annotations and --image_dir go together.")

    import tensorflow as tf

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.data.files.images import ImageRules
    from hrnet_tf.inspection import command
    from hrnet_tf.inspection.options import Options

    if inspect.__module__ == "__main__":
        # No model is run: leave the accelerator to what needs it.
        tf.config.set_visible_devices([], "GPU")
    names = (
        *("records", "annotations", "image_dir", "category", "area_from"),
        *("include_masks", "skeleton", "label_set", "experiment"),
        *("config_file", "params_override", "num_examples", "num_rows"),
        *("num_augmented", "num_doubtful", "seed"),
    )
    options = Options(
        rules=ImageRules(values.exif, values.max_pixels, values.allow_outside),
        **{name: values[name].value for name in names},
    )
    report = command.inspect(options, values.output_dir, values.json, values.overwrite)
    _tell_what_is_next(values, report.kind)
    if values.strict:
        command.require_nothing_wrong(report)


# The command that converts data of a kind, and the flags by which it reads them.
_READ_ALIKE = {"annotations", "image_dir", "area_from", "exif", "allow_outside"}
_READ_ALIKE |= {"max_pixels"}
_CONVERTERS = {
    "pose": ("data.coco_pose", _READ_ALIKE | {"category", "skeleton"}),
    "detection": ("data.coco_instances", _READ_ALIKE | {"include_masks"}),
}
_OF_TRAINING = {"experiment", "config_file", "params_override"}


def _tell_what_is_next(values: flags.FlagValues, kind: str) -> None:
    """Pictures; then the conversion of annotations, or a training on records."""
    of_training = next_steps.given(values, *{*values} - _OF_TRAINING)
    if not values.output_dir:
        data = values.records or values.annotations
        name = os.path.basename(data).split(".")[0].rstrip("-*") or "data"
        next_steps.tell(
            "look at samples as training sees them, and at what looks wrong",
            "data.inspect",
            *next_steps.given(values, "json", "strict", "overwrite"),
            f"--output_dir={os.path.join('looks', name)}",
        )
    elif values.annotations:
        converter, alike = _CONVERTERS[kind]
        next_steps.tell(
            "when nothing looks wrong any more, convert the annotations to records",
            converter,
            *next_steps.given(values, *{*values} - alike),
            "--output_prefix=records/train",
        )
    elif of_training:
        next_steps.tell(
            "train on the records",
            "train",
            *of_training,
            next_steps.change("task.train_data.input_path", values.records),
            "--model_dir=runs/mine",
        )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(inspect, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
