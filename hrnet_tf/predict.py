r"""Predicts: python -m hrnet_tf.predict --model=... --input=... --output_dir=...

Runs a model on an image, on all images of a folder and its subfolders, or on a video, a
stream or a camera, and draws and writes what it finds. The model is whatever
`hrnet_tf.load` takes: what `hrnet_tf.export` or `hrnet_tf.join` wrote, the directory of
a run, a converted checkpoint, or an official .pth or .safetensors file.

  python -m hrnet_tf.predict --model=exported/1 --input=photos --boxes=boxes.json \
    --output_dir=predicted
  python -m hrnet_tf.predict --model=pose.tflite --input=me.jpg --whole_image \
    --output_dir=predicted
  python -m hrnet_tf.predict --model=exported/pose/1 --detector=exported/detector/1 \
    --input=photos --output_dir=predicted
  python -m hrnet_tf.predict --model=segmentation.tflite --input=photos \
    --output_dir=predicted
  python -m hrnet_tf.predict --model=exported/pose/1 --detector=exported/detector/1 \
    --input=walk.mp4 --track --smooth --output_dir=predicted

Pose models need to know where people are: --detector names an exported detector that
finds them; --boxes names COCO annotations or a detector's results (COCO's JSON; matched
by file_name, which may have the folders below --input, or else by the number that ends
an image's name, in a video by the number of the frame from 0); --whole_image takes
every image for one person.

Videos and streams (rtsp://... and the like) need PyAV: pip install 'hrnet_tf[video]'. A
number is that of a camera: --input=0. Frames keep their times, which are "seconds" in
the results, and the sound of a file stays. --track gives every person a "track_id",
which stays the same from frame to frame; the images of a folder are frames then, too,
in the order of their names: frame9.png comes before frame10.png. People who score less
than 0.3 get no number and are left out. A pose model is cropped around where people go,
so that --detector looks at one of --detect_every frames, and when somebody is lost.
--smooth takes the jitter out of their keypoints. Ctrl-C ends a camera or a stream, as
--max_seconds does, and what was predicted stays.

The output directory receives the pictures under their names, or the video as MP4
(H.264, which browsers play), and results.json; --no_pictures writes results alone. For
pose they are COCO results with image_id, category_id, keypoints (x, y, score; pixels of
the image), score, and for convenience bbox and file_name. For segmentation there are
for every image image_id, file_name, the share of each class in its pixels, and
label_map, the path below --output_dir of a PNG file with the number of every pixel's
class (none for videos). For detection there are COCO results with image_id,
category_id, bbox, score and, with masks, segmentation; --boxes takes the same file.

Pictures are turned by their EXIF orientation, as viewers show them, and results are of
the turned pictures; --exif=ignore takes the pixels as they are stored.

image_id is that of the annotations. Without annotations it is the number at the end of
the image's name; if two images would have the same or one has none, it is the image's
place in alphabetical order, from 1.

results.jsonl beside results.json has a line for each image, {"image_id", "file_name",
"results"}, which is there as soon as its images are predicted. --resume goes on with
what a run left that was broken off.
"""

import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.api import chosen_model, model_flags
from hrnet_tf.api.chosen_model import ChosenModel

_DEFAULT_FRAMES_PER_SECOND = 25.0


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    chosen_model.define_flags(define)
    define.string(
        "input",
        "An image, a folder, a video, the address of a stream (rtsp://...) or the "
        "number of a camera.",
        required=True,
    )
    define.string("output_dir", "Where results are to be.", required=True)
    define.float(
        "box_score_threshold",
        "Detected objects that score less are not drawn, nor given to a pose model.",
        default=0.3,
    )
    define.float(
        "score_threshold",
        "Keypoints that score at most this are not drawn.",
        default=0.2,
    )
    define.boolean("draw_boxes", "Whether to draw boxes and scores.", default=True)
    define.boolean(
        "no_pictures", "Write results and label maps, but no pictures or video."
    )
    chosen_model.define_reading(define)
    define.boolean(
        "track", "Whether people keep their numbers from frame to frame (track_id)."
    )
    define.boolean("smooth", "With --track, whether to take jitter out of keypoints.")
    define.integer(
        "detect_every",
        "With --track, --detector sees one of so many frames, and those in which "
        "somebody is lost. 10 if not given.",
        least=1,
    )
    define.float(
        "frames_per_second",
        "With --track, the rate of a folder's images. 25 if not given.",
    )
    define.float("max_seconds", "A video, a stream or a camera ends after so many.")
    define.overwrite()
    define.boolean(
        "resume",
        "Whether to go on with what an earlier run with the same flags left, if any.",
    )
    return define.values


def predict(values: flags.FlagValues) -> None:
    """Predicts everything that can be read.

    Raises:
        UserError: If the model, the input or the boxes cannot be used, if there is
            output already, or, at the end, if something could not be read.
    """
    chosen_model.check_usage(values)
    if values.overwrite and values.resume:
        raise command_line.UsageError(
            "--overwrite starts over and --resume goes on: give one of them."
        )

    from hrnet_tf.data.files import videos
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.serving import inputs, predicting
    from hrnet_tf.serving.image_results import Rules

    is_video = videos.is_video(values.input)
    _check_frames(values, is_video)
    boxes = PersonBoxes(values.boxes, values.category_id) if values.boxes else None
    files = inputs.find_inputs(values.input, values.output_dir)
    is_sequence = values.track and not is_video
    if is_sequence:
        files = inputs.as_frames(files)
    _check_output(values, files, is_video)
    if boxes and not is_video:
        boxes.check([file.name for file in files])
    exif = inputs.choose_exif([] if is_video else files, boxes, values.exif)
    pictures = not values.no_pictures
    chosen = ChosenModel.of(values, full_legend=is_video)
    if not is_video and not values.num_threads:
        # A core reads, draws and writes other images meanwhile.
        num_threads = max(1, (os.cpu_count() or 1) - 1)
        loading = {**chosen.loading, "num_threads": num_threads}
        chosen = dataclasses.replace(chosen, loading=loading)
    rate = values.frames_per_second or _DEFAULT_FRAMES_PER_SECOND
    predictor = chosen.load()
    predicting.predict_all(
        predictor,
        files,
        values.output_dir,
        boxes,
        Rules(
            *(exif, pictures, values.max_pixels),
            *(rate if is_sequence else None, values.max_seconds),
        ),
        _settings(values, exif),
        values.resume,
        _follower(values, predictor) if values.track else None,
    )
    look = f"look at {files[0].output}, and " if pictures else ""
    what = f"{look}open the model as a page in the browser"
    next_steps.tell(what, "demo", *model_flags.loading_flags(values))


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(predict, define_flags(), argv)


def _check_frames(values: flags.FlagValues, is_video: bool) -> None:
    """Refuses flags that do not go with the input. Raises `UsageError`."""
    for flag in ("exif", "resume"):
        if is_video and values[flag].value:
            raise command_line.UsageError(
                f"--{flag} goes with images; --input is a video."
            )
    for flag in ("smooth", "detect_every", "frames_per_second"):
        if values[flag].value and not values.track:
            raise command_line.UsageError(f"--{flag} goes with --track.")
    if values.track and values.resume:
        raise command_line.UsageError(
            "--resume does not go with --track: who is who follows from all frames."
        )
    if values.frames_per_second is not None and is_video:
        raise command_line.UsageError(
            "--frames_per_second goes with a folder of images; a video has its own."
        )
    if values.max_seconds is not None and not is_video:
        raise command_line.UsageError("--max_seconds goes with a video.")
    for flag in ("frames_per_second", "max_seconds"):
        number = values[flag].value
        if number is not None and not 0 < number < math.inf:
            raise command_line.UsageError(f"--{flag}={number} must be above 0.")


def _follower(values: flags.FlagValues, predictor: Any) -> Any:
    """What follows people as the flags say. Raises `UsageError`."""
    from hrnet_tf.serving.tracking.follower import DETECT_EVERY, Follower
    from hrnet_tf.serving.tracking.tracker import DEFAULT_SMOOTHING, Tracker

    if values.detect_every and not predictor.finds_people_apart:
        raise command_line.UsageError(
            "--detect_every goes with --detector: without one, no frame is left out."
        )
    tracker = Tracker(DEFAULT_SMOOTHING if values.smooth else None)
    every = values.detect_every or DETECT_EVERY
    return Follower(predictor, detect_every=every, tracker=tracker)


def _check_output(
    values: flags.FlagValues, files: Sequence[Any], is_video: bool
) -> None:
    """Refuses to replace the input, or what is there already."""
    from hrnet_tf.serving import inputs, result_lines

    is_continued = values.resume and result_lines.is_begun(values.output_dir)
    may_replace = values.overwrite or is_continued
    if not may_replace:
        result_lines.check_none(values.output_dir, may_resume=not is_video)
    results = result_lines.paths(values.output_dir)
    inputs.check_outputs(files, may_replace, not values.no_pictures, results)


def _settings(values: flags.FlagValues, exif: str) -> dict[str, Any]:
    """What decides about results, besides the model."""
    from hrnet_tf.serving import checksums

    boxes = checksums.fingerprint([values.boxes]) if values.boxes else None
    return {"file of boxes": boxes, **chosen_model.settings_of(values), "--exif": exif}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
