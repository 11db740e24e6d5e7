"""Images are read, predicted, drawn and written side by side; results come in order.

What `hrnet_tf.predict` does with a folder and `hrnet_tf.batch` on each worker. Images
come in blocks of a fixed size. Those of a block are predicted together, and never with
others: how a network's numbers are rounded depends on what it sees together, and so
results are the same whoever predicts a block, and after an interruption.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.data.files import media, pictures
from hrnet_tf.data.files.person_boxes import PersonBoxes
from hrnet_tf.input_files import MAX_PIXELS
from hrnet_tf.messages import one_line
from hrnet_tf.output_files import OutputError, WriteError
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.inputs import Input
from hrnet_tf.serving.predictor import BATCH_SIZE, Prediction, Predictor
from hrnet_tf.serving.stages import in_stages

# In pixels, 48 MB of them: of images that are looked at together, and of one from which
# on it is in memory alone.
_MOST_PIXELS = 2**24

# What keeps one file from being written, but not those after it.
_FAULTS_OF_ONE_FILE = (
    *(errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.EINVAL, errno.EILSEQ),
)

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """An image to predict.

    Attributes:
        place: Its number among all images, from 0.
        file: Where it is, and where its output goes.
        image_id: Its id in results.
        boxes: Where people are; None if the model finds them, or if one fills it.
    """

    place: int
    file: Input
    image_id: int
    boxes: Boxes | None = None


@dataclasses.dataclass(frozen=True)
class Rules:
    """How images are read and what is written of them.

    Attributes:
        exif: "apply" turns images by their EXIF orientation, "ignore" does not.
        pictures: Whether pictures are written.
        max_pixels: The most that an image, or a frame of a video, may have.
        frames_per_second: The rate of images that are the frames of a video.
        max_seconds: When the prediction of a video ends, if not with the video.
    """

    exif: str = "apply"
    pictures: bool = True
    max_pixels: int = MAX_PIXELS
    frames_per_second: float | None = None
    max_seconds: float | None = None


DEFAULT_RULES = Rules()


def block_size(predictor: Predictor) -> int:
    """How many images, one after the other, are a block."""
    return BATCH_SIZE if predictor.batches_any_sizes else 1


def in_blocks(
    inputs: Sequence[Input],
    ids: Sequence[int],
    boxes: PersonBoxes | None,
    size: int,
    but: Container[int] = (),
) -> Iterator[list[Image]]:
    """Yields images by the blocks that all of them are in, but for some places."""
    for start in range(0, len(inputs), size):
        places = range(start, min(start + size, len(inputs)))
        block = [
            Image(place, inputs[place], ids[place], _given(boxes, inputs[place]))
            for place in places
            if place not in but
        ]
        if block:
            yield block


def _given(boxes: PersonBoxes | None, file: Input) -> Boxes | None:
    return Boxes.found(*boxes.of_image(file.name)) if boxes else None


def line_of(
    image_id: int, file_name: str, rows: Rows, seconds: float | None = None
) -> str:
    """An image's line of results.jsonl, without the end of the line.

    A frame of a video has a time, in seconds after the first one.
    """
    time = {} if seconds is None else {"seconds": round(seconds, 6)}
    of_image = {"image_id": image_id, "file_name": file_name, **time}
    return json.dumps({**of_image, "results": rows})


def rows_of(line: bytes) -> Rows:
    """The rows of results.json that a line of results.jsonl stands for."""
    of_image = json.loads(line)
    return [{**of_image, **row} for row in of_image.pop("results")]


def predict_blocks(
    predictor: Predictor,
    blocks: Iterable[Sequence[Image]],
    rules: Rules = DEFAULT_RULES,
) -> Iterator[list[tuple[Image, Rows | media.MediaError]]]:
    """Yields what is found in the images of each block, or why nothing could be.

    Pictures and label maps are written before an image's rows are yielded, which lack
    its id and name. While the model looks at some images, the next ones are read, and
    the last ones drawn and written.
    """

    def read(image: Image) -> np.ndarray:
        return media.read_image(image.file.path, rules.exif, rules.max_pixels)

    def look(images: list[Image], pixels: list[np.ndarray]) -> list[Prediction]:
        with guarded(images[0].file.path, pixels[0]):
            return predictor.predict_batch(pixels, [image.boxes for image in images])

    def write(image: Image, prediction: Prediction) -> Rows:
        with guarded(image.file.path, prediction.image):
            return _write(image.file, prediction, rules.pictures)

    blocks, again = itertools.tee(blocks)
    size = block_size(predictor)
    results = in_stages(blocks, _weight, read, look, write, media.MediaError, size)
    with contextlib.closing(results):
        for block in again:
            yield [(image, next(results)) for image in block]


def _weight(image: Image) -> float:
    """The share of an image in the pixels of those that are looked at together."""
    header = pictures.look_at(image.file.path)
    return header.pixels / _MOST_PIXELS if header else 0.0


@contextlib.contextmanager
def guarded(path: str, image: np.ndarray) -> Iterator[None]:
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


def _write(file: Input, prediction: Prediction, with_pictures: bool) -> Rows:
    """Writes an image's picture and label map; returns its rows of results."""
    rows = prediction.rows()
    if with_pictures:
        visualization.write_image(file.output, prediction.picture())
    if prediction.label_map is not None:
        visualization.write_labels(file.label_map, prediction.label_map)
        rows = [{**row, "label_map": file.label_map_name} for row in rows]
    return rows
