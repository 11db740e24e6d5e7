"""SHA-256 of exported models, by which damage and edits are noticed.

A .tflite file ends in `sha256:` and the checksum of all before it, in hexadecimal:
`head -c -64 model.tflite | sha256sum`. To a ZIP reader it is the comment of the archive
that the file ends in.

A SavedModel lists its files in assets.extra/hrnet_tf.sha256, which `sha256sum --check`
reads in the model's directory.

hrnet_tf.json says `"checksum": "sha256"`, so that a checksum that was lost is missed.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping

from hrnet_tf.input_files import names_in, open_input, read_bytes
from hrnet_tf.messages import listed
from hrnet_tf.serving.metadata import FILE_NAME, ModelError

# Where a SavedModel lists its files; TensorFlow and its servers pass over the folder.
MANIFEST = os.path.join("assets.extra", "hrnet_tf.sha256")

_PREFIX = b"sha256:"
_DIGITS = 64
# Bytes that are read at once, and of the longest list.
_BLOCK = _LARGEST_MANIFEST = 2**20
# A line of what sha256sum writes.
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_ADVICE = "copy or export it again, or take it as it is with --unverified."

# The comment of a ZIP archive, to be followed by nothing.
PLACEHOLDER = _PREFIX + b"0" * _DIGITS


def sealed(content: bytes) -> bytes:
    """The content of a file that ends in `PLACEHOLDER`, with its checksum there."""
    covered = content[:-_DIGITS]
    return covered + hashlib.sha256(covered).hexdigest().encode()


def is_sealed(content: bytes) -> bool:
    """Whether a file's content ends in a checksum, right or wrong."""
    return content[-len(PLACEHOLDER) : -_DIGITS] == _PREFIX


def check_content(content: bytes, path: str) -> None:
    """Compares the content of a file with the checksum in it.

    Raises:
        ModelError: If they differ.
    """
    if sealed(content) != content:
        raise ModelError(
            f"{path} is damaged or was edited: its SHA-256 is not the one that was "
            f"written into it; {_ADVICE}"
        )


def write_manifest(folder: str) -> None:
    """Lists the files of a SavedModel, with their checksums."""
    path = os.path.join(folder, MANIFEST)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lines = [
        f"{_digest(folder, name)}  {name}\n"
        for name in _contents(folder)
        if not os.path.isdir(os.path.join(folder, name))
    ]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def has_manifest(folder: str) -> bool:
    """Whether a SavedModel has a list of its files."""
    return os.path.isfile(os.path.join(folder, MANIFEST))


def check_readable(folder: str) -> None:
    """Raises `InputFileError` if a file of a SavedModel cannot be read, or is none."""
    for name in _contents(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            continue  # The model may be taken with it.
        open_input(path).close()


def check_folder(folder: str) -> None:
    """Compares the files of a SavedModel with the list in it.

    Raises:
        ModelError: If one is missing, was changed, or is no part of the model.
    """
    listed_files = _read_manifest(folder)
    there = set(_contents(folder))
    changed = [
        name
        for name, digest in listed_files.items()
        if name in there and _digest(folder, name) != digest
    ]
    for names, mistake in (
        ([name for name in listed_files if name not in there], "missing"),
        (changed, "damaged or edited"),
        (sorted(there - set(listed_files)), "no part of what was exported"),
    ):
        if names:
            # A damaged list may name anything.
            shown_names = [n if n.isprintable() else repr(n) for n in names]
            raise ModelError(
                f"{folder} is not as it was exported: {listed(shown_names)} "
                f"{'is' if len(names) == 1 else 'are'} {mistake}; {_ADVICE}"
            )


def fingerprint(paths: Iterable[str]) -> str:
    """One SHA-256 of all that is in the files of models, wherever these lie.

    Each path is a file, the folder of a SavedModel, or the prefix of a checkpoint,
    which may be at an address.
    """
    digest = hashlib.sha256()
    for path in paths:
        folder, prefix = os.path.split(path)
        names = [prefix]
        if os.path.isdir(path):
            folder, names = path, _contents(path)
        elif not os.path.exists(path):
            names = [n for n in names_in(folder) if n.startswith(f"{prefix}.")]
        for name in sorted(names):
            if not os.path.isdir(os.path.join(folder, name)):
                digest.update(f"{_digest(folder, name)}\n".encode())
    return digest.hexdigest()


def lost(path: str) -> ModelError:
    """The error about a model that was exported with a checksum and has none."""
    where = MANIFEST if os.path.isdir(path) else "its last bytes"
    return ModelError(
        f"{path} is damaged or was edited: the checksum in {where} is missing; "
        f"{_ADVICE}"
    )


def untold(path: str) -> ModelError:
    """The error about a model with a checksum of which its description is silent."""
    return ModelError(
        f"{path} was edited: its {FILE_NAME} does not say that it has a checksum; "
        f"{_ADVICE}"
    )


def _read_manifest(folder: str) -> Mapping[str, str]:
    path = os.path.join(folder, MANIFEST)
    text = read_bytes(path, _LARGEST_MANIFEST).decode("utf-8", "replace")
    if "\r\n" in text:
        raise ModelError(
            f"{path} has line ends as of Windows, which the export does not write: "
            f"copy the model without changing its texts; {_ADVICE}"
        )
    matches = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    digests = {match[2]: match[1] for match in matches if match}
    if not text.endswith("\n") or len(digests) < len(matches):
        raise ModelError(
            f"{folder} is damaged or was edited: {path} is no list of its files with "
            f"their SHA-256; {_ADVICE}"
        )
    return digests


def _contents(folder: str) -> list[str]:
    """The paths of all files below a folder, but for the list of them.

    Empty folders and those that are links, to anywhere, stand for themselves.
    """
    names = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        names += [os.path.join(parent, name) for name in (*files, *links)]
        if not files and not folders:
            names.append(parent)
    paths = sorted(os.path.relpath(name, folder) for name in names)
    return [path for path in paths if path != MANIFEST]


def _digest(folder: str, name: str) -> str:
    digest = hashlib.sha256()
    with open_input(os.path.join(folder, name)) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
