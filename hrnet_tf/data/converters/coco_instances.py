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
object out and counts it. Boxes beyond the border are clipped, where the Garden leaves
the object out without a word. Images without objects are kept: they, too, teach what
is no object, and an evaluation needs them.

Masks (--include_masks, the default) are decoded in training at the size in which they
are stored, all of an image at once in float32. Their longer side is therefore limited
to --max_mask_side pixels, whatever the image's size; boxes and images stay as they are.

The annotation file must fit in memory; images pass through one by one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from official.vision.data import tfrecord_lib
from pycocotools import mask as coco_mask

from hrnet_tf import command_line
from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Faults,
    Unusable,
    count_shards,
    define_common_flags,
    read_ahead,
)
from hrnet_tf.data.files.coco_annotations import ImageEntry, read_annotated_image
from hrnet_tf.data.files.coco_objects import CocoObject, CocoObjects, read_coco_objects
from hrnet_tf.data.records.shards import OutputError, RecordShards, check_output_prefix
from hrnet_tf.progress import Progress

MAX_MASK_SIDE = 1024


@dataclasses.dataclass
class Summary:
    """What `convert` did. `skipped` counts left-out items by kind of fault."""

    categories: dict[int, str]
    images: int = 0
    images_without_objects: int = 0
    objects: dict[int, int] = dataclasses.field(default_factory=dict)  # by category
    crowds: int = 0
    clipped_boxes: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    objects_of_skipped_images: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        counts = {
            "images": self.images,
            "  of these without objects": self.images_without_objects,
            "objects": sum(self.objects.values()),
            **{
                f"  {self.categories[number]} (class {number})": count
                for number, count in sorted(self.objects.items())
            },
            "  of these crowds": self.crowds,
            "  box beyond the border, clipped": self.clipped_boxes,
            **{f"skipped: {kind}": n for kind, n in sorted(self.skipped.items())},
            "skipped: objects of skipped images": self.objects_of_skipped_images,
        }
        always = ("images", "objects")
        lines = [
            f"{count:>9}  {what}"
            for what, count in counts.items()
            if count or what in always
        ]
        last = os.path.basename(self.files[-1])
        files = self.files[0] + (f" ... {last}" if len(self.files) > 1 else "")
        classes = max(self.categories) + 1
        return "\n".join(
            [
                *lines,
                f"{len(self.files):>9}  files written: {files}",
                f"For training: task.model.num_classes={classes}",
            ]
        )


def convert(
    image_dir: str,
    annotations: str,
    output_prefix: str,
    *,
    include_masks: bool = True,
    max_mask_side: int = MAX_MASK_SIDE,
    num_shards: int | None = None,
    on_error: str = "fail",
    overwrite: bool = False,
) -> Summary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all of them or none.

    Args:
      image_dir: folder that the annotations' file names are relative to.
      annotations: path of the COCO JSON file.
      output_prefix: folder and beginning of the name of the files to write.
      include_masks: whether to write masks, which every object then needs.
      max_mask_side: longer sides of masks are at most this many pixels.
      num_shards: number of files; see `conversion.count_shards`.
      on_error: 'fail' raises at the first fault; 'skip' leaves faulty items out.
      overwrite: whether to replace earlier files of the same prefix.

    Raises:
      ConversionError: input that cannot be used.
      OutputError: files of this prefix exist already, or it names none.
    """
    check_output_prefix(output_prefix, overwrite)
    if not tf.io.gfile.isdir(image_dir):
        raise ConversionError(f"The image folder {image_dir} does not exist.")
    faults = Faults(on_error)
    dataset = read_coco_objects(annotations, include_masks, faults)
    if not dataset.images:
        raise ConversionError(f"{annotations} lists no image that can be used.")
    summary = Summary(
        dataset.categories,
        objects_of_skipped_images=dataset.objects_of_unusable_images,
    )
    encode = functools.partial(
        _encode,
        image_dir=image_dir,
        dataset=dataset,
        max_mask_side=max_mask_side if include_masks else 0,
        create_example=_garden_function(),
    )
    num_shards = count_shards(len(dataset.images), num_shards)
    with (
        RecordShards(output_prefix, num_shards) as shards,
        Progress(len(dataset.images), "Converting") as progress,
    ):
        for image, future in read_ahead(dataset.images, encode):
            objects = dataset.objects[image.id]
            try:
                record = future.result()
            except Unusable as fault:
                faults.report(fault)
                summary.objects_of_skipped_images += len(objects)
                progress.advance(skipped=faults.counts.total())
                continue
            shards.write(record)
            _count(summary, objects)
            progress.advance()
        if not shards.written:
            raise ConversionError(
                f"All {len(dataset.images)} images were skipped, so nothing is "
                f"written; the first fault: {faults.sentences[0]}"
            )
    summary.files = shards.files
    summary.skipped, summary.faults = dict(faults.counts), faults.sentences
    return summary


def _garden_function() -> Callable[..., tuple[tf.train.Example, int]]:
    """The Garden's function from an image and its annotations to a record."""
    # Importing its module makes TensorFlow's own log more talkative.
    log = tf.get_logger()
    level = log.level
    try:
        from official.vision.data import create_coco_tf_record
    finally:
        log.setLevel(level)
    return create_coco_tf_record.create_tf_example


def _encode(
    image: ImageEntry,
    image_dir: str,
    dataset: CocoObjects,
    max_mask_side: int,
    create_example: Callable[..., tuple[tf.train.Example, int]],
) -> bytes:
    """The record of an image; without masks if `max_mask_side` is 0.

    Raises `Unusable`."""
    read_annotated_image(image, image_dir)
    objects = dataset.objects[image.id]
    example, num_skipped = create_example(
        dataclasses.asdict(image),
        [image_dir],
        bbox_annotations=[dataclasses.asdict(found) for found in objects],
        id_to_name_map=dataset.categories,
    )
    if num_skipped:
        raise AssertionError(f"The Garden left out {num_skipped} checked objects.")
    if max_mask_side and objects:
        masks = [_mask_png(found, max_mask_side) for found in objects]
        example.features.feature["image/object/mask"].CopyFrom(
            tfrecord_lib.convert_to_feature(masks)
        )
    return example.SerializeToString()


def _mask_png(found: CocoObject, max_side: int) -> bytes:
    """A mask as a PNG file of zeros and ones; the Garden's parser wants no others."""
    mask = coco_mask.decode(found.rle)
    scale = max_side / max(mask.shape)
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in mask.shape)
        shares = cv2.resize(
            mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        mask = (shares >= 0.5).astype(np.uint8)
    return tfrecord_lib.encode_mask_as_png(np.ascontiguousarray(mask))


def _count(summary: Summary, objects: Sequence[CocoObject]) -> None:
    summary.images += 1
    summary.images_without_objects += not objects
    summary.crowds += sum(found.iscrowd for found in objects)
    summary.clipped_boxes += sum(found.was_clipped for found in objects)
    for found in objects:
        number = found.category_id
        summary.objects[number] = summary.objects.get(number, 0) + 1


def _define_flags() -> flags.FlagValues:
    """The command's flags, kept out of the process-wide set so imports stay free."""
    values = flags.FlagValues()
    for name, help_text in (
        ("image_dir", "Folder with the images."),
        ("annotations", "COCO object annotations, instances_*.json."),
    ):
        flags.DEFINE_string(name, None, help_text, flag_values=values)
        flags.mark_flag_as_required(name, flag_values=values)
    flags.DEFINE_boolean(
        "include_masks",
        True,
        "Write masks, which Mask R-CNN needs; other detectors do not read them.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_mask_side",
        MAX_MASK_SIDE,
        "Longer sides of masks are at most this many pixels.",
        lower_bound=32,
        flag_values=values,
    )
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say; prints what was faulty and a summary."""
    summary = convert(
        values.image_dir,
        values.annotations,
        values.output_prefix,
        include_masks=values.include_masks,
        max_mask_side=values.max_mask_side,
        num_shards=values.num_shards,
        on_error=values.on_error,
        overwrite=values.overwrite,
    )
    for sentence in summary.faults:
        print(sentence, file=sys.stderr)
    print(summary)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(
        convert_files,
        _define_flags(),
        argv,
        failures=(ConversionError, OutputError, OSError, tf.errors.OpError),
    )


if __name__ == "__main__":
    # Decoding needs no accelerator: leave its memory to a run that does.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main(sys.argv))
