"""What a value of a configuration may be: in words, and as a test."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hrnet_tf.messages import did_you_mean, shown

# Letters: as many as a path may have. The texts of a list are measured one by one.
_LONGEST_TEXT = 4096
# No list of a configuration is longer.
_LONGEST_LIST = 10_000


@dataclasses.dataclass(frozen=True)
class Range:
    """What a value may be; of a list, each of its elements. Null is a type's business.

    Attributes:
        words: Completes "it must be"; documentation uses the same words.
        holds: Whether a value of the field's type is allowed.
        lengths: The least and the greatest number of a list's elements.
        nulls: Whether elements of a list may be null, for sizes that are not known.
        names: The allowed texts, if there are only a few.
    """

    words: str
    holds: Callable[[Any], bool]
    lengths: tuple[int, int] = (0, _LONGEST_LIST)
    nulls: bool = False
    names: tuple[Any, ...] = ()

    def of(self, least: int, most: int = _LONGEST_LIST) -> "Range":
        """The same, for lists of `least` to `most` elements."""
        return dataclasses.replace(self, lengths=(least, most))

    def or_null(self) -> "Range":
        """The same, for lists some of whose elements are null."""
        return dataclasses.replace(self, nulls=True)

    def in_any_case(self) -> "Range":
        """The same, whether texts have small or capital letters."""
        return dataclasses.replace(self, holds=lambda text: self.holds(text.lower()))

    def mistakes(self, path: str, value: Any) -> Iterator[str]:
        """Yields a sentence if the value of the key `path` is not allowed."""
        if isinstance(value, (list, tuple)):
            yield from self._list_mistakes(path, value)
        elif value is not None and not self.holds(value):
            meant = did_you_mean(value, self.names)
            yield f"{path} is {shown(value)}{meant}; it must be {self.words}."

    def _list_mistakes(self, path: str, values: Sequence[Any]) -> Iterator[str]:
        least, most = self.lengths
        if not least <= len(values) <= most:
            wanted = least if least == most else f"{least} to {most}"
            yield (
                f"{path} is {shown(values)}; it must have {wanted} elements, not "
                f"{len(values)}."
            )
            return
        known = [v for v in values if v is not None or not self.nulls]
        wrong = [v for v in known if not self.holds(v)]
        if wrong:
            yield (
                f"{path} is {shown(values)}; each of its elements must be "
                f"{self.words}, not {shown(wrong[0])}."
            )


def between(low: float, high: float, below: bool = False) -> Range:
    """Numbers from `low` to `high`, without `high` itself if `below`."""
    end = ")" if below else "]"
    return Range(
        f"in [{_number(low)}, {_number(high)}{end}",
        lambda value: (
            isinstance(value, (int, float))
            and low <= value
            and (value < high if below else value <= high)
        ),
    )


def _number(value: float) -> str:
    is_short = isinstance(value, int) and (abs(value) < 1e6 or value % 1000)
    return str(value) if is_short else f"{value:g}"


def one_of(names: Iterable[Any]) -> Range:
    """One of a few values."""
    allowed = tuple(names)
    words = ", ".join(str(name) for name in allowed if name != "")
    words += ", or empty" if "" in allowed else ""
    one = len(allowed) == 1
    return Range(
        words if one else f"one of {words}", allowed.__contains__, names=allowed
    )


def matching(pattern: str, words: str) -> Range:
    """Texts that match a regular expression as a whole."""
    compiled = re.compile(pattern)
    return Range(
        words, lambda value: isinstance(value, str) and bool(compiled.fullmatch(value))
    )


def either(first: Range, second: Range) -> Range:
    """What one of two ranges allows."""
    return Range(
        f"{first.words}, or {second.words}",
        lambda value: first.holds(value) or second.holds(value),
    )


def _compiles(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError, RecursionError, OverflowError):
        return False
    return True


REGULAR_EXPRESSION = Range("a regular expression", _compiles)


def only(value: bool, reason: str) -> Range:
    """A switch that has one position here."""
    word = "true" if value else "false"
    return Range(f"{word}: {reason}", lambda received: received is value)


ANY = Range("anything", lambda value: True)
SHARE = between(0, 1)
SHARE_BELOW_1 = between(0, 1, below=True)
SHARE_ABOVE_0 = between(1e-6, 1)
# The least number that is no nuisance to 32-bit floats, squared and divided by.
TINY = 1e-15
POSITIVE = between(TINY, 1e6)
NOT_NEGATIVE = between(0, 1e6)
# What 32-bit integers hold, which TensorFlow counts much with.
COUNT = between(0, 2**31 - 1)
SOME = between(1, 2**31 - 1)
SEED = between(0, 2**63 - 1)
CHANNELS = between(1, 65536)
LAYERS = between(0, 100)
PIXELS = between(1, 16384)
LEVEL = between(2, 8)
# TensorFlow builds names of scopes and variables with it.
NAME = matching(
    r"[A-Za-z][A-Za-z0-9_-]*",
    "a name of letters, digits, _ and - that begins with a letter",
)
IDENTIFIER = matching(
    r"[A-Za-z_][A-Za-z0-9_]*",
    "a name of letters, digits and _ that does not begin with a digit",
)


def text_mistakes(path: str, value: Any) -> Iterator[str]:
    """Checks what holds for every text: that files and protocols can hold it."""
    texts = value if isinstance(value, (list, tuple)) else [value]
    for text in texts:
        if isinstance(text, str) and not _is_plain(text):
            yield (
                f"{path} is {shown(text)}; a text must be without control characters, "
                "line breaks and halves of surrogate pairs."
            )
        elif isinstance(text, str) and len(text) > _LONGEST_TEXT:
            yield f"{path} has {len(text)} letters; {_LONGEST_TEXT} are allowed."


def _is_plain(text: str) -> bool:
    is_printable = all(ord(c) >= 32 and ord(c) != 127 for c in text)
    return is_printable and not any(0xD800 <= ord(c) < 0xE000 for c in text)


def whole_mistakes(path: str, value: Any) -> Iterator[str]:
    """Checks what holds for every whole number: that TensorFlow can hold it."""
    for number in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(number, int) and not -(2**63) <= number < 2**63:
            yield (
                f"{path} is {shown(value)}; whole numbers must be in [-2**63, 2**63)."
            )
