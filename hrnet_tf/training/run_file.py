"""run.json, beside a run's params.yaml: what it does not say about the model.

It names the run's experiment and, for a detector, the categories by their ids.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hrnet_tf import __version__
from hrnet_tf.input_files import read_json
from hrnet_tf.messages import one_line
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.training.run_files import write_json

RUN_FILE = "run.json"


@dataclasses.dataclass(frozen=True)
class RunFile:
    """What run.json says."""

    experiment: str
    categories: Mapping[int, str] = dataclasses.field(default_factory=dict)


def write(model_dir: str, run: RunFile) -> None:
    """Writes a run's file."""
    content: dict[str, Any] = {
        "experiment": run.experiment,
        "hrnet_tf_version": __version__,
    }
    if run.categories:
        content["categories"] = {
            str(key): run.categories[key] for key in run.categories
        }
    write_json(os.path.join(model_dir, RUN_FILE), content)


def read(model_dir: str) -> RunFile | None:
    """Reads a run's file; None for older runs. Raises `ConfigError`."""
    path = os.path.join(model_dir, RUN_FILE)
    if not tf.io.gfile.exists(path):
        return None
    try:
        content = read_json(path)
        experiment = content["experiment"]
        categories = {int(k): v for k, v in content.get("categories", {}).items()}
        if not all(
            isinstance(text, str) for text in (experiment, *categories.values())
        ):
            raise TypeError("the experiment or a category is not a text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must be a JSON file that names the run's experiment, as training "
            f'writes it: {{"experiment": "hrnet_pose_coco"}} ({one_line(error)}). '
            "Correct it, or delete it and name the experiment with --experiment."
        ) from error
    return RunFile(experiment, categories)


def read_of_model(model_dir: str | None, checkpoint: str | None) -> RunFile | None:
    """The file of a run, or of the run that a checkpoint, perhaps its best, is of."""
    folder = os.path.dirname(checkpoint or "")
    folders = [model_dir, folder, os.path.dirname(folder)] if folder else [model_dir]
    found = (read(name) for name in folders if name)
    return next((run for run in found if run is not None), None)
