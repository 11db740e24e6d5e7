"""Inspects images with objects in boxes."""

import collections

import numpy as np

from hrnet_tf.configs.detection import MaskRCNNTask, RetinaNetTask
from hrnet_tf.data.converters.conversion import require_folder
from hrnet_tf.data.files.coco_annotations import LARGEST_ID
from hrnet_tf.inspection import detection_sheet
from hrnet_tf.inspection.boxes import BoxStatistics, find_doubtful_boxes
from hrnet_tf.inspection.configuration import read_task
from hrnet_tf.inspection.detection_sources import (
    AnnotatedObjects,
    Objects,
    RecordedObjects,
)
from hrnet_tf.inspection.findings import Finding
from hrnet_tf.inspection.inspection import Inspection, Options
from hrnet_tf.inspection.report import Distribution, Section
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sampling import Reservoir
from hrnet_tf.training.validation import detection as validation

BACKGROUND = "object of a category below 1, which detectors keep for the background"
BEYOND_MODEL = "object of a category that task.model.num_classes does not count"


class DetectionInspection(Inspection[Objects]):
    """Counts by category, and images with boxes."""

    kind = "detection"

    def __init__(self, options: Options):
        """Reads the annotations, or finds the records."""
        super().__init__(options)
        self._task: MaskRCNNTask | RetinaNetTask = read_task(
            options,
            (MaskRCNNTask, RetinaNetTask),
            "hrnet_fasterrcnn_coco",
            validation.mistakes,
            self.kind,
        )
        self.source: AnnotatedObjects | RecordedObjects
        if options.records:
            self.source = RecordedObjects(options.records)
        else:
            require_folder(options.image_dir, "image folder")
            self.source = AnnotatedObjects(
                options.annotations or "",
                options.image_dir,
                self.findings,
                options.include_masks,
                options.area_from,
                options.rules,
            )
        # Without a configuration, the model is one for these data.
        self._limit = LARGEST_ID
        if options.has_configuration:
            self._limit = self._task.model.num_classes
        self._boxes = BoxStatistics()
        self._per_image = Distribution()
        self._names: dict[int, str] = {}
        self._objects: collections.Counter[int] = collections.Counter()
        self._images: collections.Counter[int] = collections.Counter()
        self._crowds: collections.Counter[int] = collections.Counter()
        self._empty = 0
        self._chosen: Reservoir[Sample[Objects]] = Reservoir(
            options.num_rows, options.seed
        )

    def add(self, sample: Sample[Objects], content: Objects) -> None:
        count = len(content.boxes)
        self._per_image.add([count])
        self._empty += not count
        self._names |= content.names
        categories = content.categories.tolist()
        self._objects.update(categories)
        self._images.update(set(categories))
        self._crowds.update(content.categories[content.iscrowd].tolist())
        plain = ~content.iscrowd
        self._boxes.add(content.boxes[plain], content.areas[plain], sample.size)
        find_doubtful_boxes(
            self.findings,
            sample.place,
            content.boxes,
            content.areas,
            np.where(plain, content.categories, -1),
            [*content.numbers],
        )
        is_unlearned = (content.categories < 1) | (content.categories >= self._limit)
        self._find_unlearned(sample, content, is_unlearned)
        # Training refuses records with such objects, of which there is no picture then.
        if sample.encoded is not None and count and not is_unlearned.any():
            self._chosen.offer(sample)

    def _find_unlearned(
        self, sample: Sample[Objects], content: Objects, is_unlearned: np.ndarray
    ) -> None:
        """Adds objects whose categories the model does not count."""
        numbers = zip(content.numbers, content.categories, is_unlearned, strict=True)
        for number, category, is_finding in numbers:
            if is_finding:
                kind = BACKGROUND if category < 1 else BEYOND_MODEL
                told = f"{sample.place}: annotation {number} of category {category}."
                note = f"category {category}"
                self.findings.add(kind, Finding(told, sample.place, number, note))

    def sections(self) -> list[Section]:
        numbers = sorted(self._names.keys() | self._objects.keys())
        table = {
            f"{number} {self._names.get(number, '(without a name)')}": {
                "objects": self._objects[number],
                "images": self._images[number],
                "crowds": self._crowds[number],
            }
            for number in numbers
        }
        counts = {
            "objects": self._objects.total(),
            "crowds": self._crowds.total(),
            "categories": len(numbers),
            "without an object": sum(not self._objects[number] for number in numbers),
        }
        spread = {"objects per image": self._per_image}
        return [Section("objects", counts, spread, table), self._boxes.section()]

    @property
    def empty_images(self) -> tuple[str, int]:
        return "without objects", self._empty

    def draw_sheet(self) -> np.ndarray | None:
        chosen = self._chosen.kept()
        if not chosen:
            return None
        return detection_sheet.draw_training(
            chosen,
            [self.source.record(sample) for sample in chosen],
            self._task.replace(model={"num_classes": self._limit}),
            self._names,
            self.options.num_augmented,
            self.options.seed,
        )

    def draw_doubtful(
        self, samples: list[Sample[Objects]], findings: list[Finding]
    ) -> np.ndarray:
        return detection_sheet.draw_doubtful(samples, findings, self._names)
