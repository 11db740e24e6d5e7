"""Faults of a data set: the first one ends its conversion, or all are counted."""

import collections

from hrnet_tf.messages import UserError


class ConversionError(UserError):
    """Input that cannot be converted."""


class Unusable(Exception):
    """One image or annotation that cannot be used: a kind to count, a sentence."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


class Faults:
    """Unusable images and annotations: the first one raises, or all are counted."""

    def __init__(self, on_error: str):
        """Starts without a fault; `on_error` is "fail" or "skip"."""
        if on_error not in ("fail", "skip"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'fail' or 'skip'.")
        self._on_error = on_error
        self.counts: collections.Counter[str] = collections.Counter()
        self.sentences: list[str] = []

    def report(self, fault: Unusable) -> None:
        """Counts a fault; raises `ConversionError` if the first one ends everything."""
        if self._on_error == "fail":
            raise ConversionError(
                f"{fault.sentence} Nothing was written; correct it, or leave such "
                "items out with --on_error=skip."
            ) from None
        self.counts[fault.kind] += 1
        self.sentences.append(fault.sentence)
