"""The walk through a data set of any kind."""

import abc
import dataclasses
from typing import Any, Generic, TypeVar

import numpy as np

from hrnet_tf.data.files.images import DEFAULT_RULES, ImageRules
from hrnet_tf.inspection.findings import Finding, Findings
from hrnet_tf.inspection.report import Report, Section
from hrnet_tf.inspection.samples import ImageStatistics, Sample, Source

Content = TypeVar("Content")

SHEET, DOUBTFUL = "sheet.png", "doubtful.png"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the flags of `hrnet_tf.data.inspect` of the same names say."""

    records: str | None = None
    annotations: str | None = None
    image_dir: str = ""
    category: str | None = None
    area_from: str | None = None
    include_masks: bool = True
    rules: ImageRules = DEFAULT_RULES
    skeleton: str | None = None
    label_set: str | None = None
    experiment: str | None = None
    config_file: tuple[str, ...] = ()
    params_override: tuple[str, ...] = ()
    num_examples: int = 10
    num_rows: int = 8
    num_augmented: int = 5
    num_doubtful: int = 24
    seed: int = 0

    @property
    def has_configuration(self) -> bool:
        """Whether a configuration is given."""
        return bool(self.experiment or self.config_file or self.params_override)


class Inspection(abc.ABC, Generic[Content]):
    """What is done with the images of one kind of data.

    Attributes:
        kind: pose, segmentation or detection.
        source: The images.
        findings: What looks wrong.
    """

    kind: str
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
    def draw_doubtful(
        self, samples: list[Sample[Content]], findings: list[Finding]
    ) -> np.ndarray:
        """A cell for each finding, with the sample that it is about."""

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
        usable = [pair for pair in pairs if pair[0].encoded is not None]
        if not usable:
            return None
        return self.draw_doubtful([s for s, _ in usable], [f for _, f in usable])
