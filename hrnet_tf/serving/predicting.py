"""Predicts images, folders of images and videos, and writes what is found."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from hrnet_tf import visualization
from hrnet_tf.data.files import media
from hrnet_tf.data.files.person_boxes import PersonBoxes, number_of
from hrnet_tf.messages import UserError
from hrnet_tf.output_files import check_output, write_json
from hrnet_tf.progress import Progress
from hrnet_tf.serving.predictor import Boxes, Predictor

_RESULTS = "results.json"
_LABEL_MAP_SUFFIX = ".labels.png"

Rows = list[dict[str, Any]]


class InputError(UserError):
    """Some of the input could not be read, or would be replaced by the output."""


@dataclasses.dataclass(frozen=True)
class Input:
    """An image or a video to predict.

    Attributes:
        path: Where it is.
        name: Its path below the folder that was given, or its file name.
        output: Where its picture, or video, goes.
    """

    path: str
    name: str
    output: str


def find_inputs(source: str, output_dir: str) -> list[Input]:
    """Lists the video, the image, or the images of the folder that `source` names.

    Raises:
        MediaError: If there is nothing to read.
    """
    if media.is_video(source):
        name = os.path.basename(source)
        picture = f"{os.path.splitext(name)[0]}.mp4"
        return [Input(source, name, os.path.join(output_dir, picture))]
    inputs = []
    for path in media.find_images(source):
        is_below = os.path.isdir(source)
        name = os.path.relpath(path, source) if is_below else os.path.basename(path)
        can_be_written = name.lower().endswith((".jpg", ".jpeg", ".png"))
        picture = name if can_be_written else f"{name}.png"
        inputs.append(Input(path, name, os.path.join(output_dir, picture)))
    return inputs


def check_outputs(inputs: Sequence[Input], output_dir: str, overwrite: bool) -> None:
    """Refuses to replace the input, or, unless told to, what is there already.

    Raises:
        InputError: If the output would take the place of the input.
        OutputError: If there is output already.
    """
    originals = {os.path.realpath(file.path) for file in inputs}
    outputs = [file.output for file in inputs]
    for output in [*outputs, os.path.join(output_dir, _RESULTS)]:
        if os.path.realpath(output) in originals:
            raise InputError(
                f"{output} would take the place of the input: choose another "
                "--output_dir."
            )
        check_output(output, overwrite)


def predict_all(
    predictor: Predictor,
    inputs: Sequence[Input],
    output_dir: str,
    boxes: PersonBoxes | None,
) -> None:
    """Predicts and writes everything that can be read, and says how much it was.

    Args:
        predictor: The model.
        inputs: From `find_inputs`.
        output_dir: Receives results.json and the pictures.
        boxes: Where people are; None if the model finds them, or if every image shows
            one who fills it.

    Raises:
        InputError: At the end, if something could not be read.
    """
    is_video = media.is_video(inputs[0].path)
    predict = _predict_video if is_video else _predict_images
    rows, failures = predict(predictor, inputs, boxes)
    results = os.path.join(output_dir, _RESULTS)
    write_json(results, rows)
    print(f"{len(rows)} {predictor.unit}: {results}")
    if failures:
        raise InputError(
            f"{len(failures)} could not be read:\n" + "\n".join(map(str, failures))
        )


def _predict_images(
    predictor: Predictor, inputs: Sequence[Input], boxes: PersonBoxes | None
) -> tuple[Rows, list[media.MediaError]]:
    """Rows of results of all images, and what could not be read."""
    results: Rows = []
    failures: list[media.MediaError] = []
    with Progress(len(inputs), "Predicting") as progress:
        for file, image_id in zip(inputs, _image_ids(inputs, boxes), strict=True):
            try:
                image = media.read_image(file.path)
            except media.MediaError as error:
                failures.append(error)
                progress.advance(unreadable=len(failures))
                continue
            given = Boxes(*boxes.of_image(file.name)) if boxes else None
            prediction = predictor.predict(image, given)
            rows = prediction.rows()
            picture = prediction.draw(image)
            os.makedirs(os.path.dirname(file.output), exist_ok=True)
            if prediction.label_map is not None:
                path = file.output + _LABEL_MAP_SUFFIX
                visualization.write_labels(path, prediction.label_map)
                for row in rows:
                    row["label_map"] = os.path.basename(path)
            visualization.write_image(file.output, picture)
            results += _identified(rows, image_id, file.name)
            progress.advance(results=len(results))
    return results, failures


def _identified(rows: Rows, image_id: int, file_name: str) -> Rows:
    return [{"image_id": image_id, "file_name": file_name, **row} for row in rows]


def _image_ids(inputs: Sequence[Input], boxes: PersonBoxes | None) -> list[int]:
    """One id for every image: its own, or if ids are missing or equal, its place."""
    find = boxes.image_id if boxes else number_of
    ids = [number for file in inputs if (number := find(file.name)) is not None]
    if len(set(ids)) < len(inputs):
        return list(range(1, len(inputs) + 1))
    return ids


def _predict_video(
    predictor: Predictor, inputs: Sequence[Input], boxes: PersonBoxes | None
) -> tuple[Rows, list[media.MediaError]]:
    """Rows of results of all frames, and what could not be read."""
    (file,) = inputs
    info, frames = media.open_video(file.path)
    os.makedirs(os.path.dirname(file.output) or ".", exist_ok=True)
    results: Rows = []
    count = 0
    with (
        Progress(info.num_frames, "Predicting", unit="frame") as progress,
        contextlib.ExitStack() as stack,
    ):
        for number, frame in enumerate(frames):
            given = Boxes(*boxes.of_frame(number)) if boxes else None
            prediction = predictor.predict(frame, given)
            picture = prediction.draw(frame)
            if not count:
                # A legend makes pictures wider than frames.
                height, width = picture.shape[:2]
                size = dataclasses.replace(info, height=height, width=width)
                writer = stack.enter_context(media.VideoWriter(file.output, size))
            writer.write(picture)
            results += _identified(prediction.rows(), number, file.name)
            count += 1
            progress.advance(results=len(results))
        if not count:
            raise media.MediaError(f"{file.path}: no frame of it can be decoded.")
    if info.num_frames and count < info.num_frames:
        reason = f"only {count} of its {info.num_frames} frames can be decoded."
        return results, [media.MediaError(f"{file.path}: {reason}")]
    return results, []
