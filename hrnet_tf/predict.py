"""Predicts: python -m hrnet_tf.predict --model=... --input=... --output_dir=...

Runs a model that `python -m hrnet_tf.export` wrote on an image, on all images of a
folder and its subfolders, or on a video, and draws and writes what it finds.

  python -m hrnet_tf.predict --model=exported/1 --input=photos --boxes=boxes.json \\
    --output_dir=predicted
  python -m hrnet_tf.predict --model=pose.tflite --input=me.jpg --whole_image \\
    --output_dir=predicted
  python -m hrnet_tf.predict --model=exported/pose/1 --detector=exported/detector/1 \\
    --input=photos --output_dir=predicted
  python -m hrnet_tf.predict --model=segmentation.tflite --input=photos \\
    --output_dir=predicted

Pose models need to know where people are: --detector names an exported detector that
finds them; --boxes names COCO annotations or a detector's results (COCO's JSON; matched
by file_name, or by the number that ends an image's name, in a video by the number of
the frame from 0); --whole_image takes every image for one person.

The output directory receives the pictures under their names, or the video as MP4, and
results.json. Of pose: COCO results with image_id, category_id, keypoints (x, y, score;
pixels of the image), score, and for convenience bbox and file_name. Of segmentation:
for every image image_id, file_name, the share of each class in its pixels, and
label_map, a PNG file beside the picture with the number of every pixel's class (none of
videos). Of detection: COCO results with image_id, category_id, bbox, score and, with
masks, segmentation; --boxes takes the same file.

image_id is that of the annotations, else the number at the end of the image's name,
else, if two images would have the same or one has none, the image's place in
alphabetical order, from 1.
"""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from hrnet_tf import command_line, visualization
from hrnet_tf.data.files import media
from hrnet_tf.data.files.person_boxes import (
    PERSON_CATEGORY,
    BoxesError,
    PersonBoxes,
    number_of,
)
from hrnet_tf.progress import Progress
from hrnet_tf.serving.artists import (
    Artist,
    DetectionArtist,
    PeopleArtist,
    PoseArtist,
    SegmentationArtist,
)
from hrnet_tf.serving.people.predictor import TwoStagePredictor
from hrnet_tf.serving.predictor import (
    DetectionPredictor,
    ModelError,
    PipelinePredictor,
    PosePredictor,
    load_predictor,
)

_RESULTS = "results.json"

_BOXES_OR_WHOLE_IMAGE = (
    "A pose model needs to know where people are. Give one of --detector=MODEL, "
    "--boxes=FILE.json, or --whole_image if every image shows one person who fills it."
)


class InputError(ValueError):
    """Some of the input could not be read, or there is output already."""


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()

    def define(definer: Callable, name: str, default: Any, help_text: str) -> None:
        definer(name, default, help_text, flag_values=values)

    define(flags.DEFINE_string, "model", None, "A SavedModel's directory or a .tflite.")
    define(flags.DEFINE_string, "input", None, "An image, a folder or a video.")
    define(flags.DEFINE_string, "output_dir", None, "Where results are to be.")
    define(flags.DEFINE_string, "boxes", None, "JSON file of people's boxes.")
    define(
        flags.DEFINE_boolean,
        "whole_image",
        False,
        "Whether every image shows one person who fills it.",
    )
    define(
        flags.DEFINE_string,
        "detector",
        None,
        "A detector to find people with: a SavedModel's directory or a .tflite.",
    )
    define(
        flags.DEFINE_integer,
        "category_id",
        PERSON_CATEGORY,
        "The category of people, in --boxes or among the detector's classes.",
    )
    define(
        flags.DEFINE_float,
        "box_score_threshold",
        0.3,
        "Detected objects that score less are not drawn, nor given to a pose model.",
    )
    define(
        flags.DEFINE_float,
        "score_threshold",
        0.2,
        "Keypoints that score at most this are not drawn.",
    )
    define(
        flags.DEFINE_boolean, "draw_boxes", True, "Whether to draw boxes and scores."
    )
    define(
        flags.DEFINE_integer,
        "num_threads",
        None,
        "CPU threads for a .tflite file; as many as there are cores if not given.",
    )
    define(
        flags.DEFINE_boolean, "overwrite", False, "Whether to replace existing output."
    )
    flags.mark_flags_as_required(["model", "input", "output_dir"], flag_values=values)
    return values


def predict(values: flags.FlagValues) -> None:
    """Predicts everything that can be read.

    Raises:
        ModelError: If the model cannot be used.
        MediaError: If there is nothing to read.
        BoxesError: If the boxes cannot be used.
        InputError: If there is output already, or, at the end, if something could not
            be read.
    """
    if sum(map(bool, (values.boxes, values.whole_image, values.detector))) > 1:
        raise command_line.UsageError(_BOXES_OR_WHOLE_IMAGE)
    boxes = PersonBoxes(values.boxes, values.category_id) if values.boxes else None
    is_video = media.is_video(values.input)
    paths = [values.input] if is_video else media.find_images(values.input)
    outputs = _output_paths(paths, values.input, values.output_dir)
    _check_outputs(paths, outputs, values.overwrite)
    if boxes and not is_video:
        boxes.check(paths)
    artist = _artist(values)
    predict_all = _predict_video if is_video else _predict_images
    source = values.input
    results, failures = predict_all(paths, source, outputs, boxes, artist)
    os.makedirs(values.output_dir, exist_ok=True)
    results_path = outputs[-1]
    partial = f"{results_path}.{os.getpid()}.tmp"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(results, file)
    os.replace(partial, results_path)
    print(f"{len(results)} {artist.unit}: {results_path}")
    if failures:
        raise InputError(
            f"{len(failures)} could not be read:\n" + "\n".join(map(str, failures))
        )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(
        predict,
        define_flags(),
        argv,
        failures=(ModelError, media.MediaError, BoxesError, InputError, OSError),
    )


def _artist(values: flags.FlagValues) -> Artist:
    """Loads the model; refuses flags that do not go with it."""
    predictor = load_predictor(values.model, values.num_threads)
    gives_people = bool(values.boxes) or values.whole_image
    people_settings = values.category_id, values.score_threshold, values.draw_boxes
    if isinstance(predictor, PosePredictor):
        if gives_people == bool(values.detector):
            raise command_line.UsageError(_BOXES_OR_WHOLE_IMAGE)
        if not values.detector:
            return PoseArtist(predictor, *people_settings)
        people = TwoStagePredictor(
            _detector(values), predictor, values.category_id, values.box_score_threshold
        )
        return PeopleArtist(people, *people_settings)
    for flag, is_given in (
        ("--boxes and --whole_image go", gives_people),
        ("--detector goes", values.detector),
    ):
        if is_given:
            kind = predictor.metadata.task
            raise command_line.UsageError(
                f"{values.model} is a model of {kind}: {flag} with pose models."
            )
    if isinstance(predictor, PipelinePredictor):
        return PeopleArtist(predictor, *people_settings)
    if isinstance(predictor, DetectionPredictor):
        return DetectionArtist(predictor, values.box_score_threshold)
    return SegmentationArtist(predictor)


def _detector(values: flags.FlagValues) -> DetectionPredictor:
    detector = load_predictor(values.detector, values.num_threads)
    if not isinstance(detector, DetectionPredictor):
        raise ModelError(
            f"--detector={values.detector} is a model of {detector.metadata.task}; it "
            "must be a detector."
        )
    if values.category_id not in detector.metadata.categories:
        names = detector.metadata.categories.items()
        known = ", ".join(f"{number} ({name})" for number, name in names)
        raise ModelError(
            f"--category_id={values.category_id} is no class of {values.detector}; it "
            f"has {known}."
        )
    return detector


def _output_paths(paths: list[str], source: str, output_dir: str) -> list[str]:
    """Where the picture, or video, of every input goes; last, the results."""
    outputs = []
    for path in paths:
        name = _name(path, source)
        if media.is_video(path):
            name = f"{os.path.splitext(name)[0]}.mp4"
        elif not name.lower().endswith((".jpg", ".jpeg", ".png")):
            name += ".png"
        outputs.append(os.path.join(output_dir, name))
    return [*outputs, os.path.join(output_dir, _RESULTS)]


def _name(path: str, source: str) -> str:
    """An input's path below the folder that was given."""
    is_below = os.path.isdir(source)
    return os.path.relpath(path, source) if is_below else os.path.basename(path)


def _check_outputs(paths: list[str], outputs: list[str], overwrite: bool) -> None:
    """Refuses to replace the input, or, unless told to, what is there already."""
    inputs = {os.path.realpath(path) for path in paths}
    for output in outputs:
        if os.path.realpath(output) in inputs:
            raise InputError(
                f"{output} would take the place of the input: choose another "
                "--output_dir."
            )
        if os.path.exists(output) and not overwrite:
            raise InputError(
                f"{output} exists already: choose another --output_dir, or replace it "
                "with --overwrite."
            )


def _predict_images(
    paths: list[str],
    source: str,
    outputs: list[str],
    boxes: PersonBoxes | None,
    artist: Artist,
) -> tuple[list[dict[str, Any]], list[media.MediaError]]:
    """Rows of results of all images, and what could not be read."""
    results, failures = [], []
    with Progress(len(paths), "Predicting") as progress:
        for path, image_id, output in zip(
            paths, _image_ids(paths, boxes), outputs[:-1], strict=True
        ):
            try:
                image = media.read_image(path)
            except media.MediaError as error:
                failures.append(error)
                progress.advance(unreadable=len(failures))
                continue
            picture, rows = artist(
                image,
                boxes.of_image(path) if boxes else None,
                picture_path=output,
                image_id=image_id,
                file_name=_name(path, source),
            )
            results.extend(rows)
            os.makedirs(os.path.dirname(output), exist_ok=True)
            visualization.write_image(output, picture)
            progress.advance(results=len(results))
    return results, failures


def _image_ids(paths: list[str], boxes: PersonBoxes | None) -> list[int]:
    """One id for every image; see the top of this file."""
    ids = [boxes.image_id(path) if boxes else number_of(path) for path in paths]
    if None in ids or len(set(ids)) < len(ids):
        return list(range(1, len(paths) + 1))
    return ids


def _predict_video(
    paths: list[str],
    source: str,
    outputs: list[str],
    boxes: PersonBoxes | None,
    artist: Artist,
) -> tuple[list[dict[str, Any]], list[media.MediaError]]:
    """Rows of results of all frames, and what could not be read."""
    path, output = paths[0], outputs[0]
    info, frames = media.open_video(source)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    results, count = [], 0
    with (
        Progress(info.num_frames, "Predicting", unit="frame") as progress,
        contextlib.ExitStack() as stack,
    ):
        for number, frame in enumerate(frames):
            picture, rows = artist(
                frame,
                boxes.of_frame(number) if boxes else None,
                image_id=number,
                file_name=os.path.basename(path),
            )
            if not count:
                # A legend makes pictures wider than frames.
                height, width = picture.shape[:2]
                size = dataclasses.replace(info, height=height, width=width)
                writer = stack.enter_context(media.VideoWriter(output, size))
            writer.write(picture)
            results.extend(rows)
            count += 1
            progress.advance(results=len(results))
        if not count:
            raise media.MediaError(f"{path}: no frame of it can be decoded.")
    if info.num_frames and count < info.num_frames:
        reason = f"only {count} of its {info.num_frames} frames can be decoded."
        return results, [media.MediaError(f"{path}: {reason}")]
    return results, []


if __name__ == "__main__":
    sys.exit(main(sys.argv))
