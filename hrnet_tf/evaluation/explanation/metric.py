"""What an explanation asks of the metric whose loss it explains."""

from collections.abc import Callable, Iterable
from typing import Protocol

from hrnet_tf.evaluation.matched import MatchedPeople


class Metric(Protocol):
    """Scores predictions and people who are matched, once or after a change."""

    @property
    def name(self) -> str:
        """As tables say it."""

    @property
    def lower_is_better(self) -> bool:
        """Whether it is an error."""

    @property
    def ranks_people(self) -> bool:
        """Whether the scores of people matter."""

    def __call__(
        self, matches: MatchedPeople, image_ids: Iterable[int] | None = None
    ) -> float:
        """The metric on some images, or on all; NaN if nobody counts."""


def metric_form(metric: Metric, sign: str = "") -> Callable[[float], str]:
    """How its values are shown; errors are small, and have a digit more."""
    digits = 4 if metric.lower_is_better else 3
    return f"{{:{sign}.{digits}f}}".format
