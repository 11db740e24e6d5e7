"""Compares the values of a configuration with the types of their fields.

The Garden checks no types. A text in place of a number fails hours later, or never.
"""

import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from official.modeling import hyperparams
from official.modeling.hyperparams import params_dict

from hrnet_tf.messages import did_you_mean, shown

# What YAML can write without a list or a section.
PLAIN_TYPES = (str, int, float, bool, type(None))

_SEQUENCES = (list, tuple, Sequence)
_UNIONS = (typing.Union, types.UnionType)
# One value and several values of a type, as a message calls them.
_DESCRIPTIONS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("true or false", "true and false"),
    type(None): ("null", "null"),
}


def type_mistakes(
    config: hyperparams.Config,
    path: str = "",
    value_mistakes: Callable[[str, Any], Iterable[str]] = lambda key_path, value: (),
) -> Iterator[str]:
    """Yields a sentence for every value that does not fit the type of its field.

    Also checks that the `type` of every `OneOfConfig` names one of its fields; only the
    chosen field is looked into. Whole numbers may stand for numbers, and lists for
    tuples. A field whose type is of an unknown kind accepts everything.
    `value_mistakes` is asked about values that fit, with their dotted paths.
    """
    annotations = typing.get_type_hints(type(config))
    names = keys(config)
    if isinstance(config, hyperparams.OneOfConfig):
        allowed = choices(config)
        if config.type is not None and config.type not in allowed:
            yield (
                f"{join(path, 'type')} is {_shown(config.type)}"
                f"{did_you_mean(config.type, allowed)}; it must be one of "
                f"{', '.join(allowed)}."
            )
            return
        names = [name for name in ("type", config.type) if name in names]
    for name in names:
        value = getattr(config, name)
        key_path = join(path, name)
        annotation = annotations.get(name, Any)
        if not fits(value, annotation):
            yield (
                f"{key_path} is {_shown(value)}; it must be {described(annotation)}"
                f"{_spelling_advice(value, annotation)}."
            )
        elif not _is_finite(value):
            yield f"{key_path} is {_shown(value)}; numbers must be finite."
        elif isinstance(value, hyperparams.Config):
            yield from type_mistakes(value, key_path, value_mistakes)
        elif sections := _sections(value):
            for place, section in enumerate(sections):
                yield from type_mistakes(
                    section, f"{key_path}[{place}]", value_mistakes
                )
        else:
            yield from value_mistakes(key_path, value)


def _sections(value: Any) -> list[hyperparams.Config]:
    """The elements of a list of sections; of another value none."""
    elements = value if isinstance(value, (list, tuple)) else []
    return [e for e in elements if isinstance(e, hyperparams.Config)]


def fits(value: Any, annotation: Any) -> bool:
    """Whether a field with this annotation may hold the value."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in _UNIONS:
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
    for kind in ((list, tuple), params_dict.ParamsDict):
        if issubclass(annotation, kind):
            return isinstance(value, kind)
    return True


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _elements_fit(value: Sequence[Any], origin: type, arguments: Any) -> bool:
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    # Null stands for a size that is not known yet in lists like [null, null, 3].
    return all(e is None or fits(e, arguments[0]) for e in value)


def described(annotation: Any) -> str:
    """What a field may hold: 'a whole number', 'a list of texts or null'..."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in _UNIONS:
        return " or ".join(described(argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, _SEQUENCES):
        _, elements = _DESCRIPTIONS.get(arguments[0], ("", "sections"))
        has_length = issubclass(origin, tuple) and Ellipsis not in arguments
        return f"a list of {f'{len(arguments)} ' if has_length else ''}{elements}"
    if isinstance(annotation, type) and issubclass(annotation, params_dict.ParamsDict):
        names = ", ".join(keys(annotation()))
        return f"a section with the keys {names}" if names else "a section"
    return _DESCRIPTIONS.get(annotation, ("a list", ""))[0]


def _spelling_advice(value: Any, annotation: Any) -> str:
    """How to write a value that YAML took for another type, as '; write ...'."""
    is_union = typing.get_origin(annotation) in _UNIONS
    allowed = typing.get_args(annotation) if is_union else (annotation,)
    if isinstance(value, (list, tuple)):
        element_types = [t for kind in allowed for t in typing.get_args(kind)][:1]
        wrong = [(v, t) for v in value for t in element_types if not fits(v, t)]
        return _spelling_advice(*wrong[0]) if wrong else ""
    text = value if isinstance(value, str) else ""
    if text in ("None", "null") and type(None) in allowed:
        return "; write null without quotes"
    if text.lower() in ("true", "false") and bool in allowed:
        return f"; write {text.lower()} without quotes"
    if isinstance(value, bool):
        advice = "; YAML reads on, off, yes and no as true and false: put it in quotes"
        return advice if str in allowed else ""
    if value is None:
        return "; write '' for none" if str in allowed else ""
    return _number_advice(value, allowed)


def _number_advice(value: Any, allowed: Sequence[Any]) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return ""
    if not math.isfinite(number):
        return ""
    if int in allowed and number.is_integer():
        return f"; write {int(number)}"
    if float in allowed:
        return f"; write {number}"
    return "; put it in quotes" if str in allowed else ""


# ---- the Garden's configurations ----


def keys(config: hyperparams.Config) -> list[str]:
    """The names of a configuration's fields."""
    return [name for name in vars(config) if name not in config.RESERVED_ATTR]


def choices(config: hyperparams.OneOfConfig) -> list[str]:
    """What the `type` of a section of alternatives may name."""
    return [name for name in keys(config) if name != "type"]


def section_type(annotation: Any) -> type[hyperparams.Config] | None:
    """The configuration class that an annotation allows, in a list too, if any."""
    if isinstance(annotation, type) and issubclass(annotation, hyperparams.Config):
        return annotation
    arguments = map(section_type, typing.get_args(annotation))
    return next(filter(None, arguments), None)


def paths(config: hyperparams.Config, path: str = "") -> Iterator[str]:
    """Dotted paths of all keys, sections included."""
    for name in keys(config):
        key_path = join(path, name)
        yield key_path
        if isinstance(value := getattr(config, name), hyperparams.Config):
            yield from paths(value, key_path)


def join(path: str, name: Any) -> str:
    """The dotted path of a key of the section `path`."""
    return f"{path}.{name}" if path else str(name)


def _shown(value: Any) -> str:
    is_section = isinstance(value, params_dict.ParamsDict)
    return "a section" if is_section else shown(value)
