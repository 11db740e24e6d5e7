"""Values that must be one of a few names, or lie in a range."""

from collections.abc import Iterable, Iterator
from typing import Any

from official.modeling import hyperparams

from hrnet_tf.messages import did_you_mean


def choice_mistakes(path: str, received: Any, allowed: Iterable[str]) -> Iterator[str]:
    """Checks that the key `path` holds one of the allowed values."""
    allowed = list(allowed)
    if received not in allowed:
        yield not_one_of(path, received, allowed)


def not_one_of(path: str, received: Any, allowed: list[str]) -> str:
    """Returns the sentence about a value that is not allowed."""
    return (
        f"{path} is {received!r}{did_you_mean(received, allowed)}; it must be one of "
        f"{', '.join(allowed)}."
    )


def unset_type_mistakes(path: str, one_of: hyperparams.OneOfConfig) -> Iterator[str]:
    """Checks that a section of alternatives has chosen one."""
    if one_of.type is None:
        yield f"{path}.type is null; it must name one of the keys of {path}."


def share_mistakes(path: str, value: float) -> Iterator[str]:
    """Checks that the key `path` holds a probability or another share of 1."""
    if not 0 <= value <= 1:
        yield f"{path} is {value}; it must be in [0, 1]."
