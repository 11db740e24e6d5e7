"""Predicts the frames of a video, and writes them as a video, with their results."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hrnet_tf import signals
from hrnet_tf.data.files import media, videos
from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.data.files.video_writing import Sound, VideoWriter
from hrnet_tf.progress import Progress
from hrnet_tf.serving import result_lines
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.image_results import Rules, guarded, line_of
from hrnet_tf.serving.inputs import Input, InputError
from hrnet_tf.serving.predictor import Prediction
from hrnet_tf.serving.result_lines import ResultLines

# Looks at a frame, which was taken at some second, and has people in boxes if given.
Look = Callable[[np.ndarray, float, Boxes | None], Prediction]

_log = logging.getLogger(__name__)


def predict_video(
    look: Look,
    file: Input,
    output_dir: str,
    boxes: PersonBoxes | None,
    rules: Rules,
) -> tuple[int, list[media.MediaError]]:
    """Returns the number of results, and what stopped before the last frame.

    Lines of results.jsonl are there as soon as their frames are predicted. What stops,
    be it damage, a stream that stalls or a signal, keeps all results and the video as
    far as it came; the signal is raised afterwards.

    Raises:
        MediaError: If it is no video, or no frame can be decoded.
        InputError: If no frame has a box.
    """
    with videos.open_video(file.path, rules.max_pixels) as video:
        with result_lines.begun_video(output_dir) as lines, signals.held():
            count, failures = _predict_frames(look, file, boxes, rules, video, lines)
            lines.write_results(os.path.join(output_dir, result_lines.RESULTS))
        _tell(video, len(lines))
    with signals.released():
        return count, failures


def _tell(video: videos.Video, count: int) -> None:
    # What the file says of itself is an estimate: edited videos announce frames that
    # are never shown.
    num_frames = video.info.num_frames
    announced = f", of {num_frames} announced" if num_frames else ""
    missed = f"; {video.missed} between them could not be" if video.missed else ""
    _log.info("%s: %d frames were decoded%s%s.", video.name, count, announced, missed)
    if video.clock.corrected:
        _log.warning(
            "%s: %d of its times were missing, went back or jumped, and were replaced.",
            *(video.name, video.clock.corrected),
        )


def _predict_frames(
    look: Look,
    file: Input,
    boxes: PersonBoxes | None,
    rules: Rules,
    video: videos.Video,
    lines: ResultLines,
) -> tuple[int, list[media.MediaError]]:
    """Writes the video, and a line for each frame, until one fails."""
    count = people = 0
    failures: list[media.MediaError] = []
    with (
        Progress(video.info.num_frames, "Predicting", unit="frame") as progress,
        contextlib.ExitStack() as stack,
    ):
        write = _writing(file, video, stack) if rules.pictures else None
        for place, (seconds, frame) in enumerate(_until_failure(video, failures)):
            if _is_over(seconds, rules):
                break
            number = place + video.missed
            given = Boxes.found(*boxes.of_frame(number)) if boxes else None
            people += len(given.boxes) if given else 0
            try:
                with guarded(f"{video.name}, frame {number}", frame):
                    prediction = look(frame, seconds, given)
                    rows = prediction.rows()
                    if write:
                        write(prediction.picture(), seconds)
            except media.MediaError as error:
                failures.append(error)
                break
            lines.append({place: line_of(number, file.name, rows, seconds)})
            count += len(rows)
            progress.advance(results=count)
        if boxes and len(lines) and not people and not failures:
            raise InputError(
                f"--boxes has no box for any of the {len(lines)} frames of "
                f"{video.name}: in a video, image_id must be the number of the frame, "
                "from 0."
            )
    return count, failures


def _is_over(seconds: float, rules: Rules) -> bool:
    """Whether a frame is after what is asked for, or a signal has come."""
    is_late = rules.max_seconds is not None and seconds > rules.max_seconds
    return is_late or signals.received() is not None


def _until_failure(
    video: videos.Video, failures: list[media.MediaError]
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields the frames of a video; what ends it early is a failure."""
    try:
        yield from video
    except media.MediaError as error:
        failures.append(error)


def _writing(
    file: Input, video: videos.Video, stack: contextlib.ExitStack
) -> Callable[[np.ndarray, float], Any]:
    """Returns what writes a picture; the file is begun with the first one."""
    writers: list[VideoWriter] = []

    def write(picture: np.ndarray, seconds: float) -> None:
        if not writers:
            sound = Sound(file.path, video.start) if video.info.has_audio else None
            rate = video.info.frames_per_second
            writers.append(stack.enter_context(VideoWriter(file.output, rate, sound)))
        writers[0].write(picture, seconds)

    return write
