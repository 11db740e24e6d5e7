"""Tables of numbers, once for the terminal, the page and JSON."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def as_count(value: float) -> str:
    """A whole number with commas."""
    return f"{value:,.0f}"


def as_percent(value: float) -> str:
    """A share, with one digit behind the point."""
    return f"{100 * value:.1f} %"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of numbers with a name each.

    Attributes:
        title: What the rows are.
        columns: How the numbers of each column are shown, by the column's name.
        rows: The numbers of each row by the row's name; NaN where there is none.
        note: What the columns mean.
    """

    title: str
    columns: Mapping[str, Callable[[float], str]]
    rows: Mapping[str, Sequence[float]]
    note: str = ""

    def cells(self) -> list[list[str]]:
        """The header, then a line for each row, as text."""
        lines = [[self.title, *self.columns]]
        for name, numbers in self.rows.items():
            texts = [
                "-" if math.isnan(number) else form(number)
                for form, number in zip(self.columns.values(), numbers, strict=True)
            ]
            lines.append([name, *texts])
        return lines

    def lines(self) -> list[str]:
        """For a terminal: names on the left, numbers in columns."""
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return [
            "  ".join(
                [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
            ).rstrip()
            for row in cells
        ]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """The numbers by rows and columns; null where there is none."""
        return {
            name: {
                column: None if math.isnan(number) else number
                for column, number in zip(self.columns, numbers, strict=True)
            }
            for name, numbers in self.rows.items()
        }
