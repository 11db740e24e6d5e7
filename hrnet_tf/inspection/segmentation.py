"""Inspects images with a class for every pixel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hrnet_tf import visualization
from hrnet_tf.configs.segmentation import SegmentationTask
from hrnet_tf.data.inputs.draws import with_seeds
from hrnet_tf.data.inputs.segmentation import SegmentationInput
from hrnet_tf.data.records import segmentation as records
from hrnet_tf.data.vocabularies.label_sets import (
    IGNORE,
    LabelSet,
    label_set_from_spec,
    load_label_set,
)
from hrnet_tf.inspection import sheets
from hrnet_tf.inspection.configuration import read_task
from hrnet_tf.inspection.findings import Finding
from hrnet_tf.inspection.inspection import Inspection
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.report import Distribution, Section
from hrnet_tf.inspection.samples import (
    Records,
    Sample,
)
from hrnet_tf.inspection.sampling import Reservoir
from hrnet_tf.inspection.sequences import read_each
from hrnet_tf.messages import UserError
from hrnet_tf.training.validation import segmentation as validation

WITHOUT_CLASS = "pixels with a number that is no class"
MOSTLY_IGNORED = "image of which more than nine tenths are not learned"
MISSING_CLASS = "class without a pixel"

_MOSTLY = 0.9
_CELL_HEIGHT = 256


class RecordedLabels(Records[np.ndarray]):
    """Records of the segmentation converters, or the Garden's; labels uint8 [H, W]."""

    size_from = "its labels have"

    def __init__(self, pattern: str, num_classes: int):
        """Reads nothing yet. The labels count so many classes."""
        super().__init__(pattern)
        self._num_classes = num_classes

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = records.parse_image_record(serialized, self._num_classes)
        labels = tf.io.decode_image(
            record["labels_encoded"], channels=1, expand_animations=False
        )
        return {"encoded": record["encoded"], "labels": labels[..., 0]}

    def fill(
        self, sample: Sample[np.ndarray], record: Mapping[str, Any], serialized: bytes
    ) -> None:
        del serialized
        sample.content, sample.size = record["labels"], record["labels"].shape


class SegmentationInspection(Inspection[np.ndarray]):
    """Shares of the classes, and crops with the labels laid over them."""

    kind = "segmentation"
    doubtful_size = _CELL_HEIGHT, round(1.4 * _CELL_HEIGHT)

    def __init__(self, options: Options, num_stored: int):
        """Finds the records, which say that they count `num_stored` classes, or 0."""
        super().__init__(options)
        self._task: SegmentationTask = read_task(
            options,
            (SegmentationTask,),
            "hrnet_seg_custom",
            validation.mistakes,
            self.kind,
        )
        self._drops_background = False
        if options.label_set or options.has_configuration:
            self._label_set = load_label_set(options.label_set or self._task.label_set)
            self._drops_background = (
                self._task.drop_background and options.label_set is None
            )
        else:
            self._label_set = _without_names(num_stored or IGNORE)
        background = ("background, not learned",) * self._drops_background
        self._names = (*background, *self._label_set.classes)
        if num_stored not in (0, len(self._names)):
            raise UserError(
                f"--records={options.records}: the labels count {num_stored} classes, "
                f"and the label set {self._label_set.name} {len(self._names)}: give "
                "the one that the records were converted with, --label_set=..."
            )
        self.source = RecordedLabels(options.records or "", len(self._names))
        self._pixels = np.zeros(IGNORE + 1, np.int64)
        self._images = np.zeros(IGNORE + 1, np.int64)
        self._ignored_shares = Distribution()
        self._chosen: Reservoir[Sample[np.ndarray]] = Reservoir(
            options.num_rows, options.seed
        )
        self._empty = 0

    def add(self, sample: Sample[np.ndarray], content: np.ndarray) -> None:
        counts = np.bincount(content.ravel(), minlength=IGNORE + 1)
        self._pixels += counts
        self._images += counts > 0
        place = sample.place
        unknown = np.flatnonzero(counts[len(self._names) : IGNORE])
        if len(unknown):
            number = int(unknown[0]) + len(self._names)
            told = f"{place}: {counts[number]} pixels have the number {number}."
            self.findings.add(WITHOUT_CLASS, Finding(told, place, note="no class"))
        learned = counts[int(self._drops_background) : len(self._names)].sum()
        share = 1 - learned / content.size
        self._ignored_shares.add([100 * share])
        self._empty += not learned
        if share > _MOSTLY:
            told = f"{place}: {100 * share:.1f} % of the pixels."
            finding = Finding(told, place, note="not learned", score=float(share))
            self.findings.add(MOSTLY_IGNORED, finding)
        if sample.encoded is not None and not len(unknown):
            self._chosen.offer(sample)

    def sections(self) -> list[Section]:
        total = max(int(self._pixels.sum()), 1)
        for number, name in enumerate(self._names):
            if not self._pixels[number]:
                self.findings.add(MISSING_CLASS, Finding(f"{number}, {name}."))
        numbers = [number for number in range(IGNORE) if self._has_row(number)]
        table = {
            f"{number} {self._name(number)}": {
                "% of pixels": float(round(100 * self._pixels[number] / total, 4)),
                "images": int(self._images[number]),
            }
            for number in [*numbers, IGNORE]
        }
        spread = {"% of an image that is not learned": self._ignored_shares}
        return [Section("classes", distributions=spread, table=table)]

    def _has_row(self, number: int) -> bool:
        return number < len(self._names) or bool(self._pixels[number])

    def _name(self, number: int) -> str:
        if number == IGNORE:
            return "(ignored)"
        return self._names[number] if number < len(self._names) else "(no class)"

    @property
    def empty_images(self) -> tuple[str, int]:
        return "without a pixel that is learned", self._empty

    def draw_sheet(self) -> np.ndarray | None:
        chosen = self._chosen.kept()
        if not chosen:
            return None
        rows = [
            sheets.row_of_sample(sample.place.name, self._draw(sample), augmented)
            for sample, augmented in zip(chosen, self._augment(chosen), strict=True)
        ]
        height, width = self._task.train_data.crop_size
        cell_size = _CELL_HEIGHT, round(_CELL_HEIGHT * width / height)
        return sheets.draw_rows([*rows, [("classes", self._legend())]], cell_size)

    def _augment(self, chosen: list[Sample[np.ndarray]]) -> list[list[np.ndarray]]:
        """Crops of each image, with its labels."""
        segmentation_input = SegmentationInput(
            self._task.train_data,
            self._task.resizing,
            self._label_set,
            self._drops_background,
        )
        encoded = [
            records.encode_image_record(
                sample.encoded or b"",
                sample.place.name,
                np.zeros(sample.size, np.uint8)
                if sample.content is None
                else sample.content,
                len(self._names),
            )
            for sample in chosen
        ]

        def crop(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            image, labels = segmentation_input.augment(example)
            return image, labels["masks"][..., 0]

        def read(dataset: tf.data.Dataset) -> tf.data.Dataset:
            return with_seeds(dataset.map(segmentation_input.decode)).map(crop)

        options = self.options
        crops = read_each(encoded, options.num_augmented, options.seed, read)
        return [
            [
                visualization.draw_labels(image, labels, self._label_set)
                for image, labels in of_one
            ]
            for of_one in crops
        ]

    def _draw(self, sample: Sample[np.ndarray]) -> np.ndarray:
        """The image as stored with its labels."""
        image = sample.pixels()
        labels = np.asarray(sample.content, np.int64) - self._drops_background
        return visualization.draw_labels(image, labels, self._label_set)

    def _legend(self) -> np.ndarray:
        """A cell with the classes' names and colours alone."""
        empty = np.zeros((_CELL_HEIGHT, 1, 3), np.uint8)
        nothing = np.full(empty.shape[:2], IGNORE)
        classes = range(min(self._label_set.num_classes, IGNORE))
        return visualization.draw_labels(empty, nothing, self._label_set, 0.0, classes)

    def draw_finding(self, sample: Sample[np.ndarray], finding: Finding) -> np.ndarray:
        return self._draw(sample)


def _without_names(count: int) -> LabelSet:
    names = [f"class {number}" for number in range(count)]
    spec = {"name": "without names", "classes": names, "flip_pairs": []}
    return label_set_from_spec(spec, "of the data")
