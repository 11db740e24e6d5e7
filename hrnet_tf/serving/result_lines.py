"""results.jsonl: a line for each image, written as they come, and what is made of it.

    {"image_id": 7, "file_name": "a/7.jpg", "results": [...]}

It is what a run leaves that was killed, and what `--resume` takes up: whole lines stay,
and a line, or a block of images, that was cut off goes. results.settings.json says what
the lines were made with, so that no others are appended. At the end results.json is
made of them, image after image.
"""

import array
import collections
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hrnet_tf.data.files.media import MediaError
from hrnet_tf.input_files import read_json
from hrnet_tf.messages import UserError, shown
from hrnet_tf.output_files import naming, write_json, written_whole
from hrnet_tf.serving.image_results import rows_of
from hrnet_tf.serving.inputs import Input, InputError

RESULTS = "results.json"
LINES = "results.jsonl"
SETTINGS = "results.settings.json"

_NOWHERE = -1
_AGAIN = "start over with --overwrite"


class ResumeError(UserError):
    """Results that cannot be continued."""


class ResultLines:
    """A file of lines that grows.

    Attributes:
        path: The file.
        offsets: Where each image's line begins, by the image's place; -1 without one.
    """

    def __init__(self, path: str, handle: int, num_places: int):
        """Takes a file that is open to append; no line has a place yet."""
        self.path = path
        self.offsets = array.array("q", [_NOWHERE]) * num_places
        self._handle = handle
        self._end = os.lseek(handle, 0, os.SEEK_END)

    def __len__(self) -> int:
        return len(self.offsets) - self.offsets.count(_NOWHERE)

    def __contains__(self, place: object) -> bool:
        return isinstance(place, int) and self.offsets[place] != _NOWHERE

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the file."""
        return self._end == 0

    def append(self, lines: Mapping[int, str]) -> None:
        """Appends lines, by the places of their images, as one piece.

        The place after the last one may be new. Raises `WriteError` if the disk is
        full.
        """
        content = bytearray()
        for place, line in lines.items():
            if place == len(self.offsets):
                self.offsets.append(_NOWHERE)
            self.offsets[place] = self._end + len(content)
            content += f"{line}\n".encode()
        with naming(self.path, self.path):
            left = memoryview(content)
            while left:
                left = left[os.write(self._handle, left) :]
        self._end += len(content)

    def cut(self, end: int) -> None:
        """Removes what is after an offset."""
        os.ftruncate(self._handle, end)
        self._end = end

    def write_results(self, path: str) -> int:
        """Writes results.json in the order of places; returns its number of rows."""
        count = 0
        with (
            written_whole(path) as partial,
            open(partial, "w", encoding="utf-8") as file,
            open(self.path, "rb") as lines,
        ):
            file.write("[")
            for offset in self.offsets:
                if offset == _NOWHERE:
                    continue
                lines.seek(offset)
                for row in rows_of(lines.readline()):
                    file.write(f"{', ' if count else ''}{json.dumps(row)}")
                    count += 1
            file.write("]")
        return count


@contextlib.contextmanager
def opened(path: str, num_places: int = 0) -> Iterator[ResultLines]:
    """Opens a file for lines, and keeps other processes out until it is closed.

    Raises:
        ResumeError: If another process has it open.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResumeError(
                f"Another process is writing {path}: wait for it, or choose another "
                "--output_dir."
            ) from None
        except OSError:  # Some file systems have no locks.
            pass
        yield ResultLines(path, handle, num_places)
    finally:
        os.close(handle)


@contextlib.contextmanager
def begun(
    output_dir: str, settings: Mapping[str, Any], num_places: int
) -> Iterator[ResultLines]:
    """Opens the lines of a new run. Raises `ResumeError` as `opened` does."""
    os.makedirs(output_dir, exist_ok=True)
    with opened(os.path.join(output_dir, LINES), num_places) as lines:
        lines.cut(0)
        # Killed from here on, a run must not look as if it had ended.
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(output_dir, RESULTS))
        write_json(os.path.join(output_dir, SETTINGS), settings, indent=1)
        yield lines


@contextlib.contextmanager
def begun_video(output_dir: str) -> Iterator[ResultLines]:
    """Opens the lines of a video, which nobody goes on with.

    They are removed if the block finds that the input is of no use.

    Raises:
        ResumeError: If another process has them open.
    """
    os.makedirs(output_dir, exist_ok=True)
    path = os.path.join(output_dir, LINES)
    with opened(path) as lines:
        lines.cut(0)
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(output_dir, RESULTS))
        try:
            yield lines
        except (InputError, MediaError):
            os.remove(path)
            raise


@contextlib.contextmanager
def continued(
    output_dir: str,
    settings: Mapping[str, Any],
    inputs: Sequence[Input],
    ids: Sequence[int],
    block_size: int,
) -> Iterator[ResultLines]:
    """Opens the lines of a run that was broken off.

    Args:
        output_dir: Where they are.
        settings: What decides about results, by name; ready for JSON.
        inputs: All images, by their places.
        ids: Those of all images.
        block_size: How many images are predicted together. Of the last ones that were,
            none has a line, or all have that could be read.

    Raises:
        ResumeError: If they are of other settings or images, damaged, or open in
            another process.
    """
    with opened(os.path.join(output_dir, LINES), len(inputs)) as lines:
        if lines.is_empty:
            # A run that was killed at once may have left no settings, or older ones.
            write_json(os.path.join(output_dir, SETTINGS), settings, indent=1)
        else:
            _check_settings(output_dir, settings)
            _take_up(lines, inputs, ids, block_size)
        yield lines


def paths(output_dir: str) -> list[str]:
    """Where results go."""
    return [os.path.join(output_dir, name) for name in (RESULTS, LINES)]


def is_begun(output_dir: str) -> bool:
    """Whether there are lines to continue."""
    return os.path.exists(os.path.join(output_dir, LINES))


def check_none(output_dir: str, may_resume: bool = True) -> None:
    """Raises `ResumeError` at what a run left that was broken off."""
    if is_begun(output_dir) and not os.path.exists(os.path.join(output_dir, RESULTS)):
        ways = ["go on with --resume"] if may_resume else []
        ways += [_AGAIN, "or choose another --output_dir"]
        raise ResumeError(
            f"{os.path.join(output_dir, LINES)} is of a run that was broken off: "
            f"{', '.join(ways)}."
        )


def _check_settings(output_dir: str, settings: Mapping[str, Any]) -> None:
    path = os.path.join(output_dir, SETTINGS)
    before, now = read_json(path), json.loads(json.dumps(settings))
    if not isinstance(before, dict):
        raise ResumeError(f"{path} is damaged: {_AGAIN}.")
    for name in {**before, **now}:
        values = [shown(of.get(name), "none") for of in (before, now)]
        if before.get(name) != now.get(name):
            raise ResumeError(
                f"{os.path.join(output_dir, LINES)} was begun with another {name}, "
                f"{values[0]} and not {values[1]}: go on with the same, {_AGAIN}, or "
                "choose another --output_dir."
            )


def _take_up(
    lines: ResultLines, inputs: Sequence[Input], ids: Sequence[int], block_size: int
) -> None:
    """Finds the places of whole lines, and removes what was cut off."""
    places = {file.name: place for place, file in enumerate(inputs)}
    last: collections.deque[int] = collections.deque(maxlen=block_size)
    end = 0
    with open(lines.path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            name, image_id = _image_of(line, f"{lines.path}: line {number}")
            place = places.get(name)
            if place is None or ids[place] != image_id:
                raise ResumeError(
                    f"{lines.path} has results of {shown(name)} as image {image_id}, "
                    f"and --input has no such image any more: {_AGAIN}."
                )
            lines.offsets[place] = end
            last.append(place)
            end += len(line)
    if last:
        start = last[-1] // block_size * block_size
        block = range(start, min(start + block_size, len(inputs)))
        if not all(place in lines for place in block):
            while last and last[-1] in block:
                place = last.pop()
                end, lines.offsets[place] = lines.offsets[place], _NOWHERE
    lines.cut(end)


def _image_of(line: bytes, where: str) -> tuple[str, Any]:
    """The name and the id of a line's image; `where` it is says a message."""
    try:
        found = json.loads(line)
        name, rows = found["file_name"], found["results"]
        are_rows = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        if isinstance(name, str) and are_rows:
            return name, found["image_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise ResumeError(f"{where} is damaged: {_AGAIN}.")
