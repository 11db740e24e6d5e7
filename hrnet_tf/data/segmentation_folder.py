r"""Converts a folder of images and one of label images to segmentation TFRecords.

  python -m hrnet_tf.data.segmentation_folder --image_dir=my/images/train \
      --label_dir=my/labels/train --label_set=my/classes.yaml \
      --output_prefix=my/records/train

Every image under --image_dir belongs to the label image that has the same name, but for
the suffix, at the same place under --label_dir. Names of label images may have another
ending, such as --label_suffix=_mask.png. The file of --label_set lists the classes:

    classes: [background, road, car]
    values: [0, 7, 26]              # optional: pixel values, 0, 1, 2 ... if left out
    colors: [[0, 0, 0], [128, 64, 128], [0, 0, 142]]      # optional
    ignore: [255, [255, 255, 255]]  # optional: values and colours without a class

Label images are PNG files without transparency: grey images with a class's value in
every pixel, or RGB images in the label set's colours. Palette images are read by their
colours if the label set has colors, and by their indices if it has none, or if the
palette has one colour only or shades of grey equal to the indices. White of 1-bit
images is 1, or, if `values` has it, 255 as viewers show it; without `values`, black and
white are colours if `colors` has both. Pixels of `ignore` or --ignore_value, which also
name indices, have no class and are neither learned nor scored. The value 255 is ignored
without being listed, unless a class has no pixel at all: then it has to be.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import next_steps
from hrnet_tf.data.converters import command
from hrnet_tf.data.vocabularies.label_sets import load_label_set


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string(
        "image_dir", "Folder of images, with or without subfolders.", required=True
    )
    flag.string(
        "label_dir", "Folder of label images, with the same subfolders.", required=True
    )
    flag.vocabulary(
        "label_set",
        load_label_set,
        "The classes: a YAML file, see above, or a built-in label set.",
        None,
    )
    flag.string(
        "label_suffix",
        "What replaces an image's suffix in the name of its label image.",
        ".png",
    )
    flag.integer(
        "ignore_value",
        "A value of label images that stands for no class, like `ignore` in the file.",
        least=0,
        most=65535,
    )
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import segmentation, segmentation_folder

    label_set = load_label_set(values.label_set).ignoring(values.ignore_value)
    return segmentation.convert(
        segmentation_folder.find_pairs(
            values.image_dir, values.label_dir, values.label_suffix
        ),
        segmentation_folder.FolderLabels(label_set).read,
        label_set,
        **command.options(values),
    )


def training(values: flags.FlagValues, _: object) -> list[str]:
    """The flags of a training on the records."""
    return [
        "--experiment=hrnet_seg_custom",
        "--config_file=configs/segmentation/custom.yaml",
        next_steps.change("task.label_set", values.label_set),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command.run(convert, define_flags(), argv, training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
