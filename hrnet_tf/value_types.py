"""Compares values that a file or a flag gave with the types that they are to have.

Sections of the Garden's configurations are known by what they have, not by their class:
that would need TensorFlow, which is seconds to import.
"""

import types
import typing
from collections.abc import Sequence
from typing import Any

# What YAML can write without a list or a section.
PLAIN_TYPES = (str, int, float, bool, type(None))

UNIONS = (typing.Union, types.UnionType)
_SEQUENCES = (list, tuple, Sequence)
# One value and several values of a type, as a message calls them.
_DESCRIPTIONS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("true or false", "true and false"),
    type(None): ("null", "null"),
}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a field with this annotation may hold the value."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in UNIONS:
        # Where null is allowed too, the text None was not meant as a text.
        is_null = value in ("None", "null") and type(None) in arguments
        return not is_null and any(fits(value, argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, _SEQUENCES):
        return isinstance(value, (list, tuple)) and _elements_fit(
            value, origin, arguments
        )
    if not isinstance(annotation, type) or origin is not None:
        return True
    if annotation in _DESCRIPTIONS:
        accepted = (int, float) if annotation is float else annotation
        is_bool = isinstance(value, bool)
        return isinstance(value, accepted) and (annotation is bool or not is_bool)
    if issubclass(annotation, (list, tuple)):
        return isinstance(value, (list, tuple))
    return not is_section_type(annotation) or is_section_type(type(value))


def _elements_fit(value: Sequence[Any], origin: type, arguments: Any) -> bool:
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    # Null stands for a size that is not known yet in lists like [null, null, 3].
    return all(e is None or fits(e, arguments[0]) for e in value)


def described(annotation: Any) -> str:
    """What a field may hold: 'a whole number', 'a list of texts or null'..."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in UNIONS:
        return " or ".join(described(argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, _SEQUENCES):
        _, elements = _DESCRIPTIONS.get(arguments[0], ("", "sections"))
        has_length = issubclass(origin, tuple) and Ellipsis not in arguments
        return f"a list of {f'{len(arguments)} ' if has_length else ''}{elements}"
    if is_section_type(annotation):
        names = ", ".join(keys(annotation()))
        return f"a section with the keys {names}" if names else "a section"
    return _DESCRIPTIONS.get(annotation, ("a list", ""))[0]


def is_section_type(kind: Any) -> bool:
    """Whether it is a class of the Garden's configurations."""
    return isinstance(kind, type) and hasattr(kind, "RESERVED_ATTR")


def keys(config: Any) -> list[str]:
    """The names of the fields of a configuration."""
    return [name for name in vars(config) if name not in config.RESERVED_ATTR]
