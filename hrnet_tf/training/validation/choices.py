"""Values that must be one of a few names that the run itself decides about.

What holds for every run is in `ranges`.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from official.modeling import hyperparams

from hrnet_tf.messages import did_you_mean, shown


def one_of(path: str, received: Any, allowed: Iterable[str]) -> Iterator[str]:
    """Checks that the key `path` holds one of the allowed values."""
    allowed = list(allowed)
    if received not in allowed:
        yield _not_one_of(path, received, allowed)


def _not_one_of(path: str, received: Any, allowed: list[str]) -> str:
    """The sentence about a value that is not allowed."""
    names = ", ".join(filter(None, allowed)) + (", or empty" if "" in allowed else "")
    return (
        f"{path} is {shown(received)}{did_you_mean(received, allowed)}; it must be one "
        f"of {names}."
    )


def unset_type_mistakes(path: str, one_of: hyperparams.OneOfConfig) -> Iterator[str]:
    """Checks that a section of alternatives has chosen one."""
    if one_of.type is None:
        yield f"{path}.type is null; it must name one of the keys of {path}."


def above_0(path: str, section: hyperparams.Config, *names: str) -> Iterator[str]:
    """Checks numbers that may be 0 only where they are not used."""
    for name in names:
        if (value := getattr(section, name)) <= 0:
            yield f"{path}.{name} is {value}; it must be above 0."


def in_order(
    path: str,
    section: hyperparams.Config,
    low: str,
    high: str,
    strictly: bool = False,
) -> Iterator[str]:
    """Checks that of two numbers the first is not greater; if `strictly`, is less."""
    least, most = getattr(section, low), getattr(section, high)
    if least > most or (strictly and least == most):
        wanted = "be below it" if strictly else "not be above it"
        yield f"{path}.{low} is {least} and {high} {most}; {low} must {wanted}."


def share_mistakes(path: str, share: float, count: int, things: str) -> Iterator[str]:
    """Checks that a share of `count` things is not none of them."""
    if count > 0 and share * count < 1:
        least = math.ceil(1e6 / count) / 1e6
        yield (
            f"{path} is {share}, which is none of the {count} {things} of an image; it "
            f"must be at least {least:g}."
        )
