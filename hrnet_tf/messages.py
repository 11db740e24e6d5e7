"""Sentences for the user: the one kind of error that carries them, and their pieces."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Longest quotation in a message, in characters.
_LONGEST = 80


class UserError(ValueError):
    """Something the user can mend; the message says what is wrong and what to do.

    Every command prints the message, without a traceback, and ends with exit code 1.
    """

    def __init__(self, message: str):
        super().__init__(message)
        # The text of what passes through gin, as in the Garden's trainer, gets longer.
        self.message = message


def did_you_mean(received: Any, allowed: Iterable[Any]) -> str:
    """Returns " (did you mean ...?)" if an allowed text is much like `received`."""
    texts = {text.lower(): text for text in allowed if isinstance(text, str)}
    close = difflib.get_close_matches(str(received).lower(), texts, n=1)
    return f" (did you mean {shown(texts[close[0]])}?)" if close else ""


def shown(value: Any, none: str = "null") -> str:
    """A value of YAML or JSON as a message quotes it: on one line, not too long."""
    if value is None:
        return none
    try:
        text = json.dumps(value) if isinstance(value, bool) else repr(value)
    except RecursionError:
        return "a deeply nested value"
    except ValueError:  # Python writes no more than 4300 digits.
        return "a number of thousands of digits"
    return shortened(text, _LONGEST)


def shortened(text: str, most: int) -> str:
    """A text, or its beginning, of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown_at(key: str, entry: Mapping[str, Any]) -> str:
    """The value at a key of a JSON object, as `shown`; "missing" without the key."""
    return shown(entry[key]) if key in entry else "missing"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def numbered(names: Mapping[int, str]) -> str:
    """Names with their numbers: "1 (person), 2 (bicycle)"."""
    return ", ".join(f"{number} ({name})" for number, name in names.items())


def one_line(error: object) -> str:
    """A message of another library on one line."""
    return " ".join(str(error).split())
