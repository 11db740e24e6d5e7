"""Compares the values of a configuration with the types of their fields.

The Garden checks no types. A text in place of a number fails hours later, or never.
"""

import math
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from official.modeling import hyperparams

from hrnet_tf.messages import did_you_mean, shown
from hrnet_tf.value_types import UNIONS, described, fits, is_section_type, keys


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


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _spelling_advice(value: Any, annotation: Any) -> str:
    """How to write a value that YAML took for another type, as '; write ...'."""
    is_union = typing.get_origin(annotation) in UNIONS
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
    return "a section" if is_section_type(type(value)) else shown(value)
