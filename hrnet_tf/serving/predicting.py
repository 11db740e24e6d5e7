"""Predicts images, folders of images and videos, and writes what is found."""

import contextlib
import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.data.files import media, pictures
from hrnet_tf.data.files.person_boxes import PersonBoxes, number_of
from hrnet_tf.input_files import MAX_PIXELS
from hrnet_tf.messages import UserError, one_line
from hrnet_tf.output_files import OutputError, WriteError, check_output, write_json
from hrnet_tf.progress import Progress
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.predictor import BATCH_SIZE, Prediction, Predictor
from hrnet_tf.serving.stages import in_stages

_RESULTS = "results.json"
_LABEL_MAP_SUFFIX = ".labels.png"

# In pixels, 48 MB of them: of images that are looked at together, and of one from which
# on it is in memory alone.
_MOST_PIXELS = 2**24

# What keeps one file from being written, but not those after it.
_FAULTS_OF_ONE_FILE = (
    *(errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.EINVAL, errno.EILSEQ),
)

Rows = list[dict[str, Any]]

_log = logging.getLogger(__name__)


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

    @property
    def label_map(self) -> str:
        """Where its label map goes, if the model makes one."""
        return self.output + _LABEL_MAP_SUFFIX


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


def check_outputs(
    inputs: Sequence[Input], output_dir: str, overwrite: bool, pictures: bool = True
) -> None:
    """Refuses to replace the input, or, unless told to, what is there already.

    Without `pictures` those that are there stay, and do not matter.

    Raises:
        InputError: If output would take the place of the input, or of other output.
        OutputError: If there is output already.
    """
    originals = {os.path.realpath(file.path) for file in inputs}
    results = os.path.join(output_dir, _RESULTS)
    sources: dict[str, str] = {}
    for output, source in [*_outputs(inputs, pictures), (results, "the results")]:
        if os.path.realpath(output) in originals:
            raise InputError(
                f"{output} would take the place of the input: choose another "
                "--output_dir."
            )
        other = sources.setdefault(output, source)
        if other != source:
            raise InputError(
                f"{output} would be the output of both {other} and {source}: rename "
                "one, or predict them apart."
            )
        check_output(output, overwrite)


def _outputs(inputs: Sequence[Input], pictures: bool) -> Iterator[tuple[str, str]]:
    """What may be written for the input, each with the path that it is made from."""
    for file in inputs:
        if pictures:
            yield file.output, file.path
        yield file.label_map, file.path


def choose_exif(
    inputs: Sequence[Input], boxes: PersonBoxes | None, exif: str | None
) -> str:
    """Returns the value of --exif: as given, or "apply".

    Raises:
        InputError: If the sizes in a file of boxes show that they are of pictures that
            were, or were not, turned by their EXIF orientation.
    """
    chosen = exif or "apply"
    doubtful: list[str] = []
    for file in inputs if boxes else ():
        header = pictures.look_at(file.path)
        if header is None or header.orientation == 1:
            continue
        by, stored = header.orientation, (header.width, header.height)
        shown = stored[::-1] if by >= 5 else stored
        listed = boxes.size_of(file.name) if boxes else None
        other = "ignore" if chosen == "apply" else "apply"
        sizes = {"apply": shown, "ignore": stored}
        if shown != stored and listed == sizes[other]:
            raise InputError(
                f"{file.path} has the EXIF orientation {by}, by which viewers turn it "
                f"from {stored[0]}x{stored[1]} to {shown[0]}x{shown[1]} pixels. Its "
                f"boxes are for {sizes[other][0]}x{sizes[other][1]}: say "
                f"--exif={other}."
            )
        if shown == stored or listed != shown:
            doubtful.append(file.path)
    if doubtful and exif is None:
        _log.warning(
            "%d images are turned by their EXIF orientation, the first is %s. Say "
            "--exif=ignore if their boxes are of the pixels as they are stored.",
            *(len(doubtful), doubtful[0]),
        )
    return chosen


def predict_all(
    predictor: Predictor,
    inputs: Sequence[Input],
    output_dir: str,
    boxes: PersonBoxes | None,
    exif: str = "apply",
    pictures: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Predicts and writes everything that can be read, and says how much it was.

    Args:
        predictor: The model.
        inputs: From `find_inputs`.
        output_dir: Receives results.json, label maps and the pictures.
        boxes: Where people are; None if the model finds them, or if every image shows
            one who fills it.
        exif: What `choose_exif` returned.
        pictures: Whether to write pictures, or the video.
        max_pixels: The most that an image, or a frame of the video, may have.

    Raises:
        InputError: At the end, if something could not be read.
    """
    if media.is_video(inputs[0].path):
        rows, failures = _predict_video(
            predictor, inputs[0], boxes, pictures, max_pixels
        )
    else:
        os.makedirs(output_dir, exist_ok=True)
        rows, failures = _predict_images(
            predictor, inputs, boxes, exif, pictures, max_pixels
        )
        for row in rows:
            if "label_map" in row:
                row["label_map"] = os.path.relpath(row["label_map"], output_dir)
    results = os.path.join(output_dir, _RESULTS)
    write_json(results, rows)
    print(f"{len(rows)} {predictor.unit}: {results}")
    if failures:
        raise InputError(
            f"{len(failures)} could not be read:\n" + "\n".join(map(str, failures))
        )


def _predict_images(
    predictor: Predictor,
    inputs: Sequence[Input],
    boxes: PersonBoxes | None,
    exif: str,
    with_pictures: bool,
    max_pixels: int,
) -> tuple[Rows, list[media.MediaError]]:
    """Rows of results of all images, and what could not be read or written.

    While the model looks at some images, the next ones are read, and the last ones
    drawn and written.
    """

    def read(file: Input) -> np.ndarray:
        return media.read_image(file.path, exif, max_pixels)

    def look(files: list[Input], images: list[np.ndarray]) -> list[Prediction]:
        with _guarded(files[0].path, images[0]):
            given = [
                Boxes.found(*boxes.of_image(file.name)) if boxes else None
                for file in files
            ]
            return predictor.predict_batch(images, given)

    def write(file: Input, prediction: Prediction) -> Rows:
        with _guarded(file.path, prediction.image):
            return _write_image(file, prediction, with_pictures)

    rows: Rows = []
    failures: list[media.MediaError] = []
    ids = _image_ids(inputs, boxes)
    group_size = BATCH_SIZE if predictor.batches_any_sizes else 1
    results = in_stages(
        inputs, _weight, read, look, write, media.MediaError, group_size
    )
    with Progress(len(inputs), "Predicting") as progress:
        for file, image_id, found in zip(inputs, ids, results, strict=True):
            if isinstance(found, media.MediaError):
                failures.append(found)
                progress.advance(unreadable=len(failures))
            else:
                rows += _identified(found, image_id, file.name)
                progress.advance(results=len(rows))
    return rows, failures


def _weight(file: Input) -> float:
    """The share of an image in the pixels of those that are looked at together."""
    header = pictures.look_at(file.path)
    return header.pixels / _MOST_PIXELS if header else 0.0


@contextlib.contextmanager
def _guarded(path: str, image: np.ndarray) -> Iterator[None]:
    """Turns what fails at one image, such as at a huge one, into a `MediaError`."""
    size = f"{image.shape[1]}x{image.shape[0]} pixels"
    try:
        yield
    except _and_tensorflows(MemoryError, "ResourceExhaustedError"):
        raise media.MediaError(
            f"{path}: there is not enough memory to predict its {size}."
        ) from None
    except OutputError as error:
        raise media.MediaError(str(error)) from error
    except (OSError, WriteError) as error:
        number = getattr(error.__cause__ or error, "errno", None)
        if number not in _FAULTS_OF_ONE_FILE:
            raise  # Such as a full disk: nothing more could be written.
        raise media.MediaError(
            f"{path}: its output cannot be written: {os.strerror(number)}."
        ) from error
    except _and_tensorflows(cv2.error, "OpError") as error:
        raise media.MediaError(
            f"{path}: its {size} cannot be predicted: {one_line(error)}"
        ) from error


def _and_tensorflows(error: type[Exception], name: str) -> tuple[type[Exception], ...]:
    """An error and TensorFlow's of some name; .tflite files do without TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return (error, getattr(tensorflow.errors, name)) if tensorflow else (error,)


def _write_image(file: Input, prediction: Prediction, with_pictures: bool) -> Rows:
    """Writes an image's picture and label map; returns its rows of results."""
    rows = prediction.rows()
    if with_pictures:
        visualization.write_image(file.output, prediction.picture())
    if prediction.label_map is not None:
        visualization.write_labels(file.label_map, prediction.label_map)
        rows = [{**row, "label_map": file.label_map} for row in rows]
    return rows


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
    predictor: Predictor,
    file: Input,
    boxes: PersonBoxes | None,
    pictures: bool,
    max_pixels: int,
) -> tuple[Rows, list[media.MediaError]]:
    """Rows of results of all frames, and what stopped before the last one."""
    info, frames = media.open_video(file.path, max_pixels)
    results: Rows = []
    failures: list[media.MediaError] = []
    count = people = 0
    with (
        Progress(info.num_frames, "Predicting", unit="frame") as progress,
        contextlib.ExitStack() as stack,
    ):
        for frame in frames:
            # A read that fails is mostly one frame that cannot be decoded.
            number = count + frames.missed
            given = Boxes.found(*boxes.of_frame(number)) if boxes else None
            people += len(given.boxes) if given else 0
            try:
                with _guarded(f"{file.path}, frame {number}", frame):
                    prediction = predictor.predict_image(frame, given)
                    rows = prediction.rows()
                    picture = prediction.picture() if pictures else None
            except media.MediaError as error:
                failures.append(error)
                break
            if picture is not None:
                if not count:
                    # A legend makes pictures wider than frames.
                    height, width = picture.shape[:2]
                    size = dataclasses.replace(info, height=height, width=width)
                    writer = stack.enter_context(media.VideoWriter(file.output, size))
                writer.write(picture, frames.seconds)
            results += _identified(rows, number, file.name)
            count += 1
            progress.advance(results=len(results))
        if boxes and count and not people and not failures:
            raise InputError(
                f"--boxes has no box for any of the {count} frames of {file.path}: in "
                "a video, image_id must be the number of the frame, from 0."
            )
    if not count and not failures:
        raise media.MediaError(f"{file.path}: no frame of it can be decoded.")
    # What the file says of itself is an estimate: edited videos announce frames that
    # are never shown.
    announced = f", of {info.num_frames} announced" if info.num_frames else ""
    missed = f"; {frames.missed} between them could not be" if frames.missed else ""
    _log.info("%s: %d frames were decoded%s%s.", file.path, count, announced, missed)
    return results, failures
