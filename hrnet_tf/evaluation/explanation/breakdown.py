"""Of whom poses are found: people by size, crowding, and what is labelled or hidden."""

from collections.abc import Iterator

import numpy as np

from hrnet_tf.evaluation.explanation.errors import GOOD, Errors, labelled
from hrnet_tf.evaluation.explanation.matching import (
    Matches,
    with_counted,
    with_rows,
)
from hrnet_tf.evaluation.explanation.metric import Metric, metric_form
from hrnet_tf.evaluation.explanation.tables import (
    Table,
    as_count,
    as_percent,
)
from hrnet_tf.evaluation.matched import NOBODY, AnnotatedPeople
from hrnet_tf.ops.box_overlaps import MEDIUM_AREA, SMALL_AREA, box_overlaps

# Boxes that overlap by more count as crowding (Ronchi and Perona).
_OVERLAP = 0.1


def breakdown_table(errors: Errors, metric: Metric) -> Table:
    """A row for each group that somebody is in, unless all people are in it."""
    annotated = errors.matches.annotated
    missed = np.zeros(len(annotated.counts), bool)
    missed[errors.matches.missed] = True
    total = np.count_nonzero(annotated.counts)
    rows = {}
    for name, members in groups(annotated):
        count = np.count_nonzero(members)
        if 0 < count < total:
            share = _share_good(errors, members)
            nobody = np.count_nonzero(missed & members) / count
            value = _of_group(errors.matches, members, metric)
            rows[name] = (float(count), value, share, nobody)
    return Table(
        "people",
        {
            "number": as_count,
            metric.name: metric_form(metric),
            "good": as_percent,
            "missed": as_percent,
        },
        rows,
        f"{metric.name}: of these people in their images, where others and what was "
        "predicted of them do not count. good: of their labelled keypoints. missed: "
        "people of whom nothing was predicted. Sizes are COCO's: the area of medium "
        "people is from 32 x 32 to 96 x 96 pixels. Overlaps: with how many boxes the "
        f"person's own has an IoU above {_OVERLAP:g}. Labelled: the share of the "
        "skeleton's keypoints. Hidden: the share of the labelled ones.",
    )


def _of_group(matches: Matches, members: np.ndarray, metric: Metric) -> float:
    """The metric in the images of some people, without predictions of others."""
    kept = (matches.person == NOBODY) | members[matches.person]
    image_ids = np.unique(matches.annotated.image_id[members])
    return metric(with_counted(with_rows(matches, kept), members), image_ids.tolist())


def groups(annotated: AnnotatedPeople) -> Iterator[tuple[str, np.ndarray]]:
    """Names and members, bool [M], of all groups of people who count."""
    counts, area = annotated.counts, annotated.area
    yield "size: small", counts & (area < SMALL_AREA)
    yield "size: medium", counts & (area >= SMALL_AREA) & (area < MEDIUM_AREA)
    yield "size: large", counts & (area >= MEDIUM_AREA)
    others = _overlapping(annotated)
    yield "overlaps: none", counts & (others == 0)
    yield "overlaps: 1 or 2", counts & (others > 0) & (others < 3)
    yield "overlaps: 3 or more", counts & (others >= 3)
    has_label = labelled(annotated)
    share = has_label.mean(axis=1)
    yield "labelled: up to 1/3", counts & (share <= 1 / 3)
    yield "labelled: up to 2/3", counts & (share > 1 / 3) & (share <= 2 / 3)
    yield "labelled: more", counts & (share > 2 / 3)
    is_hidden = has_label & (annotated.keypoints[..., 2] == 1)
    hidden = is_hidden.sum(axis=1) / np.maximum(has_label.sum(axis=1), 1)
    yield "hidden: none", counts & (hidden == 0)
    yield "hidden: up to 1/3", counts & (hidden > 0) & (hidden <= 1 / 3)
    yield "hidden: more", counts & (hidden > 1 / 3)


def _overlapping(annotated: AnnotatedPeople) -> np.ndarray:
    """With how many boxes of its image each person's box overlaps, int64 [M]."""
    others = np.zeros(len(annotated.image_id), np.int64)
    order = np.argsort(annotated.image_id, kind="stable")
    starts = np.flatnonzero(np.diff(annotated.image_id[order], prepend=-1))
    for rows in np.split(order, starts)[1:]:  # Nothing lies before the first start.
        boxes = annotated.bbox[rows]
        overlaps = box_overlaps(boxes, boxes) > _OVERLAP
        others[rows] = np.sum(overlaps, axis=1) - np.diag(overlaps)
    return others


def _share_good(errors: Errors, members: np.ndarray) -> float:
    """The share of the members' labelled keypoints that is good."""
    person = errors.matches.person
    is_members = (person != NOBODY) & members[person]
    good = np.count_nonzero(errors.kinds[is_members] == GOOD)
    return good / np.count_nonzero(labelled(errors.matches.annotated)[members])
