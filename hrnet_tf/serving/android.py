"""Where an Android project keeps the models that its app opens: among its assets.

`examples/android` is such a project; its names of files are these.
"""

import os
from collections.abc import Mapping

from hrnet_tf.messages import UserError, listed, numbered

_MAIN = os.path.join("app", "src", "main")
# By the task of a model.
_NAMES = {"pose": "pose.tflite", "detection": "detector.tflite"}
# The class that the app looks for, unless there is but one.
_PERSON = "person"


class AndroidError(UserError):
    """A folder or a model that is of no use to an app."""


def check_project(folder: str) -> None:
    """Raises `AndroidError` if a folder is no Android project with an app."""
    manifest = os.path.join(folder, _MAIN, "AndroidManifest.xml")
    if not os.path.isfile(manifest):
        raise AndroidError(
            f"--android={folder} is no Android project: there is no {manifest}. Give "
            "examples/android or a copy of it."
        )


def asset_path(folder: str, task: str, classes: Mapping[int, str] | None = None) -> str:
    """The path of a model among the assets of a project.

    Args:
        folder: The project's.
        task: What the model is for.
        classes: A detector's, by their numbers.

    Raises:
        AndroidError: If the app has no use for such a model.
    """
    if task not in _NAMES:
        raise AndroidError(
            f"--android is for {listed(list(_NAMES))} models, and not for {task}: "
            "leave it out, and say with --output_dir where the file is to go."
        )
    if classes and len(classes) > 1 and _PERSON not in classes.values():
        raise AndroidError(
            f"--android is for detectors of people: with a class called {_PERSON}, or "
            f"with one class. This one has {numbered(classes)}; leave --android out."
        )
    return os.path.join(folder, _MAIN, "assets", _NAMES[task])
