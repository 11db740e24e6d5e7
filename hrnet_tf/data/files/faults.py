"""Faults of a data set: the first one ends its conversion, or all are counted."""

import collections
import dataclasses
from collections.abc import Iterable

from hrnet_tf.messages import UserError


class ConversionError(UserError):
    """Input that cannot be converted."""


class Unusable(Exception):
    """One image or annotation that cannot be used: a kind to count, a sentence."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(kind, sentence)  # as another process makes it anew
        self.kind = kind
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


@dataclasses.dataclass(frozen=True)
class EntryRef:
    """Where an entry stands in an annotation file, and its id if it has a usable one.

    Ids can be wrong or used twice, so the place counts; the id shows that the file is
    still the same.
    """

    group: str  # "images" or "annotations"
    place: int
    id: int | None


class Faults:
    """Unusable images and annotations: the first one raises, or all are counted."""

    # What a reader advises, in the words of the converters.
    area_advice = "add --area_from=box or --area_from=segmentation"

    def __init__(self, on_error: str):
        """Starts without a fault; `on_error` is "fail" or "skip"."""
        if on_error not in ("fail", "skip"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'fail' or 'skip'.")
        self._on_error = on_error
        self.counts: collections.Counter[str] = collections.Counter()
        self.sentences: list[str] = []
        self.left_out: dict[EntryRef, str] = {}  # the reason of each

    def report(self, fault: Unusable, entry: EntryRef | None = None) -> None:
        """Counts a fault; raises `ConversionError` if the first one ends everything."""
        if self._on_error == "fail":
            raise ConversionError(
                f"{fault.sentence} Nothing was written; correct it, or leave such "
                "items out with --on_error=skip."
            ) from None
        self.counts[fault.kind] += 1
        self.sentences.append(fault.sentence)
        if entry:
            self.left_out[entry] = fault.sentence

    def check_length(self, group: str, length: int) -> None:
        """Refuses a list of entries if it is too short for what is known of it."""
        return

    def leaves_out(self, entry: EntryRef) -> bool:
        """Whether an entry is to be passed over without a look at it."""
        return False

    def category_advice(self, categories: Iterable[tuple[int, str]]) -> str:
        """How to choose among categories, given by id and name."""
        names = ", ".join(name for _, name in categories) or "none"
        return (
            "choose one with --category, or several that share the skeleton with "
            f"--category=A,B or --category=all, out of: {names}."
        )
