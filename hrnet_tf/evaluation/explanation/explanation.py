"""An evaluation of poses explained: all tables of one set of predictions.

    for batch in batches:
        evaluator.update(predict(batch))
    print(explain_evaluation(evaluator, skeleton).text())

Memory: predictions and annotations once more as arrays, and a byte and four for the
kind and similarity of each keypoint; of an image's pairs of people only one image at a
time. pycocotools' own copies come and go with each AP.
"""

import dataclasses
import textwrap
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.vocabularies.skeletons import DEFAULT_SIGMA, Skeleton
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.evaluation.explanation import errors as kinds
from hrnet_tf.evaluation.explanation.average_precision import AveragePrecision
from hrnet_tf.evaluation.explanation.breakdown import breakdown_table
from hrnet_tf.evaluation.explanation.calibration import (
    Calibration,
    calibrate_keypoints,
)
from hrnet_tf.evaluation.explanation.errors import Errors, find_errors
from hrnet_tf.evaluation.explanation.keypoint_table import keypoint_table
from hrnet_tf.evaluation.explanation.matching import (
    Matches,
    match_by_box,
    match_by_likeness,
)
from hrnet_tf.evaluation.explanation.measured import MeasuredMetric
from hrnet_tf.evaluation.explanation.metric import Metric, metric_form
from hrnet_tf.evaluation.explanation.tables import Table, as_count, as_percent
from hrnet_tf.evaluation.matched import AnnotatedPeople, PredictedPeople
from hrnet_tf.evaluation.measured_people import MeasuringEvaluator
from hrnet_tf.evaluation.people import PeopleEvaluator

# So many keypoints are printed, the ones found worst; the page has all.
_PRINTED_KEYPOINTS = 5
_WIDTH = 88  # of printed sentences


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What an evaluation says besides its metrics.

    Attributes:
        errors: What is wrong with each keypoint.
        kinds: How often each kind of error occurs, and AP without it.
        keypoints: Each keypoint of the skeleton.
        people: Groups of people.
        calibration: Whether scores of keypoints can be believed.
        notes: Sentences about what the numbers rest on.
    """

    errors: Errors
    kinds: Table
    keypoints: Table
    people: Table
    calibration: Calibration
    notes: tuple[str, ...]

    def text(self) -> str:
        """A few short tables for a terminal."""
        blocks = [self.kinds.lines(), self._worst_keypoints()]
        if self.people.rows:
            blocks.append(self.people.lines())
        sentences = [self.calibration.sentence, *self.notes]
        blocks.append([textwrap.fill(sentence, _WIDTH) for sentence in sentences])
        return "\n\n".join("\n".join(lines) for lines in blocks)

    def _worst_keypoints(self) -> list[str]:
        good, error = map(list(self.keypoints.columns).index, ("good", "error"))
        rows = sorted(
            self.keypoints.rows.items(),
            key=lambda item: (
                np.nan_to_num(item[1][good], nan=np.inf),
                -np.nan_to_num(item[1][error]),
            ),
        )
        worst = dict(rows[:_PRINTED_KEYPOINTS])
        lines = dataclasses.replace(self.keypoints, rows=worst).lines()
        more = len(rows) - len(worst)
        return lines + ([f"and {more} that are found no worse"] if more else [])

    def as_json(self) -> dict[str, Any]:
        """All numbers by table, row and column."""
        tables = {
            "errors": self.kinds,
            "keypoints": self.keypoints,
            "people": self.people,
            "calibration": self.calibration.table(),
        }
        error = self.calibration.expected_error
        return {
            **{name: table.as_json() for name, table in tables.items()},
            "expected_calibration_error": None if np.isnan(error) else error,
            "notes": list(self.notes),
        }


def explain_evaluation(evaluator: PeopleEvaluator, skeleton: Skeleton) -> Explanation:
    """Explains the main metric of what an evaluator was given."""
    people = evaluator.truth.content
    annotated = AnnotatedPeople.of_people(people, skeleton.num_keypoints)
    if isinstance(evaluator, MeasuringEvaluator):
        predicted = PredictedPeople.of_arrays(evaluator.people())
        matches = match_by_box(predicted, annotated)
        return explain(matches, MeasuredMetric(evaluator), people, skeleton)
    if not isinstance(evaluator, COCOKeypointEvaluator):
        raise TypeError(f"{type(evaluator).__name__} cannot be explained.")
    metric = AveragePrecision(people, skeleton.sigmas)
    matches = match_by_likeness(evaluator.scored_people, annotated, metric, skeleton)
    return explain(matches, metric, people, skeleton)


def explain(
    matches: Matches, metric: Metric, people: CocoPeople, skeleton: Skeleton
) -> Explanation:
    """Explains a metric of predictions that are matched with all of `people`."""
    errors = find_errors(matches, skeleton)
    return Explanation(
        errors,
        _kinds_table(errors, metric),
        keypoint_table(errors, skeleton),
        breakdown_table(errors, metric),
        calibrate_keypoints(errors),
        tuple(_notes(people, skeleton)),
    )


def _kinds_table(errors: Errors, metric: Metric) -> Table:
    """A row for each kind of error; the metric is computed again without it."""
    matches = errors.matches
    asked = np.count_nonzero(kinds.labelled(matches.annotated))
    total = np.count_nonzero(matches.annotated.counts)
    baseline = metric(matches)
    rows: dict[str, tuple[float, ...]] = {}

    def add(name: str, count: float, out_of: float, without: float) -> None:
        share = count / out_of if out_of else np.nan
        rows[name] = (count, share, without, without - baseline)

    for kind in (kinds.JITTER, kinds.INVERSION, kinds.SWAP, kinds.MISS):
        count = np.count_nonzero(errors.kinds == kind)
        without = metric(kinds.corrected(errors, kind)) if count else baseline
        add(kinds.KIND_NAMES[kind], count, asked, without)
    false = np.count_nonzero(matches.is_false)
    without = metric(kinds.without_false_positives(matches))
    add("false positive", false, len(matches.person), without)
    without = metric(kinds.without_false_negatives(matches))
    add("false negative", len(matches.missed), total, without)
    if metric.ranks_people:
        add("order of scores", np.nan, total, metric(kinds.ranked_by_likeness(errors)))
    twice = np.count_nonzero(matches.is_duplicate)
    name, form = metric.name, metric_form(metric)
    return Table(
        "error",
        {
            "number": as_count,
            "share": as_percent,
            f"{name} without": form,
            "change": metric_form(metric, "+"),
        },
        rows,
        f"{name} is {form(baseline)}; {name} without: what it would be if all errors "
        "of this kind, and no others, were put right. From jitter to miss, keypoints "
        "are counted, as a share of those labelled. False positives are predictions of "
        f"nobody ({twice} of them second ones of someone), as a share of all "
        "predictions; false negatives are people of whom nothing was predicted, as a "
        "share of all people."
        + " Order of scores: if people were ranked by their likeness."
        * metric.ranks_people,
    )


def _notes(people: CocoPeople, skeleton: Skeleton) -> list[str]:
    """What similarities rest on, where it is not COCO's."""
    notes = []
    if set(skeleton.sigmas) == {DEFAULT_SIGMA}:
        notes.append(
            f"The skeleton {skeleton.name} states no sigmas: similarities are with "
            f"{DEFAULT_SIGMA:g} for all keypoints, and compare with no other data."
        )
    everyone = [p for some in people.people.values() for p in some if p.counts]
    measured = sum(person.area_is_measured for person in everyone)
    if measured:
        notes.append(
            f"The areas of {measured:,} of {len(everyone):,} people are not annotated, "
            "but measured: similarities are relative to them."
        )
    of_boxes = sum(map(_has_area_of_box, everyone))
    if of_boxes:
        notes.append(
            f"The areas of {of_boxes:,} of {len(everyone):,} people are those of their "
            "boxes, and larger than outlines: similarities are higher than by COCO's "
            "areas."
        )
    if not skeleton.flip_pairs:
        notes.append(
            f"The skeleton {skeleton.name} has no left and right: there are no "
            "inversions."
        )
    return notes


def _has_area_of_box(person: Person) -> bool:
    """Whether the annotated area is no smaller than the box: not of an outline."""
    _, _, width, height = person.bbox
    return not person.area_is_measured and person.area > 0.999 * width * height
