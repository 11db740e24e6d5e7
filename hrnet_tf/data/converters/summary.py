"""What a converter did, as it is printed at the end."""

import dataclasses
import os
from collections.abc import Collection, Mapping


@dataclasses.dataclass(kw_only=True)
class ConversionSummary:
    """What a converter did; each kind of converter adds what it counts.

    Attributes:
        images: How many images were written.
        skipped: How many items were left out, by kind of fault.
        faults: A sentence about each of them.
        warnings: Sentences about what looks odd but was used.
        files: The files written.
    """

    images: int
    skipped: dict[str, int]
    faults: list[str]
    files: list[str]
    warnings: list[str] = dataclasses.field(default_factory=list)

    def lines(self, counts: Mapping[str, int], always: Collection[str]) -> list[str]:
        """Returns a line per count, zeros only if `always`, and one about the files."""
        counts = {
            "images": self.images,
            **counts,
            **{f"skipped: {kind}": n for kind, n in sorted(self.skipped.items())},
        }
        told = {what: n for what, n in counts.items() if n or what in always}
        files = self.files[0]
        if len(self.files) > 1:
            files += f" ... {os.path.basename(self.files[-1])}"
        told[f"files written: {files}"] = len(self.files)
        return [f"{count:>9}  {what}" for what, count in told.items()]
