r"""Converts MPII Human Pose, as the official pose repository lists it, to TFRecords.

  python -m hrnet_tf.data.mpii --image_dir=mpii/images \
      --annotations=mpii/annot/valid.json --output_prefix=mpii/records/valid

writes mpii/records/valid-00000-of-00008.tfrecord and so on, and for evaluations, in
COCO's format, mpii/records/valid.annotations.json. --annotations is train.json,
valid.json or trainval.json: a list of objects with image, center, scale, joints and
joints_vis.

People are cropped as official code does: about the centre, lowered by 15 times the
scale, a square of 200 times the scale, which task.*_data.box_padding enlarges by 1.25.
Coordinates, which begin with 1, begin with 0 in the records.

gt_valid.mat beside valid.json, or --gt_mat, has the rectangles of heads, by which PCKh
is scored, and the joints that are; both become a part of the records.

Everything is checked first. By default the first fault ends the conversion, and nothing
is written; --on_error=skip leaves the faulty image or person out and counts it.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf.data.converters import command


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("image_dir", "Folder with the images.", required=True)
    flag.string("annotations", "annot/train.json or valid.json.", required=True)
    flag.string(
        "gt_mat",
        "gt_valid.mat, for the people of valid.json; by default gt_NAME.mat beside "
        "NAME.json, if it is there. Empty for none.",
    )
    flag.allow_outside()
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import mpii

    return mpii.convert(
        values.image_dir,
        values.annotations,
        gt_mat=values.gt_mat,
        **command.options(values),
    )


def training(values: flags.FlagValues, _: object) -> list[str]:
    """The flags of a training on the records."""
    return [
        "--experiment=hrnet_pose_mpii",
        "--config_file=configs/pose/mpii_w32_256x256.yaml",
        command.annotations_of_validation(values),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command.run(convert, define_flags(), argv, training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
