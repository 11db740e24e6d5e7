"""Predicts images, folders of images and videos, and writes what is found.

Results of images are on disk, block after block, before others are looked at: memory
does not grow with them, and a run that was broken off can go on.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_tf import __version__
from hrnet_tf.data.files import media, videos
from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.progress import Progress
from hrnet_tf.serving import checksums, result_lines
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.image_results import (
    DEFAULT_RULES,
    Image,
    Rules,
    block_size,
    in_blocks,
    line_of,
    predict_blocks,
)
from hrnet_tf.serving.inputs import Input, InputError, image_ids
from hrnet_tf.serving.predictor import Prediction, Predictor
from hrnet_tf.serving.result_lines import ResultLines
from hrnet_tf.serving.tracking.follower import Follower
from hrnet_tf.serving.tracking.sequence import SequencePredictor
from hrnet_tf.serving.video_results import Look, predict_video
from hrnet_tf.training import run_files

Failures = list[media.MediaError]

_log = logging.getLogger(__name__)


def predict_all(
    predictor: Predictor,
    inputs: Sequence[Input],
    output_dir: str,
    boxes: PersonBoxes | None,
    rules: Rules = DEFAULT_RULES,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    follower: Follower | None = None,
) -> None:
    """Predicts and writes everything that can be read, and says how much it was.

    Args:
        predictor: The model.
        inputs: From `find_inputs`.
        output_dir: Receives results.json, results.jsonl, label maps and the pictures.
        boxes: Where people are; None if the model finds them, or if every image shows
            one who fills it.
        rules: How images are read and what is written of them.
        settings: What else decides about results, by name; ready for JSON.
        resume: Whether to go on with what a run left there, which had the same
            settings and model; not with a video.
        follower: Follows the people of a video, or of images that are one.

    Raises:
        InputError: At the end, if something could not be read.
        ResumeError: If what is there cannot be continued, or is being written.
    """
    if videos.is_video(inputs[0].path):
        look = follower.look if follower else _looking(predictor)
        count, failures = predict_video(look, inputs[0], output_dir, boxes, rules)
    else:
        if follower and rules.frames_per_second:
            rate = rules.frames_per_second
            predictor = SequencePredictor(predictor, follower, rate)
        made_by = {
            "version": __version__,
            "model": checksums.fingerprint(predictor.sources),
            **(settings or {}),
        }
        count, failures = _predict_images(
            predictor, inputs, output_dir, boxes, rules, made_by, resume
        )
    print(f"{count} {predictor.unit}: {_results_of(output_dir)}")
    if failures:
        raise InputError(
            f"{len(failures)} could not be read:\n" + "\n".join(map(str, failures))
        )


def _looking(predictor: Predictor) -> Look:
    """Looks at each frame alone."""

    def look(image: np.ndarray, seconds: float, boxes: Boxes | None) -> Prediction:
        del seconds
        return predictor.predict_image(image, boxes)

    return look


def _results_of(output_dir: str) -> str:
    return os.path.join(output_dir, result_lines.RESULTS)


def _predict_images(
    predictor: Predictor,
    inputs: Sequence[Input],
    output_dir: str,
    boxes: PersonBoxes | None,
    rules: Rules,
    made_by: Mapping[str, Any],
    resume: bool,
) -> tuple[int, Failures]:
    """The number of all images' results, and what could not be read or written."""
    ids, size = image_ids(inputs, boxes), block_size(predictor)
    if resume and result_lines.is_begun(output_dir):
        opened = result_lines.continued(output_dir, made_by, inputs, ids, size)
    else:
        opened = result_lines.begun(output_dir, made_by, len(inputs))
    failures: Failures = []
    count = 0
    with opened as lines:
        left = len(inputs) - len(lines)
        if left < len(inputs):
            _log.info("%d of %d images have results.", len(lines), len(inputs))
        if resume:
            _remove_unfinished(inputs, output_dir)
        blocks = in_blocks(inputs, ids, boxes, size, lines)
        with _saying_what_is_there(lines), Progress(left, "Predicting") as progress:
            for block in predict_blocks(predictor, blocks, rules):
                new = {}
                for image, found in block:
                    if isinstance(found, media.MediaError):
                        failures.append(found)
                        progress.advance(unreadable=len(failures))
                        continue
                    new[image.place] = line_of(
                        image.image_id, image.file.name, found, _seconds(image, rules)
                    )
                    count += len(found)
                    progress.advance(results=count)
                lines.append(new)
        return lines.write_results(_results_of(output_dir)), failures


def _seconds(image: Image, rules: Rules) -> float | None:
    """When an image was taken, if images are the frames of a video."""
    rate = rules.frames_per_second
    return None if rate is None else image.place / rate


def _remove_unfinished(inputs: Sequence[Input], output_dir: str) -> None:
    """Removes what a process that was killed was writing."""
    for folder in {output_dir, *(os.path.dirname(file.output) for file in inputs)}:
        if os.path.isdir(folder):
            run_files.remove_leftovers(folder)


@contextlib.contextmanager
def _saying_what_is_there(lines: ResultLines) -> Iterator[None]:
    """Says how an interrupted run is continued."""
    try:
        yield
    except KeyboardInterrupt:
        _log.warning(
            "%s has %d images; the same command goes on from there with --resume.",
            *(lines.path, len(lines)),
        )
        raise
