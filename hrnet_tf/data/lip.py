r"""Converts LIP (Look Into Person, human parsing) to segmentation TFRecords.

  python -m hrnet_tf.data.lip --data_dir=LIP --split=train \
      --output_prefix=LIP/records/train

--data_dir holds the archives of the single-person track unpacked:

    TrainVal_images/{train,val}_images/ID.jpg
    TrainVal_parsing_annotations/{train,val}_segmentations/ID.png
    train_id.txt, val_id.txt      one ID per line; also found in TrainVal_images/

Folders inside a folder of the same name, from unpacking twice, are found too.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf.data.converters import command
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("data_dir", "Where LIP was unpacked to.", required=True)
    flag.enum("split", ("train", "val"), "What to convert.", required=True)
    flag.string(
        "id_list",
        "File with the IDs of the images, one per line; SPLIT_id.txt if not given.",
    )
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import lip, segmentation

    return segmentation.convert(
        lip.find_pairs(values.data_dir, values.split, values.id_list),
        lip.read_labels,
        BUILT_IN["lip"],
        **command.options(values),
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    training = (
        "--experiment=hrnet_seg_lip",
        "--config_file=configs/segmentation/lip_w48.yaml",
    )
    return command.run(convert, define_flags(), argv, lambda *done: training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
