"""Files that users give: opened without waiting, their JSON and YAML read with limits.

Every reader of a user's file opens it here. A pipe, a socket or a device, in which
reading may wait or go on for ever, is refused; so are JSON and YAML that would fill the
memory or the stack, or that say a thing twice. Errors begin with the file's path, so
that a caller can put its role or its flag in front.
"""

import collections
import errno
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import yaml

from hrnet_tf.messages import UserError, one_line, shown

# Of images: more than any camera takes at once. The largest, of telephones, have 200
# million.
MAX_PIXELS = 250_000_000

# More than anybody writes; PyYAML takes seconds for it.
LARGEST_YAML = 200_000  # bytes
_DEEPEST_YAML = 100  # levels
_MOST_YAML = 500_000  # values, each alias counted with all that it stands for

# Characters of a number: any of so many fits into a float.
_LONGEST_NUMBER = 200
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
# Kinds of values that a tag may tell. The Garden writes tuples into params.yaml.
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map", "python/tuple")}

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# Addresses as TensorFlow knows them, and those of files of this machine.
_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9.]*://")
_LOCAL_ADDRESS = re.compile("^file://[^/]*")

MISSING, UNREADABLE, TOO_LARGE = "missing", "unreadable", "too large for memory"

# What zipfile raises at damaged archives, encryption and odd methods included.
ZIP_FAULTS = (
    *(zipfile.BadZipFile, KeyError, ValueError, RuntimeError, EOFError, OSError),
    *(zlib.error, struct.error, OverflowError),
)

Pairs = list[tuple[str, Any]]


class InputFileError(UserError):
    """A file that cannot be read: "PATH REASON.".

    Attributes:
        reason: The end of the sentence, without the full stop.
        fault: `MISSING`, `UNREADABLE` or `TOO_LARGE`.
    """

    def __init__(self, path: str, reason: str, fault: str = UNREADABLE):
        super().__init__(f"{path} {reason}.")
        self.reason = reason
        self.fault = fault


# ---- bytes ----


def is_remote(path: str) -> bool:
    """Whether a path is an address such as gs://bucket/name, which is TensorFlow's."""
    return bool(_ADDRESS.match(path))


def is_text(path: str) -> bool:
    """Whether TensorFlow can take a text for a path: UTF-8 without a NUL."""
    try:
        return b"\0" not in path.encode()
    except UnicodeEncodeError:  # Python's way to write other bytes
        return False


def names_in(folder: str) -> list[str]:
    """Names in a folder; those that are no text, which TensorFlow trips over, are not.

    Raises `OSError`, or for addresses TensorFlow's errors.
    """
    folder = _LOCAL_ADDRESS.sub("", folder)
    if not is_remote(folder):
        return [name for name in os.listdir(folder or ".") if is_text(name)]
    import tensorflow as tf

    # A listing of some remote folders ends the names of folders with "/".
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]


def check_input(path: str) -> None:
    """Raises `InputFileError` if there is no file here that can be opened.

    For files that a library opens, which might wait. Addresses are not looked at.
    """
    path = _LOCAL_ADDRESS.sub("", path)
    if not is_remote(path):
        open_input(path).close()


def open_input(path: str) -> BinaryIO:
    """Opens a file to read its bytes; never waits. Raises `InputFileError`.

    Files of addresses raise TensorFlow's errors while they are read.
    """
    path = _LOCAL_ADDRESS.sub("", path)
    if is_remote(path):
        return _open_remote(path)
    try:
        # Without a writer, a pipe would keep an ordinary `open` waiting.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:  # NUL, or letters that no file system has
        raise InputFileError(
            repr(path), "cannot be the name of a file", MISSING
        ) from None
    if kind := _KINDS.get(stat.S_IFMT(os.fstat(handle).st_mode)):
        os.close(handle)
        raise InputFileError(path, f"is {kind}, not a file")
    return os.fdopen(handle, "rb")


def _open_remote(path: str) -> BinaryIO:
    import tensorflow as tf

    try:
        if not tf.io.gfile.exists(path):
            raise InputFileError(path, "does not exist", MISSING)
        return tf.io.gfile.GFile(path, "rb")
    except tf.errors.OpError as error:
        raise InputFileError(
            path, f"cannot be read: {one_line(error.message)}"
        ) from None


def _unreadable(path: str, error: OSError) -> InputFileError:
    if error.errno == errno.ENXIO:
        return InputFileError(path, "is a socket or a device, not a file")
    if error.errno == errno.ENOENT:
        link = f" (it is a link to {os.readlink(path)})" if os.path.islink(path) else ""
        return InputFileError(path, f"does not exist{link}", MISSING)
    return InputFileError(path, f"cannot be read: {error.strerror}")


def read_bytes(path: str, most: int | None = None) -> bytes:
    """Reads a file whole, if it has at most so many bytes. Raises `InputFileError`."""
    try:
        with open_input(path) as file:
            content = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise InputFileError(path, "does not fit into memory", TOO_LARGE) from None
    except Exception as error:
        if not is_remote(path) or isinstance(error, InputFileError):
            raise
        # TensorFlow's errors, which are not imported for files of this machine.
        raise InputFileError(path, f"cannot be read: {one_line(error)}") from None
    if most is not None and len(content) > most:
        raise InputFileError(path, f"has more than {most} bytes, the most that is read")
    return content


def read_text(path: str, most: int | None = None) -> str:
    """Reads a text in UTF-8, with a byte-order mark or not; see `read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputFileError(path, "is not a text in UTF-8") from None


# ---- JSON ----


def read_json(path: str, read_entry: Callable[[dict], Any] | None = None) -> Any:
    """Reads a JSON file; see `parse_json`."""
    return parse_json(read_bytes(path), path, read_entry)


def parse_json(
    content: str | bytes, source: str, read_entry: Callable[[dict], Any] | None = None
) -> Any:
    """Reads JSON in any encoding that JSON may have, with a byte-order mark or not.

    Keeps of every object what `read_entry` returns. NaN and infinities are read, for
    whoever checks numbers to refuse. Raises `InputFileError`, which names the `source`.
    """

    def read_pairs(pairs: Pairs) -> Any:
        entry = dict(pairs)
        if len(entry) < len(pairs):
            counts = collections.Counter(name for name, _ in pairs)
            twice = next(name for name in counts if counts[name] > 1)
            raise InputFileError(
                source, f"has the key {shown(twice)} twice in an object"
            )
        return entry if read_entry is None else read_entry(entry)

    try:
        if isinstance(content, bytes):
            # The bytes are not kept beside the text.
            content = content.decode(json.detect_encoding(content), "surrogatepass")
        return json.loads(content, object_pairs_hook=read_pairs)
    except InputFileError:
        raise
    except UnicodeDecodeError:
        reason = "it is not text in UTF-8"
    except json.JSONDecodeError as error:
        reason = one_line(error)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:  # Python reads no more.
        reason = "it has a whole number of more than 4300 digits"
    except MemoryError:
        raise InputFileError(source, "does not fit into memory", TOO_LARGE) from None
    raise InputFileError(source, f"is not valid JSON: {reason}")


# ---- YAML ----


def read_yaml(path: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Reads a YAML file; see `parse_yaml`."""
    return parse_yaml(read_bytes(path, LARGEST_YAML), path, loader)


def parse_yaml(
    content: str | bytes, source: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader
) -> Any:
    """Reads a YAML document of plain values, in UTF-8, or in UTF-16 with its mark.

    Keys are values, and none is there twice; aliases stand for what they could as well
    repeat. Raises `InputFileError`, which names the `source`.
    """
    try:
        reader = loader(content)
        node = reader.get_single_node()
        if node is None:
            return None
        _Checked(reader).size(node)
        return reader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems = filter(None, (error.context, error.problem))
        reason = where + ", ".join(map(one_line, problems))
    except RecursionError:
        reason = f"it is nested more than {_DEEPEST_YAML} levels deep"
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        reason = one_line(error)
    raise InputFileError(source, f"is not valid YAML: {reason}")


class _Checked:
    """Looks at all nodes of a document before values are made of them."""

    def __init__(self, reader: yaml.SafeLoader):
        self._reader = reader
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}
        self._open: set[yaml.Node] = set()

    def size(self, node: yaml.Node) -> tuple[int, int]:
        """How many values and levels a node has, aliases written out.

        Raises `yaml.MarkedYAMLError` at what is refused.
        """
        if node in self._open:
            raise _refused(node, "it holds itself")
        if node not in self._sizes:
            self._open.add(node)
            self._sizes[node] = self._measure(node)
            self._open.remove(node)
        return self._sizes[node]

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
            return 1 + len(node.value) // 100, 0
        if node.tag not in _TAGS:
            raise _bad_tag(node)
        children = node.value
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            children = [child for pair in children for child in pair]
        sizes = [self.size(child) for child in children]
        values = 1 + sum(size for size, _ in sizes)
        levels = 1 + max((deep for _, deep in sizes), default=0)
        if levels > _DEEPEST_YAML:
            raise _refused(node, f"it is nested more than {_DEEPEST_YAML} levels deep")
        if values > _MOST_YAML:
            raise _refused(node, f"aliases make it more than {_MOST_YAML} values")
        return values, levels

    def _check_scalar(self, node: yaml.ScalarNode) -> None:
        found = self._reader.resolve(yaml.ScalarNode, node.value, (True, False))
        if node.tag not in _TAGS and node.tag != found:
            raise _bad_tag(node)
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise _refused(node, f"a number has {len(node.value)} digits")


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuses keys that are no plain values, or the same, where PyYAML keeps one."""
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused(key, "a key must be a plain text or number")
        if key.value in seen:
            raise _refused(key, f"the key {shown(key.value)} is given twice")
        seen.add(key.value)


def _bad_tag(node: yaml.Node) -> yaml.MarkedYAMLError:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    return _refused(node, f"the tag {shown(tag)} is not read here")


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
