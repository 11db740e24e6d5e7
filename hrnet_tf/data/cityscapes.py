r"""Converts Cityscapes to segmentation TFRecords.

  python -m hrnet_tf.data.cityscapes --data_dir=cityscapes --split=train \
      --output_prefix=cityscapes/records/train

--data_dir holds leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip unpacked:

    leftImg8bit/{train,val}/CITY/*_leftImg8bit.png
    gtFine/{train,val}/CITY/*_gtFine_labelIds.png

Of the 34 label ids, 19 become the classes of the benchmark and the others are ignored.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf.data.converters import command
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("data_dir", "Where Cityscapes was unpacked to.", required=True)
    flag.enum("split", ("train", "val", "trainval"), "What to convert.", required=True)
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import cityscapes, segmentation

    return segmentation.convert(
        cityscapes.find_pairs(values.data_dir, values.split),
        cityscapes.read_labels,
        BUILT_IN["cityscapes"],
        **command.options(values),
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    training = (
        "--experiment=hrnet_seg_cityscapes",
        "--config_file=configs/segmentation/cityscapes_w48.yaml",
    )
    return command.run(convert, define_flags(), argv, lambda *done: training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
