"""Predicts the frames of a video, and writes them as a video, with their results."""

import contextlib
import dataclasses
import logging
import os

from hrnet_tf.data.files import media
from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.output_files import written_whole
from hrnet_tf.progress import Progress
from hrnet_tf.serving import result_lines
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.image_results import Rules, guarded, line_of
from hrnet_tf.serving.inputs import Input, InputError
from hrnet_tf.serving.predictor import Predictor
from hrnet_tf.serving.result_lines import ResultLines

_log = logging.getLogger(__name__)


def predict_video(
    predictor: Predictor,
    file: Input,
    output_dir: str,
    boxes: PersonBoxes | None,
    rules: Rules,
) -> tuple[int, list[media.MediaError]]:
    """Returns the number of results, and what stopped before the last frame.

    The video, results.jsonl and results.json are whole, or not there: nobody could
    append to a video.

    Raises:
        MediaError: If no frame can be decoded.
        InputError: If no frame has a box.
    """
    info, frames = media.open_video(file.path, rules.max_pixels)
    path = os.path.join(output_dir, result_lines.LINES)
    with written_whole(path) as partial, result_lines.opened(partial) as lines:
        count, failures = _predict_frames(
            predictor, file, boxes, rules, info, frames, lines
        )
        if not len(lines) and not failures:
            raise media.MediaError(f"{file.path}: no frame of it can be decoded.")
        lines.write_results(os.path.join(output_dir, result_lines.RESULTS))
    # What the file says of itself is an estimate: edited videos announce frames that
    # are never shown.
    announced = f", of {info.num_frames} announced" if info.num_frames else ""
    missed = f"; {frames.missed} between them could not be" if frames.missed else ""
    _log.info(
        "%s: %d frames were decoded%s%s.", file.path, len(lines), announced, missed
    )
    return count, failures


def _predict_frames(
    predictor: Predictor,
    file: Input,
    boxes: PersonBoxes | None,
    rules: Rules,
    info: media.VideoInfo,
    frames: media.Frames,
    lines: ResultLines,
) -> tuple[int, list[media.MediaError]]:
    """Writes the video, and a line for each frame, until one fails."""
    failures: list[media.MediaError] = []
    count = people = 0
    with (
        Progress(info.num_frames, "Predicting", unit="frame") as progress,
        contextlib.ExitStack() as stack,
    ):
        for place, frame in enumerate(frames):
            # A read that fails is mostly one frame that cannot be decoded.
            number = place + frames.missed
            given = Boxes.found(*boxes.of_frame(number)) if boxes else None
            people += len(given.boxes) if given else 0
            try:
                with guarded(f"{file.path}, frame {number}", frame):
                    prediction = predictor.predict_image(frame, given)
                    rows = prediction.rows()
                    picture = prediction.picture() if rules.pictures else None
            except media.MediaError as error:
                failures.append(error)
                break
            if picture is not None:
                if not place:
                    # A legend makes pictures wider than frames.
                    height, width = picture.shape[:2]
                    size = dataclasses.replace(info, height=height, width=width)
                    writer = stack.enter_context(media.VideoWriter(file.output, size))
                writer.write(picture, frames.seconds)
            lines.append({place: line_of(number, file.name, rows)})
            count += len(rows)
            progress.advance(results=count)
        if boxes and len(lines) and not people and not failures:
            raise InputError(
                f"--boxes has no box for any of the {len(lines)} frames of "
                f"{file.path}: in a video, image_id must be the number of the frame, "
                "from 0."
            )
    return count, failures
