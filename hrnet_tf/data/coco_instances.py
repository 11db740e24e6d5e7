r"""Converts COCO object annotations and their images to the Garden's TFRecords.

  python -m hrnet_tf.data.coco_instances \
      --image_dir=coco/train2017 \
      --annotations=coco/annotations/instances_train2017.json \
      --output_prefix=records/train

writes records/train-00000-of-00008.tfrecord and so on, one record per image, in the
format of the Model Garden's detectors (official/vision/data/create_coco_tf_record.py,
whose function makes the records). Any data set in COCO's format works. Classes are the
categories' ids, which must begin at 1, since 0 is the background.

Around the Garden's function this command adds what it lacks: everything is checked
first, and a fault is reported with file and annotation id. By default the first one
ends the conversion, and nothing is written; --on_error=skip leaves the faulty image or
object out and counts it. A file beside the records, PREFIX.conversion.json, then says
what was left out, and an evaluation on the same annotations leaves out the same. Boxes
beyond the border are clipped, while the Garden leaves the object out without a word.
Images without objects are kept: they also teach what is not an object, and an
evaluation needs them.

Masks (--include_masks, the default) are decoded in training at the size in which they
are stored, all masks of an image at once in float32. Their longer side is therefore
limited to --max_mask_side pixels, whatever the image's size; boxes and images stay as
they are.

The annotation file must fit in memory; images pass through one by one.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from hrnet_tf import next_steps
from hrnet_tf.data.converters import command

if TYPE_CHECKING:
    from hrnet_tf.data.converters import coco_instances


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command.ConverterFlags()
    flag.string("image_dir", "Folder with the images.", required=True)
    flag.string(
        "annotations", "COCO object annotations, instances_*.json.", required=True
    )
    flag.boolean(
        "include_masks",
        "Write masks, which Mask R-CNN needs; other detectors do not read them.",
        True,
    )
    flag.allow_outside()
    flag.area_from()
    flag.integer(
        "max_mask_side",
        "Longer sides of masks have at most this many pixels.",
        1024,
        least=32,
    )
    return flag.values


def convert(values: flags.FlagValues) -> command.ConversionSummary:
    """Converts as the flags say."""
    from hrnet_tf.data.converters import coco_instances

    return coco_instances.convert(
        values.image_dir,
        values.annotations,
        include_masks=values.include_masks,
        area_from=values.area_from,
        max_mask_side=values.max_mask_side,
        **command.options(values),
    )


def training(
    values: flags.FlagValues, summary: "coco_instances.InstancesSummary"
) -> list[str]:
    """The flags of a training on the records."""
    changes = {
        "task.annotation_file": command.validation_file(values),
        "task.model.num_classes": str(summary.num_classes),
    }
    if not values.include_masks:
        changes["task.model.include_mask"] = "false"
    return [
        "--experiment=hrnet_maskrcnn_coco",
        "--config_file=configs/detection/custom.yaml",
        *itertools.starmap(next_steps.change, changes.items()),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command.run(convert, define_flags(), argv, training)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
