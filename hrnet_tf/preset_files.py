"""The recipes that come with the package, by name: `pose/coco_w32_256x192`.

They are the files of `configs/`: in a checkout a link leads there, and installed
packages hold copies.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).with_name("presets")

# What begins a skeleton file or a label set of one's own, which no run can begin with.
_EXAMPLE = "_example"
_ALIKE = 0.6  # as difflib's own measure of a close match
_MOST = 3


def presets() -> Mapping[str, str]:
    """The path of each preset by its name: that of its file, without `.yaml`."""
    return {
        name.removesuffix(".yaml"): path
        for name, path in _files().items()
        if name.endswith(".yaml") and not name.endswith(f"{_EXAMPLE}.yaml")
    }


def resolve(path: str, suffix: str = ".yaml") -> str:
    """The file that a path or the name of a preset means; a file of one's own first.

    Commands of the documentation, and recipes, which name `configs/pose/....yaml`, mean
    the package's file where there is no checkout. A folder, such as a model directory
    that is called as its preset, is no file. Names may lack their `suffix`.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        return path
    files, name = _files(), path.removeprefix("configs/")
    return files.get(name) or files.get(name + suffix) or path


def nearest(path: str) -> str:
    """What an error adds about a path that is no file and no preset."""
    name = path.removeprefix("configs/").removesuffix(".yaml").lower()
    likeness = {
        known: difflib.SequenceMatcher(None, name, known).ratio() for known in presets()
    }
    alike = [
        known
        for known in sorted(likeness, key=likeness.__getitem__, reverse=True)
        if likeness[known] >= _ALIKE or name in known
    ]
    if not name.strip() or not alike:
        return f"; {FOLDER} has the presets"
    *others, last = map(repr, alike[:_MOST])
    return f" (did you mean {', '.join(others)}{' or ' if others else ''}{last}?)"


def _files() -> dict[str, str]:
    """The package's files by folder and name: `pose/synthetic.flags`."""
    return {
        path.relative_to(FOLDER).as_posix(): str(path)
        for pattern in ("*/*.yaml", "*/*.flags")
        for path in sorted(FOLDER.glob(pattern))
    }
