"""Where an Android project keeps the models that its app opens: among its assets.

`examples/android` is such a project; its names of files are these.
"""

import os

from hrnet_tf.messages import UserError, listed

_MAIN = os.path.join("app", "src", "main")
# By the task of a model.
_NAMES = {"pose": "pose.tflite", "detection": "detector.tflite"}


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


def asset_path(folder: str, task: str) -> str:
    """The path of a model among the assets of a project.

    Args:
        folder: The project's.
        task: What the model is for.

    Raises:
        AndroidError: If the app has no use for such a model.
    """
    if task not in _NAMES:
        raise AndroidError(
            f"--android is for {listed(list(_NAMES))} models, and not for {task}: "
            "leave it out, and say with --output_dir where the file is to go."
        )
    return os.path.join(folder, _MAIN, "assets", _NAMES[task])
