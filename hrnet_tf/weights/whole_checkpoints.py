"""Which checkpoints of a folder are whole, and which of them is the newest.

TensorFlow believes the folder's file `checkpoint`, which a crash, a copy or a full disk
can leave missing, old or empty. Here the checkpoints themselves are looked at. Every
value in one has a checksum, so reading all of them tells whether one is whole.
"""

import dataclasses
import functools
import logging
import os
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.training import checkpoint_state_pb2

from hrnet_tf.input_files import InputFileError, check_input, is_remote, names_in
from hrnet_tf.messages import UserError, listed, one_line

# Names the checkpoints of a folder, for TensorFlow.
STATE_FILE = "checkpoint"

# The series that training saves.
_TRAINING = "ckpt"

_INDEX = re.compile(r"(?P<name>.+)\.index")
_DATA = re.compile(r"(?P<name>.+)\.data-\d{5}-of-\d{5}")
_UNFINISHED = re.compile(r"(?P<name>.+-\d+)_temp|(?P<index>.+-\d+)\.index\.tempstate.*")

_UNFINISHED_STATE = re.compile(r"checkpoint\.tmp[0-9a-f]+")

_log = logging.getLogger(__name__)


class DamagedCheckpointError(UserError):
    """A checkpoint whose files are not all there, or not whole."""


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a folder holds; names are those of checkpoints, without the folder.

    Attributes:
        folder: The folder.
        newest: The newest whole checkpoint, if there is one.
        older: Those before it that belong to the same series, oldest first.
        damaged: Newer ones, newest first, and what is wrong with each.
        unfinished: What interrupted saves have begun.
        remark: What is wrong with the folder's file `checkpoint`, if anything.
    """

    folder: str
    newest: str | None = None
    older: Sequence[str] = ()
    damaged: Sequence[tuple[str, str]] = ()
    unfinished: Sequence[str] = ()
    remark: str | None = None

    @property
    def prefix(self) -> str | None:
        """Path of the newest whole checkpoint, as TensorFlow restores it."""
        return self.newest and os.path.join(self.folder, self.newest)


def damage(prefix: str) -> str | None:
    """Why a checkpoint cannot be used, or None if it is whole."""
    index = f"{prefix}.index"
    if not tf.io.gfile.exists(index):
        return f"there is no file {index}"
    try:
        files = _files_of(prefix)
        for file in files:
            check_input(file)
        state = tuple((file, *_version(file)) for file in files)
    except (InputFileError, tf.errors.OpError) as error:
        return one_line(error.message).rstrip(".")
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return _damage(prefix, state)


def _version(file: str) -> tuple[int, ...]:
    """Numbers that change when a file does."""
    if is_remote(file):
        stat = tf.io.gfile.stat(file)
        return stat.length, stat.mtime_nsec
    # TensorFlow's own answer is in whole seconds.
    local = os.stat(file)
    return local.st_size, local.st_mtime_ns, local.st_ctime_ns, local.st_ino


def check_files(prefix: str) -> None:
    """Raises `InputFileError` if TensorFlow would wait for a checkpoint's files."""
    if tf.io.gfile.exists(f"{prefix}.index"):
        for file in _files_of(prefix):
            check_input(file)


def _files_of(prefix: str) -> list[str]:
    folder, name = os.path.split(prefix)
    data = sorted(file for file in names_in(folder) if file.startswith(f"{name}.data-"))
    return [f"{prefix}.index", *(os.path.join(folder, file) for file in data)]


@functools.lru_cache
def _damage(prefix: str, state: tuple[tuple[str | int, ...], ...]) -> str | None:
    """As `damage`, once for every state of the files."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError) as error:
        if len(state) == 1:
            return "its data file is missing"
        return one_line(str(error).split("\n")[0]).rstrip(".")
    return None


def survey(folder: str) -> Survey:
    """Looks for the newest whole checkpoint of a folder."""
    if not tf.io.gfile.isdir(folder):
        return Survey(folder)
    files = names_in(folder)
    paths, remark = _listed(folder)
    # The folder may have been moved since they were written.
    names = None if paths is None else [os.path.basename(path) for path in paths]
    found = _found(files, names)
    unfinished = _unfinished(files)
    damaged: list[tuple[str, str]] = []
    for position, name in reversed(list(enumerate(found))):
        reason = damage(os.path.join(folder, name))
        if reason is None:
            damaged = [*_lost(files, names, name), *damaged]
            remark = remark or _state_remark(names, name)
            older = [
                name
                for name in _managed(found[:position], names)
                if _are_files(os.path.join(folder, name))
            ]
            return Survey(folder, name, older, damaged, unfinished, remark)
        damaged.append((name, reason))
    if _is_first_save(folder, names, [name for name, _ in damaged], unfinished):
        return Survey(folder, unfinished=[*unfinished, *(n for n, _ in damaged)])
    if names is not None and not damaged:
        damaged = [*_lost(files, names)] or [(STATE_FILE, "it names no checkpoint")]
    elif not damaged:
        damaged = [(name, "its index file is missing") for name in unfinished]
    return Survey(folder, None, (), damaged, unfinished, remark)


def newest(folder: str) -> str | None:
    """The prefix of a folder's newest whole checkpoint; None if it never had one.

    The log says what was passed over.

    Raises:
        DamagedCheckpointError: If there are checkpoints, but none is whole.
    """
    surveyed = survey(folder)
    check(surveyed)
    tell(surveyed)
    return surveyed.prefix


def check(surveyed: Survey) -> None:
    """Raises `DamagedCheckpointError` if there are checkpoints, but none is whole."""
    if surveyed.damaged and surveyed.newest is None:
        name = surveyed.damaged[0][0]
        files = f"{name}.*" if _series(name) == name else f"{_series(name)}-*"
        raise DamagedCheckpointError(
            f"No checkpoint in {surveyed.folder} is whole: {_reasons(surveyed)}. Put "
            "back a copy; or, to start afresh, take another folder, or delete the "
            f"files {STATE_FILE} and {files} in it."
            if name != STATE_FILE
            else f"{surveyed.folder}/{STATE_FILE} is there, but no checkpoint. Put the "
            "checkpoints back; or, to start afresh, delete that file, or take another "
            "folder."
        )


def tell(surveyed: Survey) -> None:
    """Says in one sentence what was passed over to find the newest, if anything."""
    passed = [_reasons(surveyed)] if surveyed.damaged else []
    passed += [surveyed.remark] if surveyed.remark else []
    unfinished = [name for name in surveyed.unfinished if name != surveyed.newest]
    if unfinished:
        passed.append(f"a save of {listed(unfinished)} was not finished")
    if surveyed.newest and (surveyed.damaged or surveyed.remark):
        _log.warning(
            "The newest whole checkpoint in %s is %s: %s.",
            surveyed.folder,
            surveyed.newest,
            "; ".join(passed),
        )
    elif unfinished and not surveyed.newest:
        _log.warning(
            "%s has no checkpoint yet: %s.", surveyed.folder, "; ".join(passed)
        )


def _reasons(surveyed: Survey) -> str:
    return listed([f"{name} is damaged ({why})" for name, why in surveyed.damaged])


def _listed(folder: str) -> tuple[list[str] | None, str | None]:
    """The paths that a folder's state file lists, oldest first, and what is wrong.

    The paths are None if there is no such file.
    """
    path = os.path.join(folder, STATE_FILE)
    if not tf.io.gfile.exists(path):
        return None, None
    state = checkpoint_state_pb2.CheckpointState()
    try:
        check_input(path)
        with tf.io.gfile.GFile(path, "rb") as file:
            text_format.Parse(file.read(), state)
    except (text_format.ParseError, UnicodeDecodeError, tf.errors.OpError):
        return [], f"its file {STATE_FILE} cannot be understood"
    except InputFileError as error:
        return [], f"its file {STATE_FILE} {error.reason}"
    paths = [*state.all_model_checkpoint_paths, state.model_checkpoint_path]
    paths = list(dict.fromkeys(path for path in paths if path))
    return paths, None if paths else f"its file {STATE_FILE} is empty"


def _state_remark(names: Sequence[str] | None, name: str) -> str | None:
    if names is None:
        return f"its file {STATE_FILE} is missing"
    if names and (
        _series(names[-1]) != _series(name) or _number(names[-1]) < _number(name)
    ):
        return f"its file {STATE_FILE} names {names[-1]}"
    return None


def _found(files: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """The checkpoints of a folder that have an index, oldest first.

    They are numbered, or listed. If several series of them share the folder, they are
    those of a training, or else of the series that is listed last.
    """
    found = [match["name"] for file in files if (match := _INDEX.fullmatch(file))]
    found = [name for name in found if _number(name) >= 0 or name in (names or ())]
    series = {_series(name) for name in found}
    for wanted in (_TRAINING, *map(_series, reversed(names or []))):
        if wanted in series:
            found = [name for name in found if _series(name) == wanted]
            break
    return sorted(found, key=lambda name: (_number(name), name))


def _unfinished(files: Sequence[str]) -> list[str]:
    """Names that interrupted saves left behind: files without an index beside them."""
    begun = set()
    for file in files:
        match = _DATA.fullmatch(file)
        if match and f"{match['name']}.index" not in files:
            begun.add(match["name"])
        if match := _UNFINISHED.fullmatch(file):
            begun.add(match["name"] or match["index"])
    return sorted(begun, key=lambda name: (_number(name), name))


def _lost(
    files: Sequence[str], names: Sequence[str] | None, newest: str = ""
) -> Iterator[tuple[str, str]]:
    """Listed checkpoints after the newest that have no index, and what is missing."""
    for name in reversed(names or []):
        if f"{name}.index" not in files and _number(name) > _number(newest):
            has_data = any(file.startswith(f"{name}.data-") for file in files)
            yield name, f"its {'index file is' if has_data else 'files are'} missing"


def _managed(found: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Those that TensorFlow may delete in time: listed, or all if nothing is known."""
    names = [
        name for name in names or () if found and _series(name) == _series(found[0])
    ]
    if not names:
        return list(found)
    newest_listed = max(_number(name) for name in names)
    return [name for name in found if name in names or _number(name) > newest_listed]


def _is_first_save(
    folder: str,
    names: Sequence[str] | None,
    damaged: Sequence[str],
    unfinished: Sequence[str],
) -> bool:
    """Whether all there is may be what the very first save left when it was killed."""
    if names is not None or len({*damaged, *unfinished}) > 1:
        return False
    for index in (os.path.join(folder, f"{name}.index") for name in damaged):
        if not _is_file(index) or tf.io.gfile.stat(index).length:
            return False
    return True


def _is_file(path: str) -> bool:
    try:
        check_input(path)
    except InputFileError:
        return False
    return True


def _are_files(prefix: str) -> bool:
    """Whether a checkpoint is of files, which TensorFlow can look at and delete."""
    return all(map(_is_file, _files_of(prefix)))


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() and number.isascii() else -1


def _series(name: str) -> str:
    return name.rpartition("-")[0] if _number(name) >= 0 else name


def repair(surveyed: Survey) -> None:
    """Lets a folder's state file name the checkpoints found; removes unfinished ones.

    Only for the process that saves into the folder.
    """
    folder = surveyed.folder
    if tf.io.gfile.isdir(folder):
        for name in _leftovers(names_in(folder), surveyed):
            _remove(os.path.join(folder, name))
    if surveyed.newest is None:
        state = os.path.join(folder, STATE_FILE)
        if tf.io.gfile.exists(state):
            tf.io.gfile.remove(state)
        return
    names = [*surveyed.older, surveyed.newest]
    if _listed(folder)[0] != names:
        write_state(folder, names)


def _leftovers(files: Sequence[str], surveyed: Survey) -> Iterator[str]:
    """Files of interrupted saves."""
    # Without any whole checkpoint, an index is that of the first save.
    is_first = surveyed.newest is None
    for name in files:
        data, index = _DATA.fullmatch(name), _INDEX.fullmatch(name)
        if _UNFINISHED.fullmatch(name) or _UNFINISHED_STATE.fullmatch(name):
            yield name
        elif data and data["name"] in surveyed.unfinished:
            if is_first or f"{data['name']}.index" not in files:
                yield name
        elif index and index["name"] in surveyed.unfinished and is_first:
            yield name


def _remove(path: str) -> None:
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    else:
        tf.io.gfile.remove(path)


def write_state(folder: str, names: Sequence[str]) -> None:
    """Writes a folder's state file; `names` are those of checkpoints, oldest first."""
    stats = [tf.io.gfile.stat(os.path.join(folder, f"{name}.index")) for name in names]
    state = checkpoint_state_pb2.CheckpointState(
        model_checkpoint_path=names[-1],
        all_model_checkpoint_paths=names,
        # Without times, TensorFlow would keep them for ever.
        all_model_checkpoint_timestamps=[stat.mtime_nsec / 1e9 for stat in stats],
        last_preserved_timestamp=0.0,
    )
    path = os.path.join(folder, STATE_FILE)
    with tf.io.gfile.GFile(f"{path}.tmp0", "w") as file:
        file.write(text_format.MessageToString(state))
    tf.io.gfile.rename(f"{path}.tmp0", path, overwrite=True)
