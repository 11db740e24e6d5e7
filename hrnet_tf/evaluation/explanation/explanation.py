"""An evaluation of poses explained: all tables of one set of predictions.

    annotated = AnnotatedPeople.of_people(people, skeleton.num_keypoints)
    explanation = explain(predicted, annotated, people, skeleton)
    print(explanation.text())

Memory: predictions and annotations once more as arrays, and a byte and four for the
kind and similarity of each keypoint; of an image's pairs of people only one image at a
time. pycocotools' own copies come and go with each value of AP.
"""

import dataclasses
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.vocabularies.skeletons import DEFAULT_SIGMA, Skeleton
from hrnet_tf.evaluation.explanation import errors as kinds
from hrnet_tf.evaluation.explanation.average_precision import AveragePrecision
from hrnet_tf.evaluation.explanation.breakdown import breakdown_table
from hrnet_tf.evaluation.explanation.calibration import (
    Calibration,
    calibrate_keypoints,
)
from hrnet_tf.evaluation.explanation.errors import Errors, find_errors
from hrnet_tf.evaluation.explanation.keypoint_table import keypoint_table
from hrnet_tf.evaluation.explanation.matching import match_by_likeness
from hrnet_tf.evaluation.explanation.tables import (
    Table,
    as_count,
    as_gain,
    as_metric,
    as_percent,
)
from hrnet_tf.evaluation.matched import AnnotatedPeople, PredictedPeople

# So many keypoints are printed, the ones found worst; the page has all.
_PRINTED_KEYPOINTS = 5


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
        blocks.append([self.calibration_sentence, *self.notes])
        return "\n\n".join("\n".join(lines) for lines in blocks)

    def _worst_keypoints(self) -> list[str]:
        good = list(self.keypoints.columns).index("good")
        rows = sorted(
            self.keypoints.rows.items(),
            key=lambda item: np.nan_to_num(item[1][good], nan=np.inf),
        )
        worst = dict(rows[:_PRINTED_KEYPOINTS])
        lines = dataclasses.replace(self.keypoints, rows=worst).lines()
        more = len(rows) - len(worst)
        return lines + ([f"and {more} that are found better"] if more else [])

    @property
    def calibration_sentence(self) -> str:
        """What the most confident keypoints are worth."""
        error = self.calibration.expected_error
        rows = self.calibration.table().rows
        if np.isnan(error):
            return "Nobody was found whose keypoints are labelled."
        (name, (_, _, right)) = next(iter(rows.items()))
        return (
            f"Keypoints of a confidence of {name} are right in {as_percent(right)}; "
            f"expected calibration error {error:.3f}."
        )

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


def explain(
    predicted: PredictedPeople,
    annotated: AnnotatedPeople,
    people: CocoPeople,
    skeleton: Skeleton,
) -> Explanation:
    """Explains the AP of N predictions, which are scored as for AP.

    `annotated` are all of `people`, in their order.
    """
    average_precision = AveragePrecision(people, skeleton.sigmas)
    matches = match_by_likeness(predicted, annotated, average_precision, skeleton)
    found = find_errors(matches, skeleton)

    return Explanation(
        found,
        _kinds_table(found, average_precision),
        keypoint_table(found, skeleton),
        breakdown_table(found, average_precision),
        calibrate_keypoints(found),
        tuple(_notes(people, skeleton)),
    )


def _kinds_table(errors: Errors, average_precision: AveragePrecision) -> Table:
    """A row for each kind of error; AP is computed again without it."""
    matches = errors.matches
    asked = int(kinds.labelled(matches.annotated).sum())
    total = int(np.count_nonzero(matches.annotated.counts))
    baseline = average_precision(matches.predicted)
    rows: dict[str, tuple[float, ...]] = {}

    def add(name: str, count: float, out_of: float, metric: float) -> None:
        share = count / out_of if out_of else np.nan
        rows[name] = (count, share, metric, metric - baseline)

    for kind in (kinds.JITTER, kinds.INVERSION, kinds.SWAP, kinds.MISS):
        count = int(np.count_nonzero(errors.kinds == kind))
        without = (
            average_precision(kinds.corrected(errors, kind)) if count else baseline
        )
        add(kinds.KIND_NAMES[kind], count, asked, without)
    kept = kinds.without_false_positives(matches)
    num_false = int(matches.is_false.sum())
    add("false positive", num_false, len(matches.person), average_precision(kept))
    counted = kinds.without_false_negatives(matches)
    add(
        "false negative",
        len(matches.missed),
        total,
        average_precision(matches.predicted, counted),
    )
    ranked = average_precision(kinds.ranked_by_likeness(errors))
    rows["order of scores"] = (np.nan, np.nan, ranked, ranked - baseline)
    name = average_precision.name
    num_twice = int(matches.is_duplicate.sum())
    return Table(
        "error",
        {
            "number": as_count,
            "share": as_percent,
            f"{name} without": as_metric,
            "gain": as_gain,
        },
        rows,
        f"{name} is {baseline:.3f}; without: once what has this error alone is put "
        "right. Jitter to miss are keypoints, as a share of those labelled. False "
        f"positives are predictions of nobody ({num_twice} of them second ones of "
        "someone), as a share of all predictions; false negatives are people of whom "
        "nothing was predicted. Order of scores: if people were ranked by their "
        "likeness.",
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
    if not skeleton.flip_pairs:
        notes.append(
            f"The skeleton {skeleton.name} has no left and right: there are no "
            "inversions."
        )
    return notes
