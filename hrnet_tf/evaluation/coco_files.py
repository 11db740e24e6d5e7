"""COCO's annotation files as ground truth, read by the rules of the converters.

What a conversion with --on_error=skip left out of the records is left out here, too;
any other fault ends the evaluation before it begins.
"""

import collections
import contextlib
import dataclasses
import io
import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pycocotools.coco import COCO

from hrnet_tf.data.files.coco_annotations import id_list
from hrnet_tf.data.files.coco_objects import CocoObjects, read_coco_objects
from hrnet_tf.data.files.coco_people import CocoPeople, no_keypoints, read_coco_people
from hrnet_tf.data.files.faults import ConversionError, EntryRef, Faults, Unusable
from hrnet_tf.data.records import conversions
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.messages import UserError, numbered

ContentT = TypeVar("ContentT", CocoPeople, CocoObjects)


class AnnotationFileError(UserError):
    """The annotation file is missing or cannot serve as ground truth."""


@dataclasses.dataclass(frozen=True)
class Truth(Generic[ContentT]):
    """What predictions are compared with: the usable part of an annotation file."""

    path: str
    content: ContentT
    left_out: str  # what the conversion of the records left out, for messages
    # The categories of objects that are scored; all of them if there are none here.
    category_ids: Sequence[int] = ()

    def log(self) -> None:
        """Says what is not evaluated as the file has it."""
        logger = logging.getLogger(__name__)
        if self.left_out:
            logger.warning("%s is evaluated without %s.", self.path, self.left_out)
        if isinstance(self.content, CocoPeople):
            people = [p for some in self.content.people.values() for p in some]
            if miscounted := sum(person.was_miscounted for person in people):
                logger.warning(
                    "num_keypoints of %d of %d people in %s is not the number of "
                    "labelled keypoints; they are counted instead.",
                    miscounted,
                    len(people),
                    self.path,
                )
        elif not any(self.content.objects.values()):
            logger.warning(
                "%s has no object, so that AP is undefined: it does not measure what "
                "is found on images of nothing.",
                self.path,
            )


class _Task(Protocol):
    @property
    def truth(self) -> Truth: ...


def facts(task: _Task) -> dict[str, str | list[int]]:
    """What metrics.json says of a task's ground truth besides the name of its file."""
    try:
        truth = task.truth
    except AnnotationFileError:  # A run that only trains need not have any.
        return {}
    told: dict[str, str | list[int]] = {
        "left_out": truth.left_out,
        "category_ids": list(truth.category_ids),
    }
    return {name: value for name, value in told.items() if value}


def read_people(
    path: str,
    skeleton: Skeleton,
    category_id: int | Sequence[int] | None = None,
    area_from: str = "",
    input_path: Any = "",
) -> Truth[CocoPeople]:
    """Reads keypoint annotations (`person_keypoints_*.json`).

    `configs.pose.Evaluation` describes `category_id` and `area_from`; `input_path` are
    the records that are evaluated on. Raises `AnnotationFileError`.
    """
    with _as_ground_truth():
        conversion = conversions.find(input_path)
        category_ids = _agreed(
            "category_id", id_list(category_id), conversion.category_ids, conversion
        )
        area_from = _agreed("area_from", area_from, conversion.area_from, conversion)
        faults = RecordedFaults(conversion)
        content = read_coco_people(
            path, skeleton, category_ids or None, faults, area_from or None
        )
        if not any(p.counts for some in content.people.values() for p in some):
            without = f" It has {faults.summary}." if faults.summary else ""
            raise ConversionError(no_keypoints(path, content.category_ids) + without)
        return Truth(path, content, faults.summary)


def read_objects(
    path: str,
    with_masks: bool,
    input_path: Any = "",
    category_id: int | Sequence[int] | None = None,
) -> Truth[CocoObjects]:
    """Reads object annotations (`instances_*.json`); see `read_people`.

    `configs.detection.Evaluation` describes `category_id`.
    """
    with _as_ground_truth():
        conversion = conversions.find(input_path)
        faults = RecordedFaults(conversion)
        content = read_coco_objects(path, with_masks, faults, conversion.area_from)
        if not content.images:
            raise ConversionError(f"{path} lists no image.")
        category_ids = id_list(category_id)
        _check_categories(path, content, category_ids)
        return Truth(path, content, faults.summary, category_ids)


def _check_categories(
    path: str, objects: CocoObjects, category_ids: Sequence[int]
) -> None:
    """Refuses categories without an object: their AP would be undefined."""
    present = {found.category_id for some in objects.objects.values() for found in some}
    names = {n: name for n, name in objects.categories.items() if n in present}
    for category_id in category_ids:
        if category_id not in names:
            raise ConversionError(
                f"{path} has no object of the category {category_id} "
                "(task.evaluation.category_id); it has objects of: "
                f"{numbered(names) or 'none'}."
            )


def check_images(path: str, known: Container[int], image_ids: Iterable[int]) -> None:
    """Refuses images to evaluate on that an annotation file does not list.

    Raises `AnnotationFileError`.
    """
    unknown = [image_id for image_id in sorted(image_ids) if image_id not in known]
    if unknown:
        raise AnnotationFileError(
            f"The validation records have image {unknown[0]}, which is not in {path}: "
            "give the annotation file that they were converted from."
        )


@contextlib.contextmanager
def _as_ground_truth() -> Iterator[None]:
    try:
        yield
    except ConversionError as error:
        raise AnnotationFileError(str(error)) from None


def _agreed(
    key: str, configured: Any, recorded: Any, conversion: conversions.Conversion
) -> Any:
    """The choice of the configuration or of the conversion, which must not differ."""
    if configured and recorded and sorted(configured) != sorted(recorded):
        raise ConversionError(
            f"task.evaluation.{key} is {configured}, but the records were converted "
            f"with {recorded}, as {conversion.path} tells: leave the key out, or "
            "convert again."
        )
    return configured or recorded


class RecordedFaults(Faults):
    """Leaves out what a conversion left out; any other fault raises."""

    area_advice = (
        "convert with --area_from, or set task.evaluation.area_from to box or "
        "segmentation"
    )

    def __init__(self, conversion: conversions.Conversion):
        super().__init__("fail")
        self._conversion = conversion
        self._expected = {(e.group, e.place): e for e in conversion.left_out}
        self._found: collections.Counter[str] = collections.Counter()

    def check_length(self, group: str, length: int) -> None:
        last = max(
            (place for some, place in self._expected if some == group), default=-1
        )
        if last >= length:
            raise ConversionError(
                f"{self._conversion.path} tells that {group}[{last}] was left out, but "
                f"there are only {length} {group} here: evaluate on the file that was "
                "converted, or convert this one."
            )

    def leaves_out(self, entry: EntryRef) -> bool:
        expected = self._expected.get((entry.group, entry.place))
        if expected is None:
            return False
        if expected != entry:
            raise ConversionError(
                f"{self._conversion.path} tells that {entry.group}[{entry.place}] with "
                f"the id {expected.id} was left out, but here it has the id "
                f"{entry.id}: evaluate on the file that was converted, or convert this "
                "one."
            )
        self._found[entry.group] += 1
        return True

    def report(self, fault: Unusable, entry: EntryRef | None = None) -> None:
        raise ConversionError(
            f"{fault.sentence} The records do not tell that it was skipped: correct "
            "it and convert again, or convert with --on_error=skip."
        ) from None

    def category_advice(self, categories: Iterable[tuple[int, str]]) -> str:
        return (
            "choose with task.evaluation.category_id, a number or a list of numbers of "
            f"categories that share the skeleton, out of: "
            f"{numbered(dict(categories)) or 'none'}."
        )

    @property
    def summary(self) -> str:
        """What was left out, for messages."""
        counts = " and ".join(
            f"{count} {group if count > 1 else group.removesuffix('s')}"
            for group, count in sorted(self._found.items())
        )
        if not counts:
            return ""
        return f"{counts} that the conversion left out ({self._conversion.path})"


def index(dataset: dict[str, Any]) -> COCO:
    """Wraps a dataset for pycocotools, without its printing."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dataset
        coco.createIndex()
    return coco
