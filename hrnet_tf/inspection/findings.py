"""What looks wrong in a data set: counted by kind, with the first or worst of each."""

import collections
import dataclasses
import itertools
from typing import Any


@dataclasses.dataclass(frozen=True)
class Place:
    """Where something was found.

    Attributes:
        position: The image's place in the source, from 0.
        name: The image's file name.
        image_id: Its id, or None where images have none.
    """

    position: int
    name: str
    image_id: int | None = None

    def __str__(self) -> str:
        number = "" if self.image_id is None else f" (image {self.image_id})"
        return f"{self.name}{number}"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    Attributes:
        sentence: Says what, and where.
        place: The image; None if it concerns the whole data set.
        annotation_id: The annotation; None if it concerns the whole image.
        note: What, in a few words, for a picture's caption.
        score: How wrong it looks.
    """

    sentence: str
    place: Place | None = None
    annotation_id: int | None = None
    note: str = ""
    score: float = 0.0

    @property
    def caption(self) -> str:
        """For the picture of it."""
        if self.annotation_id is None or self.place is None:
            return f"{self.place.name if self.place else ''}: {self.note}"
        return f"{self.annotation_id}: {self.note} ({self.place.image_id})"

    def as_json(self) -> dict[str, Any]:
        """For a report that programs read."""
        content: dict[str, Any] = {"text": self.sentence}
        if self.place is not None:
            content |= {"file": self.place.name, "image_id": self.place.image_id}
        if self.annotation_id is not None:
            content["annotation_id"] = self.annotation_id
        if self.score:
            content["score"] = round(self.score, 2)
        return content


class Findings:
    """Counts findings of each kind and keeps `most` of those with the highest score."""

    def __init__(self, most: int):
        """Starts without any."""
        self.counts: collections.Counter[str] = collections.Counter()
        self._most = most
        self._kept: dict[str, list[Finding]] = {}

    def add(self, kind: str, finding: Finding) -> None:
        """Counts one; of equal scores the first are kept."""
        self.counts[kind] += 1
        kept = self._kept.setdefault(kind, [])
        kept.append(finding)
        if len(kept) > 2 * self._most + 8:
            self._kept[kind] = self.kept(kind)

    def kept(self, kind: str) -> list[Finding]:
        """The worst ones of a kind, worst first."""
        found = sorted(self._kept.get(kind, ()), key=lambda finding: -finding.score)
        return found[: self._most]

    def drawable(self, most: int) -> list[Finding]:
        """Findings about annotations of images, of each kind as many as can be."""
        kinds = [
            [finding for finding in self.kept(kind) if finding.note and finding.place]
            for kind in self.counts
        ]
        turns = itertools.zip_longest(*kinds)
        found = [finding for turn in turns for finding in turn if finding]
        return found[:most]
