"""How the result of an evaluation is shown: as a table, and as metrics.json."""

import dataclasses
from collections.abc import Callable, Mapping


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Lists metrics by name, one per line, with the values in a column."""
    width = max(map(len, metrics), default=0)
    return "\n".join(
        f"{name:<{width}}  {metrics[name]:.5g}" for name in sorted(metrics)
    )


@dataclasses.dataclass(frozen=True)
class Report:
    """What belongs beside the metrics of one model on one data set.

    Attributes:
        data: What the model is evaluated on, for the table's heading.
        format_table: Lays the metrics out as text.
        facts: What metrics.json says besides the metrics and the step.
        categories: Names of a detector's classes by their ids, for run.json.
        explain: What is printed below the table, of the evaluation that it is of; "" if
            nothing is.
    """

    data: str
    format_table: Callable[[Mapping[str, float]], str] = format_metrics
    facts: Mapping[str, str | bool | list[int]] = dataclasses.field(
        default_factory=dict
    )
    categories: Mapping[int, str] = dataclasses.field(default_factory=dict)
    explain: Callable[[], str] = str
