r"""Converts COCO keypoint annotations and their images to pose TFRecords.

  python -m hrnet_tf.data.coco_pose \
      --image_dir=coco/train2017 \
      --annotations=coco/annotations/person_keypoints_train2017.json \
      --output_prefix=records/train

writes records/train-00000-of-00008.tfrecord and so on, one record per image: the bytes
of the image file once, and all its people. Any data set in COCO's format works; name
its keypoints with --skeleton.

Everything is checked first: each image must decode completely and have the size that
the annotations say (EXIF orientation ignored, as COCO does), each person must have a
box on the image and a full list of keypoints. A fault is reported with file and
annotation id. By default the first one ends the conversion, and nothing is written;
--on_error=skip leaves the faulty image or person out and counts it. A file beside the
records, PREFIX.conversion.json, then says what was left out, and which --category and
--area_from were given: an evaluation on the same annotations follows it. A JPEG that
its decoder completes with a mere warning about damaged data is not noticed.

Labelled keypoints are counted, whatever num_keypoints says. An area of 0 is a fault of
people with keypoints, since predictions are scored in proportion to it.

These stay as they are: crowds, people without keypoints, boxes partly beyond the border
(the reader clips them), greyscale and CMYK images (the reader decodes them to RGB), and
images without people, since a detector's box file may name those. Where only training
will read the records, --nokeep_empty saves their space.

The annotation file must fit in memory (its outlines are dropped while reading);
images pass through one by one.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import next_steps
from hrnet_tf.data.converters import command
from hrnet_tf.data.vocabularies.skeletons import BUILT_IN, load_skeleton


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("image_dir", "Folder with the images.", required=True)
    flag.string(
        "annotations",
        "COCO keypoint annotations, person_keypoints_*.json.",
        required=True,
    )
    flag.vocabulary(
        "skeleton",
        load_skeleton,
        f"Keypoints of each person: {', '.join(BUILT_IN)}, or the path of a YAML file.",
        "coco17",
    )
    flag.string(
        "category",
        "Name of the category to convert, several names with commas that share the "
        "skeleton, or all that have keypoints: all. By default the only one.",
    )
    flag.allow_outside()
    flag.area_from(
        "Where the area of an annotation comes from that has none, or 0; crowdpose "
        "takes 0.53 of the box for all, as CrowdPose's evaluation does.",
        with_crowdpose=True,
    )
    flag.boolean(
        "keep_empty",
        "Keep images without people, which a detector's box file may name.",
        True,
    )
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import coco_pose

    return coco_pose.convert(
        values.image_dir,
        values.annotations,
        skeleton=load_skeleton(values.skeleton),
        category=values.category,
        area_from=values.area_from,
        keep_empty=values.keep_empty,
        **command.options(values),
    )


# The experiment and the configuration of any data set, and of those that are published.
_ANY = ("hrnet_pose_coco", "small_data")
_RECIPES = {
    "crowdpose14": ("hrnet_pose_crowdpose", "crowdpose_w32_256x192"),
    "ap10k17": ("hrnet_pose_ap10k", "ap10k_w32_256x256"),
    "coco_wholebody133": ("hrnet_pose_wholebody", "wholebody_w32_256x192"),
}


def training(values: flags.FlagValues, _: object) -> list[str]:
    """The flags of a training on the records."""
    file = command.validation_file(values)
    experiment, config = _RECIPES.get(values.skeleton, _ANY)
    return [
        f"--experiment={experiment}",
        f"--config_file=configs/pose/{config}.yaml",
        next_steps.change("task.skeleton", values.skeleton),
        next_steps.change("task.evaluation.annotation_file", file),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command.run(convert, define_flags(), argv, training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
