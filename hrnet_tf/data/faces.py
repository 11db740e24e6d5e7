r"""Converts faces with landmarks to pose TFRecords: WFLW, 300W, COFW and AFLW.

  python -m hrnet_tf.data.faces --dataset=wflw --image_dir=wflw/images \
      --annotations=wflw/face_landmarks_wflw_train.csv \
      --output_prefix=wflw/records/train

writes wflw/records/train-00000-of-00008.tfrecord and so on, and for evaluations, in
COCO's format, wflw/records/train.annotations.json. --annotations is one of

    face_landmarks_*.csv     the lists of HRNet's authors, of WFLW, 300W and AFLW
    list_98pt_rect_attr_*.txt    WFLW's own
    COFW_*_color.mat         COFW's own, with the images in it: no --image_dir
    *.json                   COCO's format, such as mmpose's, of all

Faces are cropped as official code does: about the centre, a square of 200 times the
scale, which task.*_data.box_padding enlarges by 1.25. Lists without them have the
square around all landmarks.

Everything is checked first. By default the first fault ends the conversion, and nothing
is written; --on_error=skip leaves the faulty image or face out and counts it.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf.data.converters import command

_DATASETS = ("wflw", "300w", "cofw", "aflw")


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.enum("dataset", _DATASETS, "Which data set it is.", required=True)
    flag.string("annotations", "The list of faces, see above.", required=True)
    flag.string("image_dir", "Folder with the images, but for COFW_*_color.mat.")
    flag.allow_outside()
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import faces

    return faces.convert(
        values.dataset,
        values.annotations,
        image_dir=values.image_dir,
        **command.options(values),
    )


def training(values: flags.FlagValues, _: object) -> list[str]:
    """The flags of a training on the records."""
    return [
        "--experiment=hrnet_face_wflw",
        f"--config_file=configs/face/{values.dataset}_w18_256x256.yaml",
        command.annotations_of_validation(values),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command.run(convert, define_flags(), argv, training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
