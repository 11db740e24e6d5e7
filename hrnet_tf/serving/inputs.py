"""What is predicted: a video, or images with their names, ids and outputs."""

import dataclasses
import logging
import os
import re
from collections.abc import Iterator, Sequence

from hrnet_tf.data.files import media, pictures, videos
from hrnet_tf.data.files.person_boxes import PersonBoxes, number_of
from hrnet_tf.messages import UserError, listed
from hrnet_tf.output_files import check_output

_LABEL_MAP_SUFFIX = ".labels.png"
_WRITABLE = (".jpg", ".jpeg", ".png")

_log = logging.getLogger(__name__)


class InputError(UserError):
    """Some of the input could not be read, or would be replaced by the output."""


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """An image or a video to predict. There may be millions: each holds one text.

    Attributes:
        folder: What was given, or the folder that the file which was given lies in.
        name: Its path below the folder.
        output_dir: Where its output goes.
    """

    folder: str
    name: str
    output_dir: str

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(self.folder, self.name)

    @property
    def picture_name(self) -> str:
        """The path of its picture, or video, below `output_dir`."""
        if self.name.lower().endswith(media.VIDEO_SUFFIXES):
            return f"{os.path.splitext(self.name)[0]}.mp4"
        if self.name.lower().endswith(_WRITABLE):
            return self.name
        return f"{self.name}.png"

    @property
    def output(self) -> str:
        """Where its picture, or video, goes."""
        return os.path.join(self.output_dir, self.picture_name)

    @property
    def label_map_name(self) -> str:
        """The path of its label map below `output_dir`, if the model makes one."""
        return self.picture_name + _LABEL_MAP_SUFFIX

    @property
    def label_map(self) -> str:
        """Where its label map goes, if the model makes one."""
        return os.path.join(self.output_dir, self.label_map_name)


@dataclasses.dataclass(frozen=True, slots=True)
class LiveInput(Input):
    """A stream or a camera, which has an address and no folder.

    Attributes:
        address: A stream's address, or a camera's number.
    """

    address: str = ""

    @property
    def path(self) -> str:
        """Where it is."""
        return self.address

    @property
    def picture_name(self) -> str:
        """The path of its video below `output_dir`."""
        return f"{self.name}.mp4"


def find_inputs(source: str, output_dir: str) -> list[Input]:
    """Lists the video, the image, or the images of the folder that `source` names.

    Raises:
        MediaError: If there is nothing to read.
    """
    if videos.is_camera(source):
        return [LiveInput("", f"camera{source}", output_dir, source)]
    if videos.is_stream(source):
        return [LiveInput("", "stream", output_dir, source)]
    paths = [source] if media.is_video(source) else media.find_images(source)
    if os.path.isdir(source):
        names = (os.path.relpath(path, source) for path in paths)
        return [Input(source, name, output_dir) for name in names]
    return [Input(*os.path.split(path), output_dir) for path in paths]


def as_frames(inputs: Sequence[Input]) -> list[Input]:
    """Images of one folder in the order of time: numbers in names go by their value.

    Raises:
        InputError: If they are in several folders, which may be several videos.
    """
    folders = sorted({os.path.dirname(file.path) for file in inputs})
    if len(folders) > 1:
        raise InputError(
            f"--track takes the images of one folder for a video, and there are "
            f"{len(folders)} folders of images: {listed(folders)}. Give one of them as "
            "--input."
        )
    return sorted(inputs, key=_in_time)


def _in_time(file: Input) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", file.name)
    return [int(p) if place % 2 else p for place, p in enumerate(parts)], file.name


def image_ids(inputs: Sequence[Input], boxes: PersonBoxes | None) -> Sequence[int]:
    """One id for every image: its own, or if ids are missing or equal, its place."""
    find = boxes.image_id if boxes else number_of
    ids = [number for file in inputs if (number := find(file.name)) is not None]
    if len(set(ids)) < len(inputs):
        return range(1, len(inputs) + 1)
    return ids


def check_outputs(
    inputs: Sequence[Input],
    overwrite: bool,
    pictures: bool = True,
    more: Sequence[str] = (),
) -> None:
    """Refuses to replace the input, or, unless told to, what is there already.

    Without `pictures` those that are there stay, and do not matter. `more` are the
    paths of other output.

    Raises:
        InputError: If output would take the place of the input, or of other output.
        OutputError: If there is output already.
    """
    if pictures:
        _check_names(inputs)
    originals: set[str] = set()
    for output in (*more, *_outputs(inputs, pictures)):
        if not os.path.lexists(output):
            continue
        originals = originals or {os.path.realpath(file.path) for file in inputs}
        if os.path.realpath(output) in originals:
            raise InputError(
                f"{output} would take the place of the input: choose another "
                "--output_dir."
            )
        check_output(output, overwrite)


def _check_names(inputs: Sequence[Input]) -> None:
    """Refuses two outputs of one name: what one image adds to it is another's name."""
    names = {file.name for file in inputs}
    for file in inputs:
        for name in (file.picture_name, file.label_map_name):
            if name != file.name and name in names:
                other = os.path.join(file.folder, name)
                raise InputError(
                    f"{os.path.join(file.output_dir, name)} would be the output of "
                    f"both {file.path} and {other}: rename one, or predict them apart."
                )


def _outputs(inputs: Sequence[Input], pictures: bool) -> Iterator[str]:
    """Yields the paths of what may be written for the input."""
    for file in inputs:
        if pictures:
            yield file.output
        yield file.label_map


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
