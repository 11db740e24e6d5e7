"""What an exported model says of itself: hrnet_tf.json.

A SavedModel holds it among its assets, a .tflite file as a file attached to it. Apps in
any language can read it to label and draw what the model predicts.

A description is a dataclass. Each field says how it is stored, so that one writer and
one reader serve all kinds of models.
"""

import abc
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar, get_type_hints

import hrnet_tf
from hrnet_tf.data.inputs.normalization import IMAGE_MEAN, IMAGE_STD
from hrnet_tf.messages import UserError
from hrnet_tf.training.field_types import fits

FILE_NAME = "hrnet_tf.json"

# Done inside the model; for those who cut the network out of it.
NORMALIZATION = {
    "scale": 1 / 255,
    "mean": IMAGE_MEAN,
    "standard_deviation": IMAGE_STD,
}

_INPUT = "input"

M = TypeVar("M", bound="Metadata")


class ModelError(UserError):
    """No model, or one that this package did not export; the message says which."""


class Labels(NamedTuple):
    """Names that belong to an output of a .tflite file.

    Attributes:
        file: The name of the text file that lists them.
        names: The names.
        output: The output that they belong to.
        are_values: Whether they name the output's values; otherwise they name the
            places along its last axis.
    """

    file: str
    names: Sequence[str]
    output: str
    are_values: bool = False


def stored(
    write: Callable[[Any], Any],
    read: Callable[[Any, str], Any],
    key: str | None = None,
) -> Any:
    """A dataclass field that JSON cannot hold as it is.

    Args:
        write: Turns the field's value into JSON.
        read: Turns JSON and the model's path, for messages, into the value.
        key: The key in hrnet_tf.json, if it is not the field's name.
    """
    return dataclasses.field(metadata={"write": write, "read": read, "key": key})


def stored_input_size(**more: Any) -> Any:
    """The field for (height, width) of what the network sees, in pixels.

    The normalisation that is done inside the model stands after it.

    Args:
        **more: What else hrnet_tf.json says about the input.
    """

    def write(size: tuple[int, int]) -> dict[str, Any]:
        return {"height": size[0], "width": size[1], "colors": "RGB", **more}

    def read(values: dict[str, Any], _: str) -> tuple[int, int]:
        return values["height"], values["width"]

    return stored(write, read, _INPUT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata(abc.ABC):
    """What one needs to know to use an exported model.

    Attributes:
        task: What the model does: the name of its kind.
        version: The version of this package that exported it.
    """

    task: ClassVar[str]

    version: str = dataclasses.field(
        default=hrnet_tf.__version__, metadata={"key": "hrnet_tf_version"}
    )

    def to_dict(self) -> dict[str, Any]:
        """The content of hrnet_tf.json."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            key = field.metadata.get("key") or field.name
            value = getattr(self, field.name)
            values[key] = field.metadata.get("write", lambda same: same)(value)
            if field.name == "version":
                values["task"] = self.task
            elif key == _INPUT:
                values["normalization"] = NORMALIZATION
        return values

    def to_json(self) -> str:
        """The text of hrnet_tf.json."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls: type[M], values: Any, source: str) -> M:
        """Reads what `to_dict` returned.

        Args:
            values: The content of hrnet_tf.json.
            source: The model's path, for messages.

        Raises:
            ModelError: If it is something else.
        """
        with reading(source):
            annotations = get_type_hints(cls)
            fields = {}
            for field in dataclasses.fields(cls):
                value = values[field.metadata.get("key") or field.name]
                if read := field.metadata.get("read"):
                    value = read(value, source)
                elif not fits(value, annotations[field.name]):
                    raise TypeError(f"{field.name} is {value!r}")
                fields[field.name] = value
            return cls(**fields)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkMetadata(Metadata):
    """The description of a model with a network of its own.

    The properties are what a .tflite file says besides hrnet_tf.json, see
    `tflite_metadata`.

    Attributes:
        model: The network, e.g. w32.
        input_size: (height, width) of what the network sees, in pixels.
        description: What the model does, in a sentence.
    """

    description: ClassVar[str]

    model: str
    input_size: tuple[int, int] = stored_input_size()

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """The model's name."""

    @property
    @abc.abstractmethod
    def labels(self) -> Labels:
        """The names of what it finds."""

    @property
    @abc.abstractmethod
    def tensors(self) -> dict[str, str]:
        """Descriptions of inputs and outputs by name."""


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """Turns what fails while a description is read into a `ModelError`."""
    try:
        yield
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{source}: its {FILE_NAME} is not what this version of hrnet_tf "
            f"({hrnet_tf.__version__}) writes ({error!r}); export the model again."
        ) from error


def parse(text: str | bytes, source: str) -> dict[str, Any]:
    """Returns the content of hrnet_tf.json, which names at least a task.

    Raises:
        ModelError: If it is something else.
    """
    with reading(source):
        values = json.loads(text)
        if not isinstance(values["task"], str):
            raise TypeError("task is no text")
        return values


def model_name(task: Any) -> str:
    """The name of the network that the configuration of a task has, e.g. w32."""
    backbone = task.model.backbone
    return getattr(backbone.get(), "model_id", backbone.type)
