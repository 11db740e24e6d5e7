"""The walk through a data set of any kind."""

import abc
from typing import Any, Generic, TypeVar

import numpy as np

from hrnet_tf.inspection import sheets
from hrnet_tf.inspection.findings import Finding, Findings
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.report import Report, Section
from hrnet_tf.inspection.samples import ImageStatistics, Sample, Source

Content = TypeVar("Content")

SHEET, DOUBTFUL = "sheet.png", "doubtful.png"


class Inspection(abc.ABC, Generic[Content]):
    """What is done with the images of one kind of data.

    Attributes:
        kind: pose, segmentation or detection.
        source: The images.
        findings: What looks wrong.
        doubtful_size: Height and width of a finding's picture.
    """

    kind: str
    doubtful_size: tuple[int, int]
    source: Source[Content]

    def __init__(self, options: Options):
        """Starts without images."""
        self.options = options
        self.findings = Findings(max(options.num_examples, options.num_doubtful))

    @abc.abstractmethod
    def add(self, sample: Sample[Content], content: Content) -> None:
        """Takes one image."""

    @abc.abstractmethod
    def sections(self) -> list[Section]:
        """What there is to say at the end."""

    @property
    @abc.abstractmethod
    def empty_images(self) -> tuple[str, int]:
        """What images are called that have nothing, and how many there are."""

    @abc.abstractmethod
    def draw_sheet(self) -> np.ndarray | None:
        """A few samples as training sees them; None if there are none."""

    @abc.abstractmethod
    def draw_finding(self, sample: Sample[Content], finding: Finding) -> np.ndarray:
        """What a finding is about, of the sample that it names."""

    def run(self) -> Report:
        """Looks at all images."""
        images = ImageStatistics()
        for sample in self.source.samples(self.findings):
            images.add(sample, self.findings, self.options.rules.exif)
            if sample.content is not None:
                self.add(sample, sample.content)
        sections = self.sections()
        name, count = self.empty_images
        first = images.section(self.findings, {name: count})
        first.notes.extend(self.source.notes)
        return Report(
            self.kind,
            self.source.name,
            [first, *sections],
            self.findings,
            self.options.num_examples,
        )

    def pictures(self) -> dict[str, np.ndarray]:
        """Pictures by the names of their files, after `run`."""
        found = {SHEET: self.draw_sheet(), DOUBTFUL: self._doubtful()}
        return {name: picture for name, picture in found.items() if picture is not None}

    def _doubtful(self) -> np.ndarray | None:
        """A cell for each finding that can be shown; None if there are none."""
        findings = self.findings.drawable(self.options.num_doubtful)
        samples: dict[int, Sample[Any]] = {}
        if findings:
            positions = {f.place.position for f in findings if f.place}
            samples = self.source.fetch(positions)
        pairs = [
            (samples[finding.place.position], finding)
            for finding in findings
            if finding.place
        ]
        cells = [
            (finding.caption, self.draw_finding(sample, finding))
            for sample, finding in pairs
            if sample.encoded is not None
        ]
        return sheets.draw_findings(cells, self.doubtful_size) if cells else None
