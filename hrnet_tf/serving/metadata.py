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
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar, get_type_hints

import hrnet_tf
from hrnet_tf.data.inputs.normalization import IMAGE_MEAN, IMAGE_STD
from hrnet_tf.input_files import parse_json
from hrnet_tf.messages import UserError, one_line, shown
from hrnet_tf.serving.operators import Operators
from hrnet_tf.serving.tensors import Interface, Tensors, TensorType
from hrnet_tf.value_types import described, fits

FILE_NAME = "hrnet_tf.json"
MAX_BYTES = 2**24

# Done inside the model; for those who cut the network out of it.
_NORMALIZATION = {
    "scale": 1 / 255,
    "mean": IMAGE_MEAN,
    "standard_deviation": IMAGE_STD,
}

# The key that says that the model holds a checksum, see `checksums`.
CHECKSUM = "checksum"

# The last version of which some exported models have no checksum.
_NOT_ALWAYS_CHECKED = (0, 1)

_INPUT = "input"

# The names of families of networks, by the type of their backbone.
_FAMILIES = {"hrnet": "HRNet", "litehrnet": "Lite-HRNet"}

# Of what a network sees, in pixels.
_LARGEST_SIDE = 2**15

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})(\.\w+)*")

_log = logging.getLogger(__name__)

M = TypeVar("M", bound="Metadata")


class ModelError(UserError):
    """No model, or one that this package did not export; the message says which.

    Attributes:
        is_there: False if there is no file, or one that is something else altogether.
    """

    def __init__(self, message: str, is_there: bool = True):
        super().__init__(message)
        self.is_there = is_there


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
    json_type: type = dict,
    is_optional: bool = False,
) -> Any:
    """A dataclass field that JSON cannot hold as it is.

    Args:
        write: Turns the field's value into JSON.
        read: Turns JSON and the model's path, for messages, into the value.
        key: The key in hrnet_tf.json, if it is not the field's name.
        json_type: What the field is in JSON, a dict or a list.
        is_optional: Whether it may be missing, see `optional`; it is then None.
    """
    ways = {"write": write, "read": read, "key": key, "json_type": json_type}
    return optional(None, ways) if is_optional else dataclasses.field(metadata=ways)


def optional(default: Any, ways: Mapping[str, Any] | None = None) -> Any:
    """A dataclass field that earlier versions did not write.

    It is left out where it is as by default, and as by default where it is missing.
    """
    ways = {**(ways or {}), "is_optional": True}
    return dataclasses.field(default=default, metadata=ways)


def stored_section(kind: type) -> Any:
    """A dataclass field for a section of the configuration, itself a dataclass."""
    annotations = get_type_hints(kind)

    def read(values: dict[str, Any], _: str) -> Any:
        for key, value in values.items():
            if key not in annotations:
                raise ValueError(f"{shown(key)} is no key of {kind.__name__}")
            if not fits(value, annotations[key]):
                raise ValueError(
                    f"{key} is {shown(value)}; it must be {described(annotations[key])}"
                )
        return kind(**values)

    return stored(dataclasses.asdict, read)


def stored_input_size(**more: Any) -> Any:
    """The field for (height, width) of what the network sees, in pixels.

    The normalisation that is done inside the model stands after it.

    Args:
        **more: What else hrnet_tf.json says about the input.
    """

    def write(size: tuple[int, int]) -> dict[str, Any]:
        return {"height": size[0], "width": size[1], "colors": "RGB", **more}

    def read(values: dict[str, Any], _: str) -> tuple[int, int]:
        for key in ("height", "width"):
            side = values[key]
            if not fits(side, int) or not 1 <= side <= _LARGEST_SIDE:
                raise ValueError(
                    f"{_INPUT}.{key} is {shown(side)}; it must be a whole number from "
                    f"1 to {_LARGEST_SIDE}"
                )
        return values["height"], values["width"]

    return stored(write, read, _INPUT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata(abc.ABC):
    """What one needs to know to use an exported model.

    Attributes:
        task: What the model does: the name of its kind.
        version: The version of this package that exported it.
        operators: What it computes with; None of a model that is not exported yet.
    """

    task: ClassVar[str]

    version: str = dataclasses.field(
        default=hrnet_tf.__version__, metadata={"key": "hrnet_tf_version"}
    )
    operators: Operators | None = stored(
        Operators.to_dict, Operators.from_dict, is_optional=True
    )

    def to_dict(self) -> dict[str, Any]:
        """The content of hrnet_tf.json."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            key = field.metadata.get("key") or field.name
            value = getattr(self, field.name)
            if field.metadata.get("is_optional") and value == field.default:
                continue
            values[key] = field.metadata.get("write", lambda same: same)(value)
            if field.name == "version":
                values["task"] = self.task
            elif key == _INPUT:
                values["normalization"] = _NORMALIZATION
        return values

    def to_json(self) -> str:
        """The text of hrnet_tf.json."""
        return json.dumps({**self.to_dict(), CHECKSUM: "sha256"}, indent=2)

    @abc.abstractmethod
    def mistakes(self) -> Iterator[str]:
        """Yields what cannot be so in a description, without a full stop."""

    @abc.abstractmethod
    def saved_model_interface(self) -> Interface:
        """What the signatures of a SavedModel have, among others."""

    def tflite_interface(self) -> Mapping[str, TensorType]:
        """What a .tflite file has, among others; of kinds that are written as such."""
        return {}

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
            fields = {
                field.name: _read_field(field, annotations[field.name], values, source)
                for field in dataclasses.fields(cls)
            }
            metadata = cls(**fields)
            for mistake in metadata.mistakes():
                raise ValueError(mistake)
            return metadata


def _read_field(
    field: dataclasses.Field, annotation: Any, values: Any, source: str
) -> Any:
    key = field.metadata.get("key") or field.name
    if key not in values and field.metadata.get("is_optional"):
        return field.default
    value = values[key]
    read = field.metadata.get("read")
    if read is None:
        if not fits(value, annotation):
            raise ValueError(
                f"{key} is {shown(value)}; it must be {described(annotation)}"
            )
        return value
    json_type = field.metadata["json_type"]
    if not isinstance(value, json_type):
        kind = "an object" if json_type is dict else "a list"
        raise ValueError(f"{key} is {shown(value)}; it must be {kind}")
    return read(value, source)


def _read_names(values: list[Any], _: str) -> list[str]:
    if not fits(values, list[str]):
        raise ValueError(f"float_layers is {shown(values)}; it must be a list of texts")
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkMetadata(Metadata):
    """The description of a model with a network of its own.

    The properties are what a .tflite file says besides hrnet_tf.json, see
    `tflite_metadata`.

    Attributes:
        model: The network, e.g. w32.
        backbone: The type of its backbone, hrnet or litehrnet.
        input_size: (height, width) of what the network sees, in pixels.
        description: What the model does, in a sentence.
        float_layers: The layers of an 8-bit .tflite file that stay in float because 8
            bits would cost too much, by the names of their outputs; None if there are
            none.
        file_tensors: What a .tflite file takes and returns, for apps to read; None of
            anything else, and of files that earlier versions wrote.
    """

    description: ClassVar[str]

    model: str
    backbone: str = optional("hrnet")
    input_size: tuple[int, int] = stored_input_size()
    float_layers: list[str] | None = stored(
        list, _read_names, json_type=list, is_optional=True
    )
    file_tensors: Tensors | None = stored(
        Tensors.to_dict, Tensors.from_dict, "tensors", is_optional=True
    )

    @property
    def network(self) -> str:
        """The network in words, e.g. HRNet w32."""
        return f"{_FAMILIES.get(self.backbone, self.backbone)} {self.model}"

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
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = one_line(error).rstrip(".")
        if isinstance(error, KeyError):
            reason = f"{shown(error.args[0])} is missing or unknown"
        elif isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        raise ModelError(
            f"{source}: its {FILE_NAME} is not what this version of hrnet_tf "
            f"({hrnet_tf.__version__}) writes: {reason}. Export the model again."
        ) from error


def parse(text: str | bytes, source: str) -> dict[str, Any]:
    """Returns the content of hrnet_tf.json, which names at least a task.

    Raises:
        ModelError: If it is something else.
    """
    with reading(source):
        values = parse_json(text, FILE_NAME)
        if not isinstance(values, dict):
            raise ValueError(f"it holds {shown(values)}, not an object")
        for key in ("task", "hrnet_tf_version"):
            if not isinstance(values[key], str):
                raise ValueError(f"{key} is {shown(values[key])}; it must be a text")
        _check_version(values["hrnet_tf_version"], source)
        return values


def _check_version(version: str, source: str) -> None:
    """Refuses what is no version; warns of a later one."""
    match = _VERSION.fullmatch(version)
    own = _VERSION.fullmatch(hrnet_tf.__version__)
    if not match or not own:
        raise ValueError(f"hrnet_tf_version is {shown(version)}, which is no version")
    if (int(match[1]), int(match[2])) > (int(own[1]), int(own[2])):
        _log.warning(
            "%s was exported by hrnet_tf %s, which is newer than this version, %s: "
            "what it predicts may be misread.",
            *(source, version, hrnet_tf.__version__),
        )


def has_checksums(description: Mapping[str, Any]) -> bool:
    """Whether the version that exported a model writes checksums, all the time."""
    match = _VERSION.fullmatch(description["hrnet_tf_version"])
    return match is not None and (int(match[1]), int(match[2])) > _NOT_ALWAYS_CHECKED


def number_mistakes(
    names: Mapping[str, float], above: float, most: float
) -> Iterator[str]:
    """Yields which of some numbers are not above one and at most another."""
    for name, value in names.items():
        if not (above < value <= most and math.isfinite(value)):
            yield (
                f"{name} is {shown(value)}; it must be above {above:g} and at most "
                f"{most:g}"
            )


def model_name(task: Any) -> str:
    """The name of the network that the configuration of a task has, e.g. w32."""
    backbone = task.model.backbone
    return str(getattr(backbone.get(), "model_id", backbone.type))
