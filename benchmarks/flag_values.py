"""The benchmarks' flags: what all have, and what kinds of values there are.

What cannot be used is refused before anything is measured.
"""

import argparse
import contextlib
import os
import re
from collections.abc import Callable, Iterable


def parser(description: str | None, rounds: int | None) -> argparse.ArgumentParser:
    """A script's flags, with those that all have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--rounds",
        type=count,
        default=rounds,
        help="how often each takes its turn; %(default)s if not given",
    )
    made.add_argument("--cores", type=count, help="to keep all to; all if not given")
    made.add_argument("--json", type=new_file, help="file for the numbers")
    return made


def new_file(text: str) -> str:
    """A flag's value that is a file to write: better refused before than after."""
    folder = os.path.dirname(text) or "."
    if os.path.isdir(text) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} is no file that can be written.")
    return text


def existing(text: str) -> str:
    """A flag's value that is the path of a file or folder."""
    if not os.path.exists(text):
        raise argparse.ArgumentTypeError(f"there is no file or folder {text!r}.")
    return text


def count(text: str) -> int:
    """A flag's value that is a number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1.")
    return int(text)


def counts(text: str) -> list[int]:
    """A flag's value that is such numbers with commas between them."""
    return [count(part) for part in text.split(",")]


def average(text: str) -> float:
    """A flag's value that is an average of numbers from 1."""
    with contextlib.suppress(ValueError):
        if 1 <= float(text) <= 100:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100.")


def averages(text: str) -> list[float]:
    """A flag's value that is such averages with commas between them."""
    return [average(part) for part in text.split(",")]


def pattern(text: str) -> str:
    """A flag's value that is a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no regular expression: {error}."
        ) from None
    return text


def size(text: str) -> list[int]:
    """A flag's value that is HEIGHTxWIDTH, as HRNet takes it."""
    sides = [int(side) if side.isdecimal() else 0 for side in text.split("x")]
    if len(sides) != 2 or any(side % 32 or not side for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HEIGHTxWIDTH, such as 256x192, in multiples of 32."
        )
    return sides


def some_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """A flag's value that is some of these names with commas between them."""

    def chosen(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(names):
            raise argparse.ArgumentTypeError(
                f"{', '.join(sorted(unknown))} is none of {', '.join(names)}."
            )
        return text.split(",")

    return chosen
