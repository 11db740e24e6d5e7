"""The recipes that come with the package, by name: `pose/coco_w32_256x192`.

They are the YAML files of `configs/`: in a checkout a link leads there, and installed
packages hold copies.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import hrnet_tf

_FOLDER = Path(hrnet_tf.__file__).with_name("presets")


def presets() -> Mapping[str, str]:
    """The path of each preset by its name: that of its file, without `.yaml`."""
    return {
        path.relative_to(_FOLDER).with_suffix("").as_posix(): str(path)
        for path in sorted(_FOLDER.glob("*/*.yaml"))
    }


def resolve(path: str) -> str:
    """The file that a path or the name of a preset means; a file of one's own first.

    Commands of the documentation, which name `configs/pose/....yaml`, mean the preset
    where there is no checkout.
    """
    if os.path.exists(path):
        return path
    name = path.removeprefix("configs/").removesuffix(".yaml")
    return presets().get(name, path)
