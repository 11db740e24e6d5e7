"""Predicted people beside the annotated people of the same images, and who is who.

All coordinates are pixels of the original image. `match_by_id` matches people whose
annotated boxes were cropped: each prediction then says whose it is. Predictions of a
detector's boxes say nothing, and are matched by likeness.
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from hrnet_tf.data.files.coco_people import CocoPeople, Person

NOBODY = -1


@dataclasses.dataclass(frozen=True)
class PredictedPeople:
    """N people whom a network has seen, in the order of predictions.

    Attributes:
        image_id: int64 [N].
        person_id: int64 [N], the annotation whose box was cropped, or below zero.
        keypoints: float64 [N, K, 3], x, y, score.
        score: float64 [N], of the whole person.
    """

    image_id: np.ndarray
    person_id: np.ndarray
    keypoints: np.ndarray
    score: np.ndarray

    @classmethod
    def of_arrays(cls, people: Mapping[str, np.ndarray]) -> "PredictedPeople":
        """Of what evaluators are given, see `PeopleEvaluator.update`."""
        return cls(
            people["image_id"],
            people["person_id"],
            people["keypoints"].astype(np.float64),
            people["box_score"].astype(np.float64),
        )


@dataclasses.dataclass(frozen=True)
class AnnotatedPeople:
    """M annotated people, crowds and people without keypoints included.

    Attributes:
        image_id: int64 [M].
        person_id: int64 [M], the annotations' ids.
        keypoints: float64 [M, K, 3], x, y, v.
        area: float64 [M], of the segment, in square pixels.
        bbox: float64 [M, 4], x, y, width, height.
        normalizer: float64 [M], 0 where it is not known.
        counts: bool [M], whether an evaluation expects a prediction.
    """

    image_id: np.ndarray
    person_id: np.ndarray
    keypoints: np.ndarray
    area: np.ndarray
    bbox: np.ndarray
    normalizer: np.ndarray
    counts: np.ndarray

    @classmethod
    def of_people(
        cls,
        people: CocoPeople,
        num_keypoints: int,
        image_ids: Collection[int] | None = None,
    ) -> "AnnotatedPeople":
        """Those of some images, or of all."""
        wanted = None if image_ids is None else set(image_ids)
        found: list[tuple[int, Person]] = [
            (image_id, person)
            for image_id, some in people.people.items()
            if wanted is None or image_id in wanted
            for person in some
        ]
        persons = [person for _, person in found]

        def floats(values: list, *shape: int) -> np.ndarray:
            return np.array(values, np.float64).reshape(len(found), *shape)

        return cls(
            np.array([image_id for image_id, _ in found], np.int64),
            np.array([person.id for person in persons], np.int64),
            floats([person.keypoints for person in persons], num_keypoints, 3),
            floats([person.area for person in persons]),
            floats([person.bbox for person in persons], 4),
            floats([person.normalizer for person in persons]),
            np.array([person.counts for person in persons], bool),
        )


@dataclasses.dataclass(frozen=True)
class MatchedPeople:
    """Predictions and truth of the same images.

    Attributes:
        predicted: N people.
        annotated: M people.
        person: int64 [N], the row in `annotated` of whom each prediction is, or
            `NOBODY`.
    """

    predicted: PredictedPeople
    annotated: AnnotatedPeople
    person: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """Rows of annotated people who count and of whom nothing was predicted."""
        is_found = np.zeros(len(self.annotated.person_id), bool)
        is_found[self.person[self.person != NOBODY]] = True
        return np.flatnonzero(self.annotated.counts & ~is_found)


def match_by_id(
    predicted: PredictedPeople, annotated: AnnotatedPeople
) -> MatchedPeople:
    """Matches predictions with the annotations that they are of.

    Predictions on images of which there are no annotations here are left out; a second
    one of the same person is nobody's.
    """
    predicted = _of_images(predicted, annotated)
    rows = {
        key: row
        for row, key in enumerate(
            zip(annotated.image_id.tolist(), annotated.person_id.tolist(), strict=True)
        )
    }
    person = np.full(len(predicted.image_id), NOBODY, np.int64)
    keys = zip(predicted.image_id.tolist(), predicted.person_id.tolist(), strict=True)
    for place, key in enumerate(keys):
        person[place] = rows.pop(key, NOBODY)
    return MatchedPeople(predicted, annotated, person)


def _of_images(
    predicted: PredictedPeople, annotated: AnnotatedPeople
) -> PredictedPeople:
    kept = np.isin(predicted.image_id, annotated.image_id)
    fields = dataclasses.fields(predicted)
    return PredictedPeople(*(getattr(predicted, f.name)[kept] for f in fields))
