"""What the descriptions of models of all tasks share."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import hrnet_tf
from hrnet_tf.data.inputs.normalization import IMAGE_MEAN, IMAGE_STD
from hrnet_tf.data.vocabularies.label_sets import LabelSetError
from hrnet_tf.data.vocabularies.skeletons import SkeletonError

FILE_NAME = "hrnet_tf.json"

# Done inside the model: for those who cut the network out of it.
NORMALIZATION = {
    "scale": 1 / 255,
    "mean": IMAGE_MEAN,
    "standard_deviation": IMAGE_STD,
}


class ModelError(ValueError):
    """No model, or none that this package has exported; the message says which."""


class Labels(NamedTuple):
    """Names of what a .tflite file puts out.

    Attributes:
        file: What the file of names is called.
        names: The names.
        output: The output that they are for.
        are_values: Whether they name the output's values; else, places on its last
            axis.
    """

    file: str
    names: Sequence[str]
    output: str
    are_values: bool = False


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """Turns what fails while a description is read into a `ModelError`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, SkeletonError, LabelSetError) as error:
        raise ModelError(
            f"{source}: its {FILE_NAME} is not what this version of hrnet_tf "
            f"({hrnet_tf.__version__}) writes ({error!r}); export the model again."
        ) from error


def model_name(task: Any) -> str:
    """The name of a task's network, e.g. w32."""
    backbone = task.model.backbone
    return getattr(backbone.get(), "model_id", backbone.type)
