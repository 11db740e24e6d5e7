"""Values that must be one of a few names, or lie in a range."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from official.modeling import hyperparams

from hrnet_tf.messages import did_you_mean

Range = tuple[str, Callable[[float], bool]]


def one_of(path: str, received: Any, allowed: Iterable[str]) -> Iterator[str]:
    """Checks that the key `path` holds one of the allowed values."""
    allowed = list(allowed)
    if received not in allowed:
        yield not_one_of(path, received, allowed)


def not_one_of(path: str, received: Any, allowed: list[str]) -> str:
    """The sentence about a value that is not allowed."""
    names = ", ".join(filter(None, allowed)) + (", or empty" if "" in allowed else "")
    return (
        f"{path} is {received!r}{did_you_mean(received, allowed)}; it must be one of "
        f"{names}."
    )


def unset_type_mistakes(path: str, one_of: hyperparams.OneOfConfig) -> Iterator[str]:
    """Checks that a section of alternatives has chosen one."""
    if one_of.type is None:
        yield f"{path}.type is null; it must name one of the keys of {path}."


# What numbers may be: in words, and as a test.
ABOVE_0: Range = ("above 0", lambda value: value > 0)
NOT_NEGATIVE: Range = ("0 or more", lambda value: value >= 0)
SHARE: Range = ("in [0, 1]", lambda value: 0 <= value <= 1)
BELOW_1: Range = ("in [0, 1)", lambda value: 0 <= value < 1)


def in_range(
    path: str, section: hyperparams.Config, allowed: Range, *names: str
) -> Iterator[str]:
    """Checks that keys of the section `path` hold numbers, or lists, in a range."""
    for name in names:
        value = getattr(section, name)
        if isinstance(value, (list, tuple)):
            if not all(map(allowed[1], value)):
                yield f"{path}.{name} is {value}; all of it must be {allowed[0]}."
        elif not allowed[1](value):
            yield f"{path}.{name} is {value}; it must be {allowed[0]}."
