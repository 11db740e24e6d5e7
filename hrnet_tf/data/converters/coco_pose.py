r"""Converts COCO keypoint annotations and their images to pose TFRecords.

  python -m hrnet_tf.data.coco_pose \
      --image_dir=coco/train2017 \
      --annotations=coco/annotations/person_keypoints_train2017.json \
      --output_prefix=records/train

writes records/train-00000-of-00008.tfrecord and so on, one record per image (see
pose_records.py): the image file's bytes once, and all its people. Any dataset in
COCO's format works; name its keypoints with --skeleton.

Everything is checked first: each image must decode completely and have the size that
the annotations say (EXIF orientation ignored, as COCO does), each person must have a
box on the image and a full list of keypoints. A fault is reported with file and
annotation id. By default the first one ends the conversion, and nothing is written;
--on_error=skip leaves the faulty image or person out and counts it. A JPEG that its
decoder completes with a mere warning about damaged data is not noticed.

Kept as they are: crowds, people without keypoints, boxes partly beyond the border
(the reader clips them), greyscale and CMYK images (the reader decodes them to RGB),
and images without people, since the box file of a detector may name those: where
only training will read the records, --nokeep_empty saves their space.

The annotation file must fit in memory (its outlines are dropped while reading);
images pass through one by one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Sequence

import tensorflow as tf
from absl import flags

from hrnet_tf import command_line
from hrnet_tf.data.converters.conversion import (
    ConversionError,
    Faults,
    Unusable,
    count_shards,
    define_common_flags,
    read_ahead,
)
from hrnet_tf.data.files.coco_annotations import (
    ImageEntry,
    is_partly_outside,
    read_annotated_image,
)
from hrnet_tf.data.files.coco_people import read_coco_people
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.records.shards import OutputError, RecordShards, check_output_prefix
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.progress import Progress


@dataclasses.dataclass
class Summary:
    """What `convert` did. `skipped` counts left-out items by kind of fault."""

    images: int = 0
    images_without_people: int = 0
    empty_images_dropped: int = 0
    people: int = 0
    people_with_keypoints: int = 0
    crowds: int = 0
    boxes_clipped_by_reader: int = 0
    other_category_annotations: int = 0
    people_of_skipped_images: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        counts = {
            "images": self.images,
            "  of these without people": self.images_without_people,
            "people": self.people,
            "  of these with keypoints": self.people_with_keypoints,
            "  of these crowds": self.crowds,
            "  box partly beyond the border, clipped by the reader": (
                self.boxes_clipped_by_reader
            ),
            "left out: images without people": self.empty_images_dropped,
            "left out: annotations of other categories": (
                self.other_category_annotations
            ),
            **{f"skipped: {kind}": n for kind, n in sorted(self.skipped.items())},
            "skipped: people of skipped images": self.people_of_skipped_images,
        }
        always = ("images", "people", "  of these with keypoints")
        lines = [
            f"{count:>9}  {what}"
            for what, count in counts.items()
            if count or what in always
        ]
        files = (
            self.files[0]
            if len(self.files) == 1
            else (f"{self.files[0]} ... {os.path.basename(self.files[-1])}")
        )
        return "\n".join([*lines, f"{len(self.files):>9}  files written: {files}"])


def convert(
    image_dir: str,
    annotations: str,
    output_prefix: str,
    skeleton: skeletons.Skeleton,
    *,
    category: str | None = None,
    num_shards: int | None = None,
    on_error: str = "fail",
    keep_empty: bool = True,
    overwrite: bool = False,
) -> Summary:
    """Writes `output_prefix`-00000-of-0000N.tfrecord, all of them or none.

    Args:
      image_dir: folder that the annotations' file names are relative to.
      annotations: path of the COCO keypoint JSON file.
      output_prefix: folder and beginning of the name of the files to write.
      skeleton: the keypoints that each person must have, in order.
      category: name of the annotated category; needed only where the file describes
        several with keypoints.
      num_shards: number of files, at most one per image; by default 8, or one per
        1000 images if that is more.
      on_error: 'fail' raises at the first fault; 'skip' leaves faulty items out.
      keep_empty: whether to keep images without people.
      overwrite: whether to replace earlier files of the same prefix.

    Raises:
      ConversionError: input that cannot be used.
      OutputError: files of this prefix exist already, or it names none.
    """
    check_output_prefix(output_prefix, overwrite)
    if not tf.io.gfile.isdir(image_dir):
        raise ConversionError(f"The image folder {image_dir} does not exist.")
    faults = Faults(on_error)
    dataset = read_coco_people(annotations, skeleton, category, faults)
    images = [
        image for image in dataset.images if keep_empty or dataset.people[image.id]
    ]
    if not images:
        raise ConversionError(
            f"{annotations} leaves no image to write: it lists "
            f"{len(dataset.images)} usable images, none of them with people."
        )
    summary = Summary(
        empty_images_dropped=len(dataset.images) - len(images),
        other_category_annotations=dataset.other_category_annotations,
        people_of_skipped_images=dataset.people_of_unusable_images,
        warnings=dataset.warnings,
    )
    read = functools.partial(read_annotated_image, image_dir=image_dir)
    with (
        RecordShards(output_prefix, count_shards(len(images), num_shards)) as shards,
        Progress(len(images), "Converting") as progress,
    ):
        for image, future in read_ahead(images, read):
            people = dataset.people[image.id]
            try:
                encoded = future.result()
            except Unusable as fault:
                faults.report(fault)
                summary.people_of_skipped_images += len(people)
                progress.advance(skipped=faults.counts.total())
                continue
            shards.write(
                pose_records.encode_image_record(
                    encoded=encoded,
                    image_id=image.id,
                    filename=image.file_name,
                    height=image.height,
                    width=image.width,
                    people=people,
                    keypoints_per_person=skeleton.num_keypoints,
                )
            )
            _count(summary, image, people)
            progress.advance()
        if not shards.written:
            raise ConversionError(
                f"All {len(images)} images were skipped, so nothing is written; the "
                f"first fault: {faults.sentences[0]}"
            )
    summary.files = shards.files
    summary.skipped, summary.faults = dict(faults.counts), faults.sentences
    return summary


def _count(
    summary: Summary, image: ImageEntry, people: Sequence[pose_records.Person]
) -> None:
    summary.images += 1
    summary.images_without_people += not people
    summary.people += len(people)
    summary.people_with_keypoints += sum(p.num_keypoints > 0 for p in people)
    summary.crowds += sum(person.iscrowd for person in people)
    summary.boxes_clipped_by_reader += sum(
        is_partly_outside(person.bbox, image) for person in people
    )


def _define_flags() -> flags.FlagValues:
    """The command's flags, kept out of the process-wide set so imports stay free."""
    values = flags.FlagValues()
    for name, help_text in (
        ("image_dir", "Folder with the images."),
        ("annotations", "COCO keypoint annotations, person_keypoints_*.json."),
    ):
        flags.DEFINE_string(name, None, help_text, flag_values=values)
        flags.mark_flag_as_required(name, flag_values=values)
    flags.DEFINE_string(
        "skeleton",
        "coco17",
        "Keypoints of each person: coco17, mpii16, or the path of a YAML file.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "category",
        None,
        "Name of the category to convert; by default the one with keypoints.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "keep_empty",
        True,
        "Keep images without people, which a detector's box file may name.",
        flag_values=values,
    )
    define_common_flags(values)
    return values


def convert_files(values: flags.FlagValues) -> None:
    """Converts as the flags say; prints what was faulty and a summary."""
    try:
        skeleton = skeletons.load_skeleton(values.skeleton)
    except skeletons.SkeletonError as error:
        raise command_line.UsageError(f"--skeleton: {error}") from error
    summary = convert(
        values.image_dir,
        values.annotations,
        values.output_prefix,
        skeleton,
        category=values.category,
        num_shards=values.num_shards,
        on_error=values.on_error,
        keep_empty=values.keep_empty,
        overwrite=values.overwrite,
    )
    for sentence in [*summary.faults, *summary.warnings]:
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
