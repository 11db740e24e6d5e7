"""The report: sections of counts, distributions and a table, as text and as JSON."""

import array
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hrnet_tf.inspection.findings import Finding, Findings

PERCENTILES = {
    "least": 0,
    "5 %": 5,
    "25 %": 25,
    "median": 50,
    "75 %": 75,
    "95 %": 95,
    "most": 100,
}
_WIDTH = 9  # of a column


class Distribution:
    """Numbers of which only their spread is told; four bytes of memory for each."""

    def __init__(self) -> None:
        """Starts without any."""
        self._values = array.array("f")

    def add(self, values: Iterable[float] | np.ndarray) -> None:
        """Takes more numbers."""
        self._values.frombytes(np.asarray(values, np.float32).tobytes())

    def as_json(self) -> dict[str, float]:
        """How many there are, and percentiles of them by name."""
        values = np.frombuffer(self._values, np.float32) if self._values else None
        if values is None:
            return {"count": 0}
        numbers = np.percentile(values, list(PERCENTILES.values()))
        spread = dict(zip(PERCENTILES, map(_rounded, numbers), strict=True))
        return {"count": len(values), **spread}


def _rounded(number: float) -> float:
    """Four digits, and no fewer than before the point."""
    return float(f"{number:.4g}") if abs(number) < 1000 else float(round(number))


@dataclasses.dataclass
class Section:
    """A part of the report.

    Attributes:
        title: What it is about.
        counts: Numbers by what they count.
        distributions: By what they measure.
        table: Rows by name, each with the same columns.
        notes: Sentences.
    """

    title: str
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    distributions: Mapping[str, Distribution] = dataclasses.field(default_factory=dict)
    table: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything that it has."""
        content = {
            "counts": dict(self.counts),
            "distributions": {
                name: numbers.as_json() for name, numbers in self.distributions.items()
            },
            "table": {name: dict(row) for name, row in self.table.items()},
            "notes": self.notes,
        }
        return {key: value for key, value in content.items() if value}

    def lines(self) -> list[str]:
        """For people to read."""
        lines = [self.title]
        lines += [f"{count:>9}  {what}" for what, count in self.counts.items()]
        spreads = {
            name: numbers.as_json() for name, numbers in self.distributions.items()
        }
        lines += _table({name: row for name, row in spreads.items() if row["count"]})
        lines += _table(self.table)
        return [*lines, *(f"  {note}" for note in self.notes)]


@dataclasses.dataclass(frozen=True)
class Report:
    """What an inspection says about a data set."""

    kind: str  # pose, segmentation or detection
    source: str
    sections: list[Section]
    findings: Findings
    num_examples: int  # of each kind of finding

    def as_json(self) -> dict[str, Any]:
        """For programs; the same numbers as `__str__`."""
        return {
            "kind": self.kind,
            "source": self.source,
            **{section.title: section.as_json() for section in self.sections},
            "findings": {
                kind: {
                    "count": count,
                    "examples": [found.as_json() for found in self._examples(kind)],
                }
                for kind, count in self.findings.counts.items()
            },
        }

    def __str__(self) -> str:
        blocks = [[f"{self.source}: {self.kind}"]]
        blocks += [section.lines() for section in self.sections]
        blocks.append(self._finding_lines())
        return "\n\n".join("\n".join(lines) for lines in blocks)

    def _examples(self, kind: str) -> list[Finding]:
        return self.findings.kept(kind)[: self.num_examples]

    def _finding_lines(self) -> list[str]:
        if not self.findings.counts:
            return ["Nothing looks wrong."]
        lines = ["what looks wrong"]
        for kind, count in self.findings.counts.items():
            examples = self._examples(kind)
            lines.append(f"{count:>9}  {kind}")
            lines += [f"             {finding.sentence}" for finding in examples]
            if count > len(examples):
                lines.append(f"             and {count - len(examples)} more")
        return lines


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a table whose columns are the keys of the rows."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    if not columns:
        return []
    widths = [max(_WIDTH, len(column) + 2) for column in columns]
    first = max(map(len, rows)) + 2
    lines = [" " * first + "".join(map(str.rjust, columns, widths))]
    for name, row in rows.items():
        cells = [
            _shown(row.get(column)).rjust(width)
            for column, width in zip(columns, widths, strict=True)
        ]
        lines.append("  " + name.ljust(first - 2) + "".join(cells))
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.4g}"
        if isinstance(value, float) and value < 1000
        else (f"{value:.0f}" if isinstance(value, float) else str(value))
    )
