r"""Converts PASCAL-Context to segmentation TFRecords of 60 classes.

  python -m hrnet_tf.data.pascal_context --data_dir=VOCdevkit/VOC2010 \
      --annotations=VOCdevkit/VOC2010/trainval_merged.json --split=train \
      --output_prefix=pascal_context/records/train

--data_dir is that of PASCAL VOC 2010, with JPEGImages/. --annotations is one of

    trainval_merged.json   from "PASCAL in Detail", which knows the splits
    a folder of .mat       the original trainval.tar.gz: LabelMap of 459 labels
    a folder of .png       class numbers, 0 for the background and 1 to 59

With a folder, the images are those of ImageSets/SegmentationContext/SPLIT.txt, or of
ImageSets/Main/SPLIT.txt, or of --image_list.

The records hold 60 classes, the background first. To learn 59, set
`task.drop_background`: the background is then ignored.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf.data.converters import command
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("data_dir", "The folder VOC2010 of PASCAL VOC 2010.", required=True)
    flag.string(
        "annotations",
        "trainval_merged.json, or a folder of .mat or .png files.",
        required=True,
    )
    flag.enum("split", ("train", "val"), "What to convert.", required=True)
    flag.string(
        "image_list",
        "With a folder of annotations: file with the images' names without .jpg, one "
        "per line.",
    )
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import pascal_context, segmentation

    pairs, read_labels = pascal_context.find_pairs(
        values.data_dir, values.annotations, values.split, values.image_list
    )
    label_set = BUILT_IN["pascal_context_60"]
    return segmentation.convert(
        pairs, read_labels, label_set, **command.options(values)
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    training = (
        "--experiment=hrnet_seg_pascal_context",
        "--config_file=configs/segmentation/pascal_context_w48.yaml",
    )
    return command.run(convert, define_flags(), argv, lambda *done: training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
