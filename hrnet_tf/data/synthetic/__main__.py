r"""Draws the built-in data set: articulated people among things, in COCO's layout.

  python -m hrnet_tf.data.synthetic --output_dir=synthetic --num_train=2000

writes

  images/{train,val}/000000000001.jpg ...
  annotations/person_keypoints_{train,val}.json   17 COCO keypoints, boxes, masks
  annotations/instances_{train,val}.json          people and things: boxes, masks
  annotations/part_labels.json                    {"names": [...]}, by pixel value
  parts/{train,val}/000000000001.png ...          a body part's number per pixel

Boxes, areas and masks (compressed RLE) count visible pixels only. Things are discs,
boxes and bars; one that is more than half hidden is marked as a crowd. A keypoint's
flag is 2 if it is visible, 1 if something hides it, 0 outside the image. Left limbs
have warm colours, right limbs cool ones: if training should tell them apart by colour
alone, leave mirroring out of the augmentation.

  python -m hrnet_tf.data.synthetic --video --output_dir=films

draws people who cross, hide, leave and come back, and stand, at each rate of
--frames_per_second (needs PyAV: pip install 'hrnet_tf[video]'):

  crossing_30.mp4, hiding_30.mp4, leaving_30.mp4, standing_30.mp4 ...
  crossing_30.json ...    COCO's annotations; image_id is the number of the frame, from
                          0, and every person has a track_id

An image depends on the seed, its split and its number only: a longer data set begins
with the shorter one, whatever the number of processes.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.data.synthetic.limits import ASPECT_RATIOS, MAX_PEOPLE, MAX_SIDE, MIN_SIDE

_FILM_SIDE = 640
_MOST_FRAMES_PER_SECOND = 240
_OF_IMAGES = ("num_train", "num_val", "max_people", "num_workers")


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command_line.Flags()
    flag.string(
        "output_dir",
        "Folder to write; it must not exist yet, or be empty.",
        required=True,
    )
    flag.integer("num_train", "Number of training images.", 2000, least=1)
    flag.integer("num_val", "Number of validation images.", 200, least=1)
    flag.integer(
        "image_size",
        "Longer side of every image in pixels; the shorter one varies. Of videos, 640 "
        "if not given, and even.",
        256,
        # The shorter side must be large enough as well.
        least=round(MIN_SIDE / min(ASPECT_RATIOS)),
        most=MAX_SIDE,
    )
    flag.integer(
        "max_people",
        "Each image has 1 to this many people.",
        4,
        least=1,
        most=MAX_PEOPLE,
    )
    flag.integer("seed", "Another seed gives another data set.", 0, least=0)
    flag.integer(
        "num_workers",
        "Number of processes; by default one per CPU core. The files are the same.",
        least=1,
    )
    flag.boolean("video", "Draw videos of people whose paths are known.")
    flag.list(
        "frames_per_second",
        "With --video, rates of frames, with commas between them. 30 if not given.",
    )
    return flag.values


def draw(values: flags.FlagValues) -> None:
    """Draws what the flags say."""
    if values.video:
        _draw_films(values)
        return
    if values.frames_per_second:
        raise command_line.UsageError("--frames_per_second goes with --video.")
    from hrnet_tf.data.synthetic.dataset import draw_dataset

    num_people = draw_dataset(
        values.output_dir,
        values.num_train,
        values.num_val,
        image_size=values.image_size,
        max_people=values.max_people,
        seed=values.seed,
        num_workers=values.num_workers or os.cpu_count() or 1,
    )
    print(
        f"Wrote {values.num_train} training and {values.num_val} validation images "
        f"with {num_people} people to {values.output_dir}"
    )
    next_steps.tell(
        "convert the people to records, for training and then for validation",
        "data.coco_pose",
        f"--image_dir={values.output_dir}/images/train",
        f"--annotations={values.output_dir}/annotations/person_keypoints_train.json",
        f"--output_prefix={values.output_dir}/tfrecords/train",
    )


def _draw_films(values: flags.FlagValues) -> None:
    for name in _OF_IMAGES:
        if values[name].present:
            raise command_line.UsageError(f"--{name} does not go with --video.")
    rates = _rates(values.frames_per_second or ["30"])
    from hrnet_tf.data.synthetic.film_files import draw_films

    width = values.image_size if values["image_size"].present else _FILM_SIDE
    names = draw_films(values.output_dir, rates, width=width, seed=values.seed)
    print(f"Wrote {len(names)} videos and their annotations to {values.output_dir}")
    next_steps.tell(
        "follow people in one of them, with boxes that are known",
        "predict",
        "--model=exported/pose/1",
        f"--input={values.output_dir}/{names[0]}.mp4",
        f"--boxes={values.output_dir}/{names[0]}.json",
        "--track",
        "--smooth",
        "--output_dir=predicted",
    )


def _rates(given: Sequence[str]) -> list[int]:
    is_rate = [r.isdecimal() and 1 <= int(r) <= _MOST_FRAMES_PER_SECOND for r in given]
    if not all(is_rate):
        raise command_line.UsageError(
            f"--frames_per_second={','.join(given)} must be whole numbers from 1 to "
            f"{_MOST_FRAMES_PER_SECOND}."
        )
    return [int(rate) for rate in given]


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(draw, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
